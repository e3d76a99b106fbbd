// The search in an index block, held to a plain one.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareKeys } from '../src/compare.js';
import { IndexBlock, IndexBuilder } from '../src/index-block.js';

const BLOCK_BYTES = 100;
const TRAILER_BYTES = 5;
const NEWEST = Number.MAX_SAFE_INTEGER;

interface Separator {
  readonly key: Uint8Array;
  readonly seq: number;
}

/** Bytes that often are alike, at the beginning and further on. */
const part = (lengthMax: number) =>
  fc.array(fc.oneof(fc.constantFrom(0, 1, 0xff), fc.integer({ min: 0, max: 255 })), { maxLength: lengthMax });
const keys = fc
  .record({
    heads: fc.array(part(20), { minLength: 1, maxLength: 4 }),
    middles: fc.array(part(6), { minLength: 1, maxLength: 4 }),
    picks: fc.array(fc.tuple(fc.nat(), fc.nat(), part(7)), { minLength: 1, maxLength: 120 }),
  })
  .map(({ heads, middles, picks }) =>
    picks.map(([head, middle, tail]) =>
      Uint8Array.from([...heads[head % heads.length]!, ...middles[middle % middles.length]!, ...tail]),
    ),
  );

const order = (a: Separator, b: Separator): number => compareKeys(a.key, b.key) || b.seq - a.seq;

test('a search finds what a look at every separator finds', () => {
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 3 }), (sought, versions) => {
      const separators = sought
        .slice(0, Math.ceil(sought.length / 2))
        .flatMap((key) => Array.from({ length: versions }, (_, version) => ({ key, seq: 10 * version })))
        .sort(order)
        .filter((separator, i, all) => i === 0 || order(all[i - 1]!, separator) !== 0);
      const builder = new IndexBuilder(Number.POSITIVE_INFINITY);
      let offset = 0;
      for (const { key, seq } of separators) {
        builder.add(key, key.length, seq, offset, BLOCK_BYTES);
        offset += BLOCK_BYTES + TRAILER_BYTES;
      }
      const bounds = { start: 0, end: offset, isPart: false, sizeMin: 1, sizeMax: BLOCK_BYTES };
      const index = IndexBlock.decode(builder.build(), bounds)!;
      for (const key of sought) {
        for (const seq of [0, 5, 10, NEWEST]) {
          const expected = separators.findIndex((separator) => order(separator, { key, seq }) >= 0);
          expect(index.find(key, seq)).toBe(expected < 0 ? separators.length : expected);
        }
      }
    }),
    { numRuns: 500 },
  );
});
