// A sorted run finds the only table that may hold a key, whatever keys look like.
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { compareKeys } from '../src/bytes.js';
import { SortedRun } from '../src/sorted-run.js';
import type { Table } from '../src/table.js';
import { hardKeys, withSeed } from './support.js';

test('the table for a key is the first that does not end before it', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  await withSeed(seed, async () => {
    for (let round = 0; round < 300; round++) {
      const sorted = [...new Map(hardKeys(rng, rng.range(2, 60)).map((key) => [String(key), key])).values()];
      sorted.sort(compareKeys);
      const tables: Table[] = [];
      for (let i = 0; i + 1 < sorted.length; i += rng.range(1, 3)) {
        // One key or two a table, with gaps between.
        const smallestKey = sorted[i]!;
        const largestKey = sorted[rng.chance(0.5) ? i : i + 1]!;
        if (tables.length > 0 && compareKeys(tables.at(-1)!.largestKey, smallestKey) >= 0) continue;
        tables.push({ smallestKey, largestKey } as unknown as Table);
      }
      if (tables.length === 0) continue;
      const run = new SortedRun(tables);
      for (const key of [...sorted, ...hardKeys(rng, 40)]) {
        expect(run.tableFor(key)).toBe(tables.find(({ largestKey }) => compareKeys(largestKey, key) >= 0));
      }
    }
  });
});
