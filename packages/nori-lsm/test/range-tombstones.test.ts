// The set of range tombstones against a list that is searched from one end to the other.
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { compareKeys } from '../src/bytes.js';
import { RangeProbe, type RangeTombstone, RangeTombstones } from '../src/range-tombstones.js';
import { hardKeys, withSeed } from './support.js';

const ROUNDS = Number(process.env.NORI_ROUNDS ?? 60);
const NO_END = new Uint8Array(0);

const isIn = ({ start, end }: RangeTombstone, key: Uint8Array): boolean =>
  compareKeys(start, key) <= 0 && (end.length === 0 || compareKeys(key, end) < 0);

const randomList = (rng: Rng, keys: readonly Uint8Array[]): RangeTombstone[] => {
  let seq = 0;
  const list = Array.from({ length: rng.int(20) }, () => {
    const [start, end] = [rng.pick(keys), rng.pick(keys)].sort(compareKeys);
    seq += rng.range(1, 5);
    return { seq, start: start!, end: rng.chance(0.1) ? NO_END : end! };
  });
  return list.filter(({ start, end }) => end.length === 0 || compareKeys(start, end) < 0);
};

test(`${ROUNDS} random sets answer as a plain list does`, async () => {
  const first = seedFromEnv();
  const root = new Rng(first);
  for (let round = 0; round < ROUNDS; round++) {
    const seed = round === 0 ? first : root.uint32();
    await withSeed(seed, () => {
      const rng = new Rng(seed);
      const keys = hardKeys(rng, rng.range(2, 30));
      const list = randomList(rng, keys);
      const whole = RangeTombstones.of(list);
      const grown = list.reduce((set, tombstone) => set.with(tombstone), RangeTombstones.EMPTY);
      const probe = new RangeProbe(grown);
      for (let i = 0; i < 200; i++) {
        const key = rng.chance(0.2) ? rng.bytes(rng.int(6)) : rng.pick(keys);
        const [entrySeq, readSeq] = [rng.int(60), rng.int(60)];
        const covering = list.filter((tombstone) => isIn(tombstone, key)).map(({ seq }) => seq);
        const hidden = covering.some((seq) => seq > entrySeq && seq <= readSeq);
        const oldest = Math.min(...covering.filter((seq) => seq > entrySeq));
        for (const set of [whole, grown]) {
          expect(set.hides(key, entrySeq, readSeq)).toBe(hidden);
          const interval = set.intervalOf(key, 0, key.length);
          expect(set.oldestAbove(interval, entrySeq)).toBe(Number.isFinite(oldest) ? oldest : 0);
        }
        expect(probe.hides(key, 0, key.length, entrySeq, readSeq)).toBe(hidden);
      }
    });
  }
});

test('what newer ones hide from the same readers is not needed', async () => {
  const first = seedFromEnv();
  const root = new Rng(first);
  for (let round = 0; round < ROUNDS; round++) {
    const seed = round === 0 ? first : root.uint32();
    await withSeed(seed, () => {
      const rng = new Rng(seed);
      const keys = hardKeys(rng, rng.range(2, 10));
      const list = randomList(rng, keys);
      const newest = list.at(-1)?.seq ?? 0;
      const snapshots = Array.from({ length: rng.int(3) }, () => rng.range(0, newest)).sort((a, b) => a - b);
      const needed = RangeTombstones.of(list).needed(snapshots);
      const left = RangeTombstones.of(list.filter(({ seq }) => needed.has(seq)));
      const all = RangeTombstones.of(list);
      for (let i = 0; i < 100; i++) {
        const key = rng.pick(keys);
        const entrySeq = rng.int(newest + 2);
        const readSeq = rng.pick([...snapshots, newest]);
        expect(left.hides(key, entrySeq, readSeq)).toBe(all.hides(key, entrySeq, readSeq));
      }
    });
  }
});
