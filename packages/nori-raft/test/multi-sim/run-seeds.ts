// Runs seeds of many groups, one at a time.
import { checkLinearizability } from 'nori-testkit';
import { mapModel } from '../sim/replicated-map.js';
import type { FoundViolation } from '../sim/run-seeds.js';
import { type TraceLine, traceText } from '../sim/trace.js';
import { SimViolation } from '../sim/violation.js';
import { type MultiPlan, makeMultiPlan } from './plan.js';
import { MultiSimulation, type MultiSimulationOptions } from './simulation.js';
import type { MultiStats } from './stats.js';

/** Options of {@link runMultiSeed}. */
export interface MultiRunOptions extends MultiSimulationOptions {
  /** Default: what the seed says. */
  readonly plan?: MultiPlan;
}

export interface MultiRunResult {
  readonly violation: FoundViolation | undefined;
  readonly traceHash: string;
  readonly stats: MultiStats;
  readonly lines: readonly TraceLine[];
}

/** Runs one seed to its end, or to the first violation. The same seed and plan always give the same result. */
export async function runMultiSeed(seed: number, options: MultiRunOptions = {}): Promise<MultiRunResult> {
  const simulation = new MultiSimulation(options.plan ?? makeMultiPlan(seed), options);
  let violation: FoundViolation | undefined;
  const { stackTraceLimit } = Error;
  // Thousands of calls are refused: stacks would be what takes the longest.
  if (options.recording !== true) Error.stackTraceLimit = 0;
  try {
    await simulation.run();
    checkHistories(simulation);
  } catch (error) {
    const { message, stack } = error as Error;
    const kind = error instanceof SimViolation ? error.kind : 'exception';
    violation = { kind, message, atMs: simulation.nowMs, stack: stack ?? '' };
    simulation.describe();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  const { stats, trace, clients, groups } = simulation;
  stats.virtualMs = simulation.nowMs;
  stats.events = simulation.step;
  for (const { invariants } of groups.values()) {
    stats.committed += invariants.committed;
    stats.elections += invariants.leaderOfTerm.size;
  }
  for (const { completed } of clients) {
    for (const kind of Object.keys(completed) as (keyof typeof completed)[]) stats.completed[kind] += completed[kind];
  }
  return { violation, traceHash: trace.hash, stats, lines: trace.lines };
}

function checkHistories({ groups, history, stats }: MultiSimulation): void {
  for (const id of groups.keys()) {
    const own = history.filter(({ group }) => group === id).map(({ operation }) => operation);
    const verdict = checkLinearizability(mapModel, own);
    stats.checkerSteps += verdict.steps;
    if (verdict.result === 'linearizable') continue;
    const text = verdict.result === 'undecided' ? 'The checker gave up.' : verdict.violation.text;
    throw new SimViolation(verdict.result, `Group ${id}: ${text}`, 0);
  }
}

/** What a failure says, with the end of its trace. */
export function multiFailureText(seed: number, { violation, lines }: MultiRunResult, linesMax = 60): string {
  return [
    `Seed ${seed} fails at ${violation?.atMs.toFixed(2)} ms: ${violation?.kind}`,
    violation?.message ?? '',
    traceText(lines, linesMax),
    violation?.kind === 'exception' ? violation.stack : '',
  ]
    .filter((part) => part !== '')
    .join('\n');
}
