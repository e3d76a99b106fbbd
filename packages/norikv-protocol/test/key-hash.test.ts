import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { hashTagOf, jumpHash, type KeyHasher, loadKeyHasher } from '../src/index.js';

const utf8 = (text: string) => new TextEncoder().encode(text);

/** Jump consistent hash as the paper writes it, in BigInt. */
const jumpHashReference = (hash: bigint, buckets: number): number => {
  let key = hash;
  let b = -1;
  let j = 0;
  while (j < buckets) {
    b = j;
    key = BigInt.asUintN(64, key * 2862933555777941757n + 1n);
    j = Math.floor((b + 1) * (2147483648 / (Number(key >> 33n) + 1)));
  }
  return b;
};

/** Computed with two independent xxHash64 libraries: key, hash, shard of 1024, of 16, of 3. */
const ANCHORS: readonly (readonly [string, bigint, number, number, number])[] = [
  ['', 17241709254077376921n, 332, 7, 2],
  ['a', 15154266338359012955n, 894, 8, 1],
  ['user:123', 12838382303697200627n, 928, 3, 0],
  ['user:42', 15861654238046376386n, 717, 12, 0],
  ['order:456', 7591862717662756043n, 677, 7, 2],
  ['inventory:widget-1', 13474578685415903122n, 163, 0, 0],
  ['hello world', 5020219685658847592n, 897, 7, 2],
  ['héllo', 4310053764713069540n, 421, 6, 2],
];

let hasher: KeyHasher;
beforeAll(async () => {
  hasher = await loadKeyHasher();
});

describe('key hashing', () => {
  test('agrees with the documented anchors', () => {
    for (const [key, hash, of1024, of16, of3] of ANCHORS) {
      expect(hasher.hash(utf8(key)), key).toBe(hash);
      expect([1024, 16, 3].map((n) => hasher.shardOf(utf8(key), n))).toEqual([of1024, of16, of3]);
    }
  });

  test('is made once', async () => {
    expect(await loadKeyHasher()).toBe(hasher);
  });

  test('jump hash equals the reference in BigInt for any hash and number of buckets', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.integer({ min: 1, max: 2 ** 31 - 1 }), (hash, n) => {
        const high = Number(hash >> 32n);
        const low = Number(hash & 0xffffffffn);
        for (const buckets of [n, 1 + (n % 2048), 1024]) {
          expect(jumpHash(high, low, buckets)).toBe(jumpHashReference(hash, buckets));
          expect(jumpHash(high | 0, low | 0, buckets)).toBe(jumpHashReference(hash, buckets));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('moves keys only onto the new bucket when one is added', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), fc.integer({ min: 1, max: 3000 }), (high, low, n) => {
        const before = jumpHash(high, low, n);
        const after = jumpHash(high, low, n + 1);
        expect(before < n && (after === before || after === n)).toBe(true);
      }),
    );
  });
});

describe('hash tags', () => {
  const tag = (key: string) => new TextDecoder().decode(hashTagOf(utf8(key)));

  test('are what lies between the first { and the next }, if not empty', () => {
    expect(tag('{user:1}:name')).toBe('user:1');
    expect(tag('a{b}{c}')).toBe('b');
    expect(tag('{a{b}c}')).toBe('a{b');
    expect(tag('}{a}')).toBe('a');
  });

  test('are ignored when empty or open: the whole key counts', () => {
    for (const key of ['', '{}', '{}{a}', 'a{b', 'a}b{', '{', '}']) expect(tag(key)).toBe(key);
  });

  test('put keys on one shard', () => {
    const shards = ['{user:42}', '{user:42}:name', 'x{user:42}y', 'user:42'].map((k) => hasher.shardOf(utf8(k), 1024));
    expect(new Set(shards)).toEqual(new Set([717]));
  });
});
