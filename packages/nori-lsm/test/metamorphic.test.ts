// Random operations under random options, compared with a sorted map: with restarts under other options, killed processes
// and power failures, after which the model is cut back to what was recovered.
//
// Many short runs in `npm test`; the soak is
//   NORI_ROUNDS=300 NORI_STEPS=3000 npx vitest run packages/nori-lsm/test/metamorphic.test.ts
// A failing run is shortened, and printed with the seed that repeats it alone (NORI_SEED).
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { type PlannedStep, plan } from './metamorphic/plan.js';
import { Run } from './metamorphic/run.js';
import { STEPS } from './metamorphic/steps.js';

const RUNS = Number(process.env.NORI_ROUNDS ?? (process.env.NORI_SEED === undefined ? 1500 : 1));
const STEPS_MAX = Number(process.env.NORI_STEPS ?? 60);
const TRIES_TO_SHORTEN = 300;
const TRACE_LINES_MAX = 60;

/** How a run went: what it did, and why it failed if it did. */
interface Outcome {
  readonly notes: readonly string[];
  readonly error: unknown;
}

const perform = async (seed: number, steps: readonly PlannedStep[]): Promise<Outcome> => {
  let run: Run | undefined;
  try {
    run = await Run.start(seed);
    for (const { name, seed: stepSeed } of steps) {
      const rng = new Rng(stepSeed);
      await STEPS[name]!.run(run, rng);
      await run.recoverIfDead(rng);
    }
    await run.finish();
    return { notes: run.notes, error: undefined };
  } catch (error) {
    await run?.db?.close().catch(() => {});
    return { notes: run?.notes ?? [], error };
  }
};

/** Leaves out steps for as long as the run still fails; the shortest failing run found. */
const shorten = async (seed: number, steps: readonly PlannedStep[], failed: Outcome): Promise<Outcome> => {
  let shortest = steps;
  let outcome = failed;
  let tries = 0;
  for (let chunk = steps.length >> 1; chunk >= 1; chunk >>= 1) {
    for (let at = 0; at < shortest.length && tries < TRIES_TO_SHORTEN; ) {
      const fewer = [...shortest.slice(0, at), ...shortest.slice(at + chunk)];
      const found = await perform(seed, fewer);
      tries++;
      if (found.error === undefined) at += chunk;
      else [shortest, outcome] = [fewer, found];
    }
  }
  return outcome;
};

const report = (seed: number, { notes, error }: Outcome): string => {
  const steps = process.env.NORI_STEPS === undefined ? '' : ` NORI_STEPS=${STEPS_MAX}`;
  const trace = notes.slice(-TRACE_LINES_MAX).join('\n  ');
  return `Failed with NORI_SEED=${seed}${steps}: ${(error as Error).stack}\nShortened:\n  ${trace}`;
};

test(`${RUNS} runs of random operations under random options agree with a sorted map`, {
  timeout: 300_000 + RUNS * STEPS_MAX * 10,
}, async () => {
  const first = seedFromEnv();
  const root = new Rng(first);
  let deaths = 0;
  for (let number = 0; number < RUNS; number++) {
    const seed = number === 0 ? first : root.uint32();
    const steps = plan(seed, STEPS_MAX);
    const outcome = await perform(seed, steps);
    if (outcome.error !== undefined) throw new Error(report(seed, await shorten(seed, steps, outcome)));
    deaths += outcome.notes.filter((note) => note.startsWith('  recovered')).length;
  }
  // A proof that tries nothing proves nothing.
  if (RUNS >= 100) expect(deaths).toBeGreaterThan(RUNS / 4);
});
