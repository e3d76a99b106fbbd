// Opening a large store, and opening one whose data are in its log only.
import { KEY_BYTES, keyOf, VALUE_BYTES, valueBytesOf } from './data.mjs';
import { openStore } from './stores.mjs';
import { check, inFlight, secondsSince } from './workloads.mjs';

const BATCH = 1000;
const WIDTH = 1000;
/** Takes all of the log without being sealed. */
export const REPLAY_MEMTABLE_BYTES = 512 * 1024 * 1024;
const PROFILE = { writeBytes: REPLAY_MEMTABLE_BYTES };

/** How many entries of the usual size make `bytes`. */
export const entriesOf = (bytes, valueBytes = VALUE_BYTES) => Math.ceil(bytes / (KEY_BYTES + valueBytes));

/** Fills a store with `bytes` of keys and values in the order of the keys. */
export const fill = async ({ store: name, dir, bytes }) => {
  const store = await openStore(name, dir);
  const count = entriesOf(bytes);
  for (let from = 0; from < count; from += BATCH) {
    const indexes = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => from + i);
    await store.putBatch(
      indexes.map(keyOf),
      indexes.map((i) => valueBytesOf(i)),
      0,
      indexes.length,
    );
  }
  await store.flush();
  await store.close();
  return {};
};

/** Time until the first get is answered. */
export const open = async ({ store: name, dir, bytes }) => {
  await import(name === 'nori' ? 'nori-lsm' : name);
  const index = entriesOf(bytes) >> 1;
  const startMs = performance.now();
  const store = await openStore(name, dir);
  const value = store.getSync(keyOf(index));
  const seconds = secondsSince(startMs);
  check(value !== undefined && Buffer.compare(value, valueBytesOf(index)) === 0, 'the first value that was read');
  await store.close();
  return { seconds };
};

/**
 * Writes entries one by one until the log has `bytes` of keys and values, then waits to be killed. nori-lsm puts what is
 * written in one turn into one record; alternating between two modes that mean the same to the log keeps each put in its own.
 */
export const fillLog = async ({ store: name, dir, bytes, valueBytes }) => {
  const store = await openStore(name, dir, PROFILE);
  const modes = [{ durability: 'os' }, { durability: 'none' }];
  const put =
    name === 'nori'
      ? (i) => store.db.put(keyOf(i), valueBytesOf(i, valueBytes), modes[i & 1])
      : (i) => store.put(keyOf(i), valueBytesOf(i, valueBytes));
  const count = entriesOf(bytes, valueBytes);
  await inFlight(count - 1, WIDTH, put);
  await store.put(keyOf(count - 1), valueBytesOf(count - 1, valueBytes));
  return { entries: count, mustBeKilled: true };
};

/** Time to open such a store. Everything must be there. */
export const replay = async ({ store: name, dir, entries, valueBytes, logBytes }) => {
  await import(name === 'nori' ? 'nori-lsm' : name);
  const startMs = performance.now();
  const store = await openStore(name, dir, PROFILE);
  const seconds = secondsSince(startMs);
  for (let i = 0; i < entries; i += 997) {
    const value = store.getSync(keyOf(i));
    check(
      value !== undefined && Buffer.compare(value, valueBytesOf(i, valueBytes)) === 0,
      `entry ${i} after the replay`,
    );
  }
  check(store.getSync(keyOf(entries - 1)) !== undefined, 'the last entry after the replay');
  check(store.getSync(keyOf(entries)) === undefined, 'an entry that was never written');
  await store.close();
  return { seconds, mibPerSecond: logBytes / 2 ** 20 / seconds };
};
