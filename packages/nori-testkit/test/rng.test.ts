import { describe, expect, test } from 'vitest';
import { Rng, seedFromEnv } from '../src/index.js';

describe('Rng', () => {
  test('gives the same numbers for the same seed, for ever', () => {
    // From a second implementation of sfc32, seeded with (0, 42, 0).
    const rng = new Rng(42);
    expect([rng.uint32(), rng.uint32(), rng.uint32()]).toEqual([1264412219, 1947509147, 3919439299]);
  });

  test('gives other numbers for another seed, also where only the high bits differ', () => {
    const first = (seed: number) => new Rng(seed).uint32();
    expect(new Set([0, 1, 2 ** 32, 2 ** 40, 2 ** 53 - 1].map(first)).size).toBe(5);
  });

  test('is spread evenly over [0, 1)', () => {
    const rng = new Rng(7);
    const buckets = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) {
      const x = rng.next();
      expect(x >= 0 && x < 1).toBe(true);
      buckets[Math.floor(x * 10)]! += 1;
    }
    for (const count of buckets) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });

  test('keeps int, range and pick within their bounds and reaches all of them', () => {
    const rng = new Rng(1);
    const seen = { int: new Set<number>(), range: new Set<number>(), pick: new Set<string>() };
    for (let i = 0; i < 1000; i++) {
      seen.int.add(rng.int(3));
      seen.range.add(rng.range(-1, 1));
      seen.pick.add(rng.pick(['a', 'b', 'c']));
    }
    expect([...seen.int].sort()).toEqual([0, 1, 2]);
    expect([...seen.range].sort((a, b) => a - b)).toEqual([-1, 0, 1]);
    expect([...seen.pick].sort()).toEqual(['a', 'b', 'c']);
    expect(() => rng.pick([])).toThrow(RangeError);
  });

  test('chance 0 never happens and chance 1 always does', () => {
    const rng = new Rng(3);
    for (let i = 0; i < 100; i++) expect([rng.chance(0), rng.chance(1)]).toEqual([false, true]);
  });

  test('makes bytes of any length, and permutations', () => {
    const rng = new Rng(5);
    for (const n of [0, 1, 3, 4, 5, 1000]) expect(rng.bytes(n)).toHaveLength(n);
    expect(new Set(rng.bytes(10_000)).size).toBe(256);
    const elements = [1, 2, 3, 4, 5];
    expect(rng.shuffle(elements).sort()).toEqual(elements);
  });

  test('a fork does not move with its parent', () => {
    const one = new Rng(9);
    const two = new Rng(9);
    const forkOfOne = one.fork();
    const forkOfTwo = two.fork();
    two.bytes(100);
    expect(forkOfOne.seed).toBe(forkOfTwo.seed);
    expect(forkOfOne.uint32()).toBe(forkOfTwo.uint32());
    expect(Number.isSafeInteger(forkOfOne.seed)).toBe(true);
  });
});

describe('seedFromEnv', () => {
  const name = 'NORI_TESTKIT_SEED';
  const withSeed = (text: string | undefined) => {
    if (text === undefined) delete process.env[name];
    else process.env[name] = text;
    try {
      return seedFromEnv(name);
    } finally {
      delete process.env[name];
    }
  };

  test('takes the variable when it is set', () => {
    expect(withSeed('12345')).toBe(12345);
  });

  test('makes a new seed when it is not set', () => {
    const seed = withSeed(undefined);
    expect(Number.isSafeInteger(seed) && seed >= 0).toBe(true);
  });

  test.each(['x', '-1', '1.5', '9007199254740993000'])('refuses %j', (text) => {
    expect(() => withSeed(text)).toThrow(name);
  });
});
