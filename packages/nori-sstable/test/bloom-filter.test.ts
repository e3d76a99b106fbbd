import { describe, expect, test } from 'vitest';
import { BloomFilter, BloomFilterBuilder } from '../src/bloom-filter.js';
import { hashKey, KeyHash } from '../src/index.js';
import { utf8 } from './support.js';

const KEYS = 20_000;
const hash = new KeyHash();

function filterOf(keys: readonly string[], bitsPerKey = 10): BloomFilter {
  const builder = new BloomFilterBuilder(bitsPerKey);
  for (const key of keys) builder.add(hashKey(utf8(key), hash));
  expect(builder.build()).toHaveLength(builder.sizeBytes);
  return BloomFilter.decode(builder.build()) as BloomFilter;
}

describe.each([
  ['short decimal keys', (i: number) => `${i}`],
  ['padded keys', (i: number) => `user:${String(i).padStart(11, '0')}`],
  ['binary keys', (i: number) => String.fromCharCode(i & 127, (i >> 7) & 127, (i >> 14) & 127)],
])('with %s', (_, keyOf) => {
  test('every key is found, and about 1 % of the others', () => {
    const filter = filterOf(Array.from({ length: KEYS }, (_, i) => keyOf(i)));
    let found = 0;
    for (let i = 0; i < KEYS; i++) if (filter.mayContain(hashKey(utf8(keyOf(i)), hash))) found++;
    expect(found).toBe(KEYS);
    let wrong = 0;
    for (let i = KEYS; i < 6 * KEYS; i++) if (filter.mayContain(hashKey(utf8(keyOf(i)), hash))) wrong++;
    expect(wrong / (5 * KEYS)).toBeGreaterThan(0.005);
    expect(wrong / (5 * KEYS)).toBeLessThan(0.015);
  });
});

test('a filter without keys finds nothing', () => {
  expect(filterOf([]).mayContain(hashKey(utf8('a'), hash))).toBe(false);
});

test('contents that are no filter are told from those of a later version', () => {
  const contents = new BloomFilterBuilder(10).build();
  expect(BloomFilter.decode(contents.subarray(0, 7))).toBe('corrupt');
  expect(BloomFilter.decode(contents.subarray(1))).toBe('corrupt');
  const later = contents.slice();
  later[later.length - 2] = 2;
  expect(BloomFilter.decode(later)).toBe('unknown');
});
