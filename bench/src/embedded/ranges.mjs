// What many range tombstones cost those who read what they do not hide, and what of the hidden is left after a compaction.
import { checksumOf, keyOf, shuffledEntries } from '../storage/data.mjs';
import { tableBytesOf } from '../storage/disk.mjs';
import { noriOptions } from '../storage/settings.mjs';
import { check, measurePasses } from '../storage/workloads.mjs';

const BATCH = 1000;
/** Neighbouring keys that one tombstone hides. */
const HIDDEN_KEYS = 2;

const openNori = async (dir, options) => {
  const { Lsm } = await import('nori-lsm');
  return Lsm.open({ dir, ...noriOptions(), ...options });
};

/** All in tables of the last level. */
const fillSettled = async (dir, { keys, values }) => {
  const db = await openNori(dir);
  for (let from = 0; from < keys.length; from += BATCH) {
    await db.batch(keys.slice(from, from + BATCH).map((key, i) => ({ type: 'put', key, value: values[from + i] })));
  }
  await db.compact();
  await db.close();
};

/** Range after range, evenly over the keys; they are flushed and stay where they are. */
const deleteRanges = async (dir, keys, ranges) => {
  const db = await openNori(dir, { autoCompact: false });
  for (let i = 0; i < ranges; i++) {
    const first = (i * keys) / ranges;
    await db.deleteRange({ gte: keyOf(first), lt: keyOf(first + HIDDEN_KEYS) });
  }
  await db.flush();
  check(db.stats().rangeTombstones === ranges, `${db.stats().rangeTombstones} range tombstones`);
  await db.close();
};

const walk = (db) => {
  let entries = 0;
  let sum = 0;
  const cursor = db.cursor();
  for (; cursor.valid; cursor.next()) {
    entries++;
    sum += cursor.key.length + cursor.value[cursor.value.length - 1];
  }
  cursor.close();
  return { entries, sum };
};

/** Bytes of tables after a compaction over those of a database that never held anything but what is left. Closes the database. */
const spaceAfterCompaction = async (db, dir, left) => {
  await db.compact();
  check(db.stats().rangeTombstones === 0, 'no range tombstone is left');
  // What it does not need any more is gone when it is closed.
  await db.close();
  const bytes = tableBytesOf(`${dir}/data`);
  await fillSettled(`${dir}/left`, left);
  return bytes / tableBytesOf(`${dir}/left`);
};

/** @param {{ dir: string, keys: number, ranges: number, withRanges: boolean }} job `keys` is a multiple of `ranges` */
const ranges = async ({ dir, keys: count, ranges: howMany, withRanges }) => {
  const entries = shuffledEntries(count);
  const isLeft = (index) => index % (count / howMany) >= HIDDEN_KEYS;
  const left = {
    keys: entries.keys.filter((_, i) => isLeft(entries.order[i])),
    values: entries.values.filter((_, i) => isLeft(entries.order[i])),
  };
  await fillSettled(`${dir}/data`, entries);
  if (withRanges) await deleteRanges(`${dir}/data`, count, howMany);

  const db = await openNori(`${dir}/data`, { autoCompact: false });
  const found = entries.keys.filter((key) => db.getSync(key) !== undefined).length;
  const shown = (withRanges ? left : entries).keys.length;
  check(found === shown, `${found} of ${shown} keys were found`);
  const getsPerSecond = await measurePasses(left.keys.length, checksumOf(left.values), () => {
    let sum = 0;
    for (let i = 0; i < left.keys.length; i++) {
      const value = db.getSync(left.keys[i]);
      sum += value[value.length - 1];
    }
    return sum;
  });
  const first = walk(db);
  check(first.entries === shown, `${first.entries} of ${shown} entries were visited`);
  const scannedPerSecond = await measurePasses(shown, first.sum, () => walk(db).sum);
  const space = withRanges ? await spaceAfterCompaction(db, dir, left) : undefined;
  await db.close();
  return { getsPerSecond, scannedPerSecond, space };
};

export const rangeWorkloads = { ranges };
