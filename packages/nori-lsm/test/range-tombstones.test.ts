// The set of range tombstones against a list that is searched from one end to the other.
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { compareKeys } from '../src/bytes.js';
import { neededBeside, RangeProbe, type RangeTombstone, RangeTombstones } from '../src/range-tombstones.js';
import { hardKeys, withSeed } from './support.js';

const ROUNDS = Number(process.env.NORI_ROUNDS ?? 100);
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

const hides = (list: readonly RangeTombstone[], key: Uint8Array, entrySeq: number, readSeq: number): boolean =>
  list.some((tombstone) => isIn(tombstone, key) && tombstone.seq > entrySeq && tombstone.seq <= readSeq);

/** Everything that is asked of a set. */
interface Case {
  readonly list: readonly RangeTombstone[];
  readonly snapshots: readonly number[];
  readonly keys: readonly Uint8Array[];
  readonly newest: number;
}

const check = (name: string, set: RangeTombstones, { list, snapshots, keys, newest }: Case, rng: Rng): void => {
  const probe = new RangeProbe(set);
  const wrong: unknown[] = [];
  const sorted = Array.from({ length: 60 }, () => (rng.chance(0.2) ? rng.bytes(rng.int(6)) : rng.pick(keys)));
  sorted.sort(rng.chance(0.5) ? compareKeys : (a, b) => compareKeys(b, a));
  for (const key of sorted) {
    const entrySeq = rng.int(newest + 3);
    const readSeq = rng.pick([...snapshots, newest, newest + 7]);
    const expected = hides(list, key, entrySeq, readSeq);
    if (set.hides(key, entrySeq, readSeq) !== expected) wrong.push([name, 'set', key, entrySeq, readSeq, expected]);
    if (probe.hides(key, 0, key.length, entrySeq, readSeq) !== expected) {
      wrong.push([name, 'probe', key, entrySeq, readSeq, expected]);
    }
    // What a compaction leaves out: what no reader sees.
    const hiddenFrom = set.oldestAbove(set.intervalOf(key, 0, key.length), entrySeq);
    const readers = [...snapshots.filter((at) => at >= entrySeq), newest + 1];
    const isSeen = readers.some((at) => !hides(list, key, entrySeq, at));
    const drops = hiddenFrom !== 0 && !snapshots.some((at) => at >= entrySeq && at < hiddenFrom);
    if (entrySeq <= newest && drops === isSeen) wrong.push([name, 'drop', key, entrySeq, hiddenFrom]);
  }
  expect(wrong).toEqual([]);
};

test(`${ROUNDS} random sets answer as a plain list does, to all readers there can be`, async () => {
  const first = seedFromEnv();
  const root = new Rng(first);
  for (let round = 0; round < ROUNDS; round++) {
    const seed = round === 0 ? first : root.uint32();
    await withSeed(seed, () => {
      const rng = new Rng(seed);
      const keys = hardKeys(rng, rng.range(2, 30));
      const list = randomList(rng, keys);
      const newest = list.at(-1)?.seq ?? 0;
      const snapshots = Array.from({ length: rng.int(4) }, () => rng.range(0, newest + 1)).sort((a, b) => a - b);
      const known = { list, snapshots, keys, newest };
      const whole = RangeTombstones.of(list, snapshots);
      check('made at once', whole, known, rng);
      check('without what is needless', RangeTombstones.of(whole.prunedList, snapshots), known, rng);
      // One after the other, while snapshots are opened.
      const then = (seq: number): number[] => snapshots.filter((at) => at < seq);
      const grown = list.reduce((set, one) => set.with(one, then(one.seq)), RangeTombstones.EMPTY);
      check('grown', grown, known, rng);
      const kept = list.reduce<RangeTombstone[]>((sofar, one) => [...neededBeside(one, sofar, then(one.seq)), one], []);
      check('of what was kept', RangeTombstones.of(kept, snapshots), known, rng);
    });
  }
});

// Minutes rather than seconds: a machine with other work takes three times as long as an idle one.
test('ranges that overlap in every way take linear room', { timeout: 180_000 }, () => {
  const key = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 255);
  const nested = Array.from({ length: 20_000 }, (_, i) => ({ seq: i + 1, start: key(0), end: key(i + 1) }));
  const grown = nested.slice(0, 3000).reduce((set, one) => set.with(one, []), RangeTombstones.EMPTY);
  expect(grown.list.length).toBe(1);
  expect(RangeTombstones.of(nested, []).prunedList.length).toBe(1);
  const stairs = nested.map(({ seq }, i) => ({ seq, start: key(i), end: key(i + 10_000) }));
  expect(RangeTombstones.of(stairs, []).prunedList.length).toBe(20_000);
  expect(RangeTombstones.of(stairs, [5, 5000, 15_000]).hides(key(9000), 1, 30_000)).toBe(true);
});
