// Bugs of MultiRaft and of its log are put into the code, one at a time, and the simulation of many groups must find them.
//
// Short form: each mutant gets the seed that MUTANTS.md says finds it, and some more if that does not, since seeds do other
// things whenever the simulation changes. Long form: NORI_RAFT_MUTANT_SEEDS=1000 hunts all of them from seed 1 on. What the
// table says survived is skipped in the short form.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { MULTI_MUTANTS } from './mutants/multi-mutants.js';
import { MUTANTS } from './mutants/mutants.js';
import { recordedSeeds } from './mutants/recorded-seeds.js';
import { type Hunt, hunt } from './mutants/run-mutant.js';

const SEEDS_MAX = process.env.NORI_RAFT_MUTANT_SEEDS;
/** Seeds that a mutant gets when the recorded one does not find it any more. */
const SEEDS_MORE = 60;
const TIMEOUT_MS = 900_000;

const recorded = recordedSeeds();

test('mutants of many groups have ids of their own, and are in the table', () => {
  const ids = [...MUTANTS, ...MULTI_MUTANTS].map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const table = readFileSync(new URL('../MUTANTS.md', import.meta.url), 'utf8');
  expect(ids.filter((id) => !table.includes(`| \`${id}\` |`))).toEqual([]);
});

test('the simulation of many groups finds nothing wrong with the code as it is', { timeout: TIMEOUT_MS }, async () => {
  const { result, seeds, violation } = await hunt([], { seedsMax: Number(SEEDS_MAX ?? 5), simulator: 'multi' });
  expect(result, `seed ${seeds}: ${violation}`).toBe('survived');
});

for (const { id, what, patches } of MULTI_MUTANTS) {
  test.skipIf(SEEDS_MAX === undefined && !recorded.has(id))(`${id}: ${what}`, { timeout: TIMEOUT_MS }, async () => {
    let found: Hunt;
    if (SEEDS_MAX !== undefined) found = await hunt(patches, { seedsMax: Number(SEEDS_MAX), simulator: 'multi' });
    else {
      found = await hunt(patches, { from: recorded.get(id)!, seedsMax: 1, simulator: 'multi' });
      if (found.result === 'survived') found = await hunt(patches, { seedsMax: SEEDS_MORE, simulator: 'multi' });
    }
    expect(found.result, `after ${found.seeds} seeds`).toBe('caught');
  });
}
