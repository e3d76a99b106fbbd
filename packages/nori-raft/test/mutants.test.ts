// Each known way to get Raft wrong is put into the code, and the simulator must find it: what no seed finds is not tested.
//
// Short form: each mutant gets the seed that MUTANTS.md says finds it, and some more if that does not, since seeds do other
// things whenever the simulator changes. Long form: NORI_RAFT_MUTANT_SEEDS=2000 hunts all of them from seed 1 on.
import { expect, test } from 'vitest';
import { patched } from './mutants/build.js';
import { COARSE_PROBES } from './mutants/core-mutants.js';
import { MUTANTS } from './mutants/mutants.js';
import { recordedSeeds } from './mutants/recorded-seeds.js';
import { type Hunt, hunt } from './mutants/run-mutant.js';

const SEEDS_MAX = process.env.NORI_RAFT_MUTANT_SEEDS;
/** Seeds that a mutant gets when the recorded one does not find it any more. */
const SEEDS_MORE = 150;
const TIMEOUT_MS = 900_000;

const recorded = recordedSeeds();

test('the simulator finds nothing wrong with the code as it is', { timeout: TIMEOUT_MS }, async () => {
  const { result, seeds, violation } = await hunt([], { seedsMax: Number(SEEDS_MAX ?? 20) });
  expect(result, `seed ${seeds}: ${violation}`).toBe('survived');
});

test('the simulator finds nothing wrong with coarse probes, which some mutants need', {
  timeout: TIMEOUT_MS,
}, async () => {
  const { result, seeds, violation } = await hunt([COARSE_PROBES], { seedsMax: Number(SEEDS_MAX ?? 20) });
  expect(result, `seed ${seeds}: ${violation}`).toBe('survived');
});

test('mutants have ids of their own, and are in the table', () => {
  const ids = MUTANTS.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.filter((id) => !recorded.has(id))).toEqual([]);
});

test('a patch that does not fit exactly once is refused', () => {
  const patch = { file: 'src/x.ts', find: 'a', replace: 'b' };
  expect(patched('xax', [patch])).toBe('xbx');
  expect(() => patched('axa', [patch])).toThrow('2 times');
  expect(() => patched('x', [patch])).toThrow('0 times');
});

for (const { id, what, patches } of MUTANTS) {
  test(`${id}: ${what}`, { timeout: TIMEOUT_MS }, async () => {
    let found: Hunt;
    if (SEEDS_MAX !== undefined) found = await hunt(patches, { seedsMax: Number(SEEDS_MAX) });
    else {
      found = await hunt(patches, { from: recorded.get(id) ?? 1, seedsMax: 1 });
      if (found.result === 'survived') found = await hunt(patches, { seedsMax: SEEDS_MORE });
    }
    expect(found.result, `after ${found.seeds} seeds`).toBe('caught');
  });
}
