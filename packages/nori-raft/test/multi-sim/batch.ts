// Many seeds of many groups in a test, and what they must have covered together: a simulation in which nothing happens proves
// nothing.
import { seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { MULTI_FAULT_TYPES } from './plan.js';
import { type MultiRunResult, multiFailureText, runMultiSeed } from './run-seeds.js';
import { shrinkMulti, shrunkMultiText } from './shrink.js';

/** Seeds of one test: few enough that a run shows how far it is. */
const SEEDS_EACH = 20;
/** Far more than it takes; runs are not timed. */
const TIMEOUT_MS = 600_000;

/** Runs a seed; when it fails, says all there is to say, cut down, and fails the test. */
async function mustPass(seed: number): Promise<MultiRunResult> {
  const result = await runMultiSeed(seed);
  if (result.violation === undefined) return result;
  const full = multiFailureText(seed, await runMultiSeed(seed, { recording: true }));
  const shrunk = shrunkMultiText(await shrinkMulti(seed));
  throw new Error(
    `${full}\n\nCut down:\n${shrunk}\n\nAgain: NORI_SEED=${seed} npx vitest run packages/nori-raft/test/multi-simulation`,
  );
}

/** At least so many a seed, on average of a batch. */
const LEAST: Readonly<Record<string, number>> = {
  elections: 5,
  crashes: 4,
  crashesAtOperations: 0.5,
  failStops: 0.2,
  opensWithMore: 0.2,
  configs: 0.7,
  removed: 0.2,
  snapshotsSent: 1,
  installs: 1,
  checkpoints: 5,
  committed: 60,
  frames: 1500,
  framesLost: 20,
  write: 30,
  lease: 10,
  index: 4,
  follower: 6,
  log: 2,
};

function expectCoverage(results: readonly MultiRunResult[]): void {
  const sums = new Map<string, number>();
  for (const { stats } of results) {
    const { faults, completed, ...numbers } = stats;
    for (const [name, value] of Object.entries({ ...numbers, ...completed, ...faults })) {
      sums.set(name, (sums.get(name) ?? 0) + value);
    }
  }
  const sum = (name: string) => sums.get(name) ?? 0;
  for (const [name, least] of Object.entries(LEAST)) {
    expect(sum(name) / results.length, `${name} a seed, over ${results.length} seeds`).toBeGreaterThan(least);
  }
  for (const name of ['refusals', 'noSpace', 'damagesFound', 'resurrectionsTried'])
    expect(sum(name), name).toBeGreaterThan(0);
  // Few outcomes may stay unknown: each lets the checker see less.
  expect(sum('unknown') / sum('write')).toBeLessThan(0.2);
  for (const type of MULTI_FAULT_TYPES) expect(sum(type), type).toBeGreaterThan(0);
}

function integer(name: string, or: number): number {
  const text = process.env[name];
  return text === undefined || text === '' ? or : Number(text);
}

/**
 * `NORI_SEED=n` runs that seed alone, `NORI_SEEDS` says how many there are and `NORI_SEED_FROM` with which they begin,
 * `NORI_SOAK_MS` runs fresh seeds for that long.
 */
export function testMultiSeeds(): void {
  if (process.env.NORI_SEED !== undefined) {
    const seed = seedFromEnv();
    test(`seed ${seed}`, { timeout: TIMEOUT_MS }, () => mustPass(seed));
    return;
  }
  const soakMs = integer('NORI_SOAK_MS', 0);
  if (soakMs > 0) {
    test(`seeds for ${soakMs} ms`, { timeout: soakMs + TIMEOUT_MS }, () => soak(soakMs));
    return;
  }
  const from = integer('NORI_SEED_FROM', 1);
  const count = integer('NORI_SEEDS', 100);
  const results: MultiRunResult[] = [];
  for (let at = 0; at < count; at += SEEDS_EACH) {
    const until = Math.min(at + SEEDS_EACH, count);
    test(`seeds ${from + at} to ${from + until - 1} hold all invariants and recover`, {
      timeout: TIMEOUT_MS,
    }, async () => {
      for (let i = at; i < until; i++) results.push(await mustPass(from + i));
    });
  }
  test('together these seeds have met every fault, and done enough between them', () => {
    if (results.length < count) throw new Error('Some seeds failed.');
    if (count >= 100) expectCoverage(results);
  });
}

async function soak(soakMs: number): Promise<void> {
  const endAtMs = performance.now() + soakMs;
  const first = Math.floor(Math.random() * 2 ** 40);
  let seed = first;
  while (performance.now() < endAtMs) await mustPass(seed++);
  process.stdout.write(`${seed - first} seeds of many groups from ${first} on\n`);
}
