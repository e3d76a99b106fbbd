// Runs seeds: one at a time, or many with their statistics.
import { checkLinearizability } from 'nori-testkit';
import { makePlan, type Plan } from './plan.js';
import { mapModel } from './replicated-map.js';
import { type SimStats, Simulation } from './simulation.js';
import { type TraceLine, traceText } from './trace.js';
import { SimViolation } from './violation.js';

/** Options of {@link runSeed}. */
export interface RunOptions {
  /** Default: what the seed says. */
  readonly plan?: Plan;
  /** Keep a trace for people. */
  readonly recording?: boolean;
}

/** Why a run failed. */
export interface FoundViolation {
  /** Which invariant, or `exception`. */
  readonly kind: string;
  readonly message: string;
  readonly atMs: number;
  readonly stack: string;
}

export interface RunResult {
  readonly ok: boolean;
  readonly violation: FoundViolation | undefined;
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly stats: SimStats;
  readonly lines: readonly TraceLine[];
}

/** Runs one seed to its end, or to the first violation. The same seed and plan always give the same result. */
export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  const simulation = new Simulation(seed, options.plan ?? makePlan(seed), options.recording === true);
  let violation: FoundViolation | undefined;
  try {
    simulation.run();
    checkHistory(simulation);
  } catch (error) {
    violation = describe(error, simulation.nowMs);
    if (options.recording === true) simulation.describeNodes();
  }
  const { stats, trace } = simulation;
  stats.virtualMs = simulation.nowMs;
  stats.events = simulation.step;
  stats.committed = simulation.invariants.committed;
  stats.elections = simulation.invariants.leaderOfTerm.size;
  for (const { completed } of simulation.clients) {
    for (const kind of Object.keys(completed) as (keyof typeof completed)[]) stats.completed[kind] += completed[kind];
  }
  return {
    ok: violation === undefined,
    violation,
    traceHash: trace.hash,
    virtualMs: simulation.nowMs,
    stats,
    lines: trace.lines,
  };
}

function checkHistory(simulation: Simulation): void {
  const verdict = checkLinearizability(mapModel, simulation.history);
  simulation.stats.checkerSteps = verdict.steps;
  if (verdict.result === 'linearizable') return;
  const text = verdict.result === 'undecided' ? 'The checker gave up.' : verdict.violation.text;
  throw new SimViolation(verdict.result, text, 0);
}

function describe(error: unknown, atMs: number): FoundViolation {
  const { message, stack } = error as Error;
  const kind = error instanceof SimViolation ? error.kind : 'exception';
  return { kind, message, atMs, stack: stack ?? '' };
}

/** What a failure says, with the end of its trace, and how to see it again. */
export function failureText(seed: number, result: RunResult, linesMax = 60): string {
  const { violation, lines } = result;
  return [
    `Seed ${seed} fails at ${violation?.atMs.toFixed(2)} ms: ${violation?.kind}`,
    violation?.message ?? '',
    traceText(lines, linesMax),
    violation?.kind === 'exception' ? violation.stack : '',
  ]
    .filter((part) => part !== '')
    .join('\n');
}
