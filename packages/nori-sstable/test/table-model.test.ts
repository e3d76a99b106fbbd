// Random tables against a sorted array: look-ups with and without maxSeq, walks in both directions with turns anywhere.
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { BlockCache, compareKeys, type SSTableReader, type TableCursor, type TableEntry } from '../src/index.js';
import { COMPRESSIONS, copyOf, randomEntries, tableOf } from './support.js';

const TABLES = 48;
const base = seedFromEnv();

function entryAt(cursor: TableCursor): TableEntry | undefined {
  if (!cursor.valid) return undefined;
  const { key, seq, kind, expiresAtMs, value } = cursor;
  expect(cursor.valueLength).toBe(value.length);
  return copyOf({ key, seq, kind, expiresAtMs, value });
}

async function randomTable(rng: Rng): Promise<{ table: SSTableReader; entries: TableEntry[] }> {
  const entries = randomEntries(rng, rng.pick([0, 1, 2, 40, 400]));
  const options = {
    blockBytes: rng.pick([64, 200, 1000, 4096, 65536]),
    restartInterval: rng.pick([1, 2, 3, 16, 1000]),
    bloomBitsPerKey: rng.pick([0, 1, 10]),
    compression: rng.pick(COMPRESSIONS),
    indexPartitionBytes: rng.pick([64, 64, 100, 8192]),
  };
  const bytesMax = rng.pick([0, 3000, 1 << 20]);
  const table = await tableOf(entries, options, rng.chance(0.2) ? {} : { cache: new BlockCache({ bytesMax }) });
  return { table, entries };
}

/** A key that is in the table, or near one that is, or any. */
function probeKey(rng: Rng, entries: readonly TableEntry[]): Uint8Array {
  if (entries.length === 0 || rng.chance(0.1)) return rng.bytes(rng.int(5));
  const key = rng.pick(entries).key.slice();
  switch (rng.int(6)) {
    case 0:
      return Uint8Array.of(...key, 0);
    case 1:
      return key.subarray(0, rng.int(key.length + 1));
    case 2:
      if (key.length > 0) key[rng.int(key.length)]! += rng.pick([1, 255]);
      return key;
    default:
      return key;
  }
}

function probeSeq(rng: Rng, entries: readonly TableEntry[]): number {
  if (entries.length === 0 || rng.chance(0.3)) return Number.POSITIVE_INFINITY;
  return Math.max(0, rng.pick(entries).seq + rng.pick([-1, 0, 1]));
}

describe.each(Array.from({ length: TABLES }, (_, i) => base + i))('with seed %i', (seed) => {
  test('look-ups find what the model finds', async () => {
    const rng = new Rng(seed);
    const { table, entries } = await randomTable(rng);
    for (let i = 0; i < 300; i++) {
      const key = probeKey(rng, entries);
      const maxSeq = probeSeq(rng, entries);
      const expected = entries.find((entry) => compareKeys(entry.key, key) === 0 && entry.seq <= maxSeq);
      const found = table.get(key, maxSeq);
      expect(found && copyOf(found)).toEqual(expected);
      const again = table.getExpected(key, maxSeq);
      expect(again && copyOf(again)).toEqual(expected);
    }
    await table.close();
  });

  test('cursors walk as the model does', async () => {
    const rng = new Rng(seed);
    const { table, entries } = await randomTable(rng);
    for (let walk = 0; walk < 6; walk++) {
      const maxSeq = probeSeq(rng, entries);
      const visible = entries.filter((entry) => entry.seq <= maxSeq);
      const fillCache = rng.chance(0.7);
      const readAheadBytes = rng.pick([0, 500, 100_000]);
      const cursor = table.cursor({ maxSeq, fillCache, ...(rng.chance(0.5) ? { readAheadBytes } : {}) });
      expect(cursor.valid).toBe(false);
      let at = -1;
      for (let step = 0; step < 150; step++) {
        const action = rng.int(40);
        if (action === 0) {
          cursor.first();
          at = 0;
        } else if (action === 1) {
          cursor.last();
          at = visible.length - 1;
        } else if (action < 5 || !cursor.valid) {
          const key = probeKey(rng, entries);
          const seekSeq = probeSeq(rng, entries);
          cursor.seek(key, seekSeq);
          const target = { key, seq: seekSeq };
          at = visible.findIndex(
            (entry) =>
              compareKeys(entry.key, target.key) > 0 || (compareKeys(entry.key, key) === 0 && entry.seq <= seekSeq),
          );
        } else if (action < 8) {
          const key = probeKey(rng, entries);
          cursor.seekForPrev(key);
          at = visible.findLastIndex((entry) => compareKeys(entry.key, key) <= 0);
        } else if (action % 2 === 0 || (action < 20 && walk % 2 === 0)) {
          cursor.next();
          at++;
        } else {
          cursor.prev();
          at--;
        }
        expect(entryAt(cursor)).toEqual(visible[at]);
      }
    }
    await table.close();
  });

  test('whole scans give every entry, forward and backward', async () => {
    const rng = new Rng(seed);
    const { table, entries } = await randomTable(rng);
    const forward: TableEntry[] = [];
    const cursor = table.cursor({ fillCache: rng.chance(0.5) });
    for (cursor.first(); cursor.valid; cursor.next()) forward.push(entryAt(cursor)!);
    expect(forward).toEqual(entries);
    const backward: TableEntry[] = [];
    for (cursor.last(); cursor.valid; cursor.prev()) backward.push(entryAt(cursor)!);
    expect(backward.reverse()).toEqual(entries);
    expect(await table.verify()).toMatchObject({ entries: entries.length });
    const dumped = [...table.dump()].filter((item) => item.type === 'entry').map(copyOf);
    expect(dumped).toEqual(entries);
    await table.close();
  });
});
