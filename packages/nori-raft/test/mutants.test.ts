// Each known way to get Raft wrong is put into the code, and the simulator must find it: what no seed finds is not tested.
// NORI_RAFT_MUTANT_SEEDS: how many seeds each mutant gets at most.
import { expect, test } from 'vitest';
import { patched } from './mutants/build.js';
import { MUTANTS } from './mutants/mutants.js';
import { hunt } from './mutants/run-mutant.js';

const SEEDS_MAX = Number(process.env.NORI_RAFT_MUTANT_SEEDS ?? 300);
const TIMEOUT_MS = 600_000;

test('the simulator finds nothing wrong with the code as it is', { timeout: TIMEOUT_MS }, async () => {
  const { result, seeds, violation } = await hunt([], { seedsMax: SEEDS_MAX });
  expect(result, `seed ${seeds}: ${violation}`).toBe('survived');
});

test('mutants have ids of their own, and every item of the checklist has one', () => {
  const ids = MUTANTS.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test('a patch that does not fit exactly once is refused', () => {
  const patch = { file: 'src/x.ts', find: 'a', replace: 'b' };
  expect(patched('xax', [patch])).toBe('xbx');
  expect(() => patched('axa', [patch])).toThrow('2 times');
  expect(() => patched('x', [patch])).toThrow('0 times');
});

for (const { id, what, patches } of MUTANTS) {
  test(`${id}: ${what}`, { timeout: TIMEOUT_MS }, async () => {
    const { result, seeds } = await hunt(patches, { seedsMax: SEEDS_MAX });
    expect(result, `after ${seeds} seeds`).toBe('caught');
  });
}
