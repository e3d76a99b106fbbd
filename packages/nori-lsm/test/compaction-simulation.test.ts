// What compaction costs: small databases in memory, without threads and clocks, so that every figure is a count that a seed
// repeats. The bounds are generous; what is measured stands beside them. `NORI_ROUNDS=n` makes the loads n times as long.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { inlineExecutor, Lsm, type LsmOptions, type LsmStats, WriteBatch } from '../src/index.js';
import { utf8, withSeed } from './support.js';

const DIR = '/db';
const KEYS = 30_000 * Number(process.env.NORI_ROUNDS ?? 1);
const PUTS = KEYS;
/** A 512th of the defaults. */
const SMALL: Partial<LsmOptions> = { memtableBytes: 65_536, tableBytes: 16_384, blockBytes: 1024, blockCacheBytes: 0 };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const key = (i: number): Uint8Array => utf8(String(i).padStart(16, '0'));

interface Outcome {
  readonly stats: LsmStats;
  /** Bytes of all tables over those that the same entries need when they are settled. */
  readonly space: number;
}

/** Writes, waits for compaction to rest, and measures. */
const simulate = async (next: (i: number) => number, options: Partial<LsmOptions> = {}): Promise<Outcome> => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs, wal: false, executor: inlineExecutor(fs), ...SMALL, ...options });
  const batch = new WriteBatch();
  const value = new Uint8Array(100);
  for (let i = 0; i < PUTS; i++) {
    batch.clear();
    while (db.stalled) await db.whenWritable();
    db.apply(batch.put(key(next(i)), value));
    if (i % 200 === 0) await turn();
  }
  await db.flush();
  await atRest(db);
  const stats = db.stats();
  await db.compact();
  const settled = db.stats();
  expect((await db.verify()).problems).toEqual([]);
  await db.close();
  return { stats, space: stats.tableBytes / settled.tableBytes };
};

const atRest = async (db: Lsm): Promise<void> => {
  for (let before = -1; before !== db.stats().compactions; ) {
    before = db.stats().compactions;
    for (let i = 0; i < 100; i++) await turn();
  }
};

test('write amplification and space stay low for uniform, skewed and sequential writes', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, async () => {
    const uniform = new Rng(seed);
    const one = await simulate(() => uniform.int(KEYS));
    // Measured: 4.0 and 1.10.
    expect(one.stats.writeAmplification).toBeLessThan(8);
    expect(one.space).toBeLessThan(1.25);
    const skewed = new Rng(seed + 1);
    const two = await simulate(() => Math.floor(KEYS * (skewed.int(KEYS) / KEYS) ** 4));
    // Measured: 3.4 and 1.10.
    expect(two.stats.writeAmplification).toBeLessThan(7);
    expect(two.space).toBeLessThan(1.25);
    const three = await simulate((i) => i);
    // Tables that meet nothing only move.
    expect(three.stats.compactionWrittenBytes).toBe(0);
    expect(three.space).toBeLessThan(1.05);
    for (const { stats } of [one, two, three]) {
      expect(stats.levels.every(({ score }) => score < 1)).toBe(true);
      expect(stats.pendingCompactionBytes).toBe(0);
      expect(stats.spaceAmplification).toBeLessThan(1.35);
    }
  });
}, 60_000);

test('deep trees have targets from the bottom up, and converge to them', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, async () => {
    const rng = new Rng(seed);
    const { stats, space } = await simulate(() => rng.int(KEYS), { levelBytesBase: 65_536, l0Trigger: 2 });
    const used = stats.levels.filter(({ level, tables }) => level > 0 && tables > 0);
    expect(used.map(({ level }) => level)).toEqual([4, 5, 6].slice(-used.length));
    expect(used.length).toBeGreaterThan(1);
    for (const { bytes, targetBytes } of used) expect(bytes).toBeLessThanOrEqual(targetBytes);
    expect(space).toBeLessThan(1.25);
  });
}, 60_000);

test('many small flushes are merged among themselves before they are merged into much more', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, async () => {
    const rng = new Rng(seed);
    const { stats } = await simulate(() => rng.int(KEYS), { memtableBytes: 4096, levelBytesBase: 524_288 });
    // Measured: 7.2; without merges within L0: 13.
    expect(stats.writeAmplification).toBeLessThan(10);
  });
}, 60_000);
