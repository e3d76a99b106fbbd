// Many seeds in a test, and what they must have covered together: a simulation in which nothing happens proves nothing.
import { seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { FAULT_TYPES } from './plan.js';
import { failureText, runSeed } from './run-seeds.js';
import { shrink, shrunkText } from './shrink.js';
import type { SimStats } from './simulation.js';

/** Seeds of one test: few enough that a run shows how far it is. */
const SEEDS_EACH = 50;
/** Far more than it takes; runs are not timed. */
const TIMEOUT_MS = 600_000;

/** Runs a seed; when it fails, says all there is to say, cut down, and fails the test. */
function mustPass(seed: number): SimStats {
  const result = runSeed(seed);
  if (result.ok) return result.stats;
  const full = failureText(seed, runSeed(seed, { recording: true }));
  const shrunk = shrunkText(shrink(seed));
  throw new Error(
    `${full}\n\nCut down:\n${shrunk}\n\nAgain: NORI_SEED=${seed} npx vitest run packages/nori-raft/test/simulation`,
  );
}

/** What came of a batch. */
interface Totals {
  seeds: number;
  readonly sums: Map<string, number>;
}

function add(totals: Totals, stats: SimStats): void {
  totals.seeds++;
  const { faults, completed, ...numbers } = stats;
  const all = { ...numbers, ...completed, ...faults };
  for (const [name, value] of Object.entries(all)) totals.sums.set(name, (totals.sums.get(name) ?? 0) + value);
}

/** At least so many a seed, on average of a batch. */
const LEAST: Readonly<Record<string, number>> = {
  elections: 2,
  crashes: 4,
  crashesAtPoints: 0.4,
  failStops: 0.4,
  configs: 0.8,
  snapshots: 8,
  installs: 0.6,
  committed: 120,
  write: 90,
  lease: 25,
  index: 15,
  follower: 20,
  log: 8,
};

function expectCoverage({ seeds, sums }: Totals): void {
  const sum = (name: string) => sums.get(name) ?? 0;
  for (const [name, least] of Object.entries(LEAST)) {
    expect(sum(name) / seeds, `${name} a seed, over ${seeds} seeds`).toBeGreaterThan(least);
  }
  expect(sum('tornTails')).toBeGreaterThan(0);
  expect(sum('removed')).toBeGreaterThan(0);
  // Few outcomes may stay unknown: each lets the checker see less.
  expect(sum('unknown') / sum('write')).toBeLessThan(0.1);
  for (const type of FAULT_TYPES) expect(sum(type), type).toBeGreaterThan(0);
}

function integer(name: string, or: number): number {
  const text = process.env[name];
  return text === undefined || text === '' ? or : Number(text);
}

/**
 * One of `parts` files that share the seeds, so that they run side by side.
 *
 * `NORI_SEED=n` runs that seed alone, `NORI_SEEDS` says how many there are and `NORI_SEED_FROM` with which they begin,
 * `NORI_SOAK_MS` runs fresh seeds for that long.
 */
export function testSeeds(part: number, parts: number): void {
  if (process.env.NORI_SEED !== undefined) {
    const seed = seedFromEnv();
    if (seed % parts === part) test(`seed ${seed}`, { timeout: TIMEOUT_MS }, () => void mustPass(seed));
    return;
  }
  const soakMs = integer('NORI_SOAK_MS', 0);
  if (soakMs > 0) {
    test(`seeds for ${soakMs} ms`, { timeout: soakMs + TIMEOUT_MS }, () => soak(soakMs));
    return;
  }
  const from = integer('NORI_SEED_FROM', 1);
  const count = integer('NORI_SEEDS', 1000);
  const mine = Math.floor((count * (part + 1)) / parts) - Math.floor((count * part) / parts);
  const first = from + Math.floor((count * part) / parts);
  const totals: Totals = { seeds: 0, sums: new Map() };
  for (let at = 0; at < mine; at += SEEDS_EACH) {
    const until = Math.min(at + SEEDS_EACH, mine);
    test(`seeds ${first + at} to ${first + until - 1} hold all invariants and recover`, { timeout: TIMEOUT_MS }, () => {
      for (let i = at; i < until; i++) add(totals, mustPass(first + i));
    });
  }
  test('together these seeds have met every fault, and done enough between them', () => {
    if (totals.seeds < mine) throw new Error('Some seeds failed.');
    if (totals.seeds >= 100) expectCoverage(totals);
  });
}

function soak(soakMs: number): void {
  const endAtMs = performance.now() + soakMs;
  const first = Math.floor(Math.random() * 2 ** 40);
  let seed = first;
  while (performance.now() < endAtMs) mustPass(seed++);
  process.stdout.write(`${seed - first} seeds from ${first} on\n`);
}
