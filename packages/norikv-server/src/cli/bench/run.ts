// One bench run: write the keys, warm up, measure, report.
import { type Clock, systemClock } from 'nori-io';
import type { NoriClient } from 'norikv-client';
import { runClosedLoop, runOpenLoop } from './loops.js';
import type { BenchPlan, OperationName } from './plan.js';
import { type PreloadProgress, preload } from './preload.js';
import { type OperationResult, Recorder } from './recorder.js';
import { Workload } from './workload.js';

/** What a run found. Times in seconds and milliseconds as the names say. */
export interface BenchReport {
  readonly plan: BenchPlan;
  readonly preload: { readonly keys: number; readonly seconds: number; readonly throughputPerS: number } | undefined;
  /** Answers a second over all kinds of operations in the measured time. */
  readonly throughputPerS: number;
  /** Open loop only: operations that could not be started because too many were unanswered. */
  readonly unstarted: number;
  /** Load of this process while it measured, percent of one core: above 90, it measured itself. */
  readonly generatorCpuPercent: number;
  readonly operations: Partial<Record<OperationName, OperationResult>>;
}

const PROGRESS_INTERVAL_MS = 1000;

/** Runs a plan; `say` gets a line of progress a second. */
export const runBench = async (
  client: NoriClient,
  plan: BenchPlan,
  say: (line: string) => void,
  clock: Clock = systemClock,
): Promise<BenchReport> => {
  const workload = new Workload(plan);
  const preloaded = plan.preload ? await runPreload(client, workload, plan, say, clock) : undefined;
  if (plan.durationS === 0) {
    return {
      plan,
      preload: preloaded,
      throughputPerS: 0,
      unstarted: 0,
      generatorCpuPercent: preloaded?.cpuPercent ?? 0,
      operations: {},
    };
  }
  const fromMs = clock.monotonic() + plan.warmupS * 1000;
  const endMs = fromMs + plan.durationS * 1000;
  const recorder = new Recorder(fromMs, endMs);
  const context = { client, workload, recorder, clock, endMs };
  const startMs = clock.monotonic();
  const cpu = process.cpuUsage();
  let previous = 0;
  const progress = everySecond(clock, () => {
    const seconds = Math.round((clock.monotonic() - startMs) / 1000);
    const phase = clock.monotonic() < fromMs ? 'warming up' : 'measuring';
    say(`${seconds} s ${phase}: ${formatCount(recorder.total - previous)} operations/s`);
    previous = recorder.total;
  });
  let unstarted = 0;
  if (plan.ratePerS === undefined) await runClosedLoop(context, plan.callers);
  else unstarted = await runOpenLoop(context, plan.ratePerS, plan.callers);
  progress.stop();
  const operations = recorder.results(plan.mix);
  const throughputPerS = Object.values(operations).reduce((sum, result) => sum + result.throughputPerS, 0);
  const generatorCpuPercent = cpuPercent(cpu, clock.monotonic() - startMs);
  return { plan, preload: preloaded, throughputPerS, unstarted, generatorCpuPercent, operations };
};

const runPreload = async (
  client: NoriClient,
  workload: Workload,
  plan: BenchPlan,
  say: (line: string) => void,
  clock: Clock,
) => {
  const startMs = clock.monotonic();
  const cpu = process.cpuUsage();
  const written: PreloadProgress = { written: 0 };
  const progress = everySecond(clock, () =>
    say(`writing keys: ${formatCount(written.written)} of ${formatCount(plan.keys)}`),
  );
  try {
    await preload(client, workload, plan.keys, clock, written);
  } finally {
    progress.stop();
  }
  const elapsedMs = clock.monotonic() - startMs;
  const seconds = elapsedMs / 1000;
  return { keys: plan.keys, seconds, throughputPerS: plan.keys / seconds, cpuPercent: cpuPercent(cpu, elapsedMs) };
};

/** CPU time of this process since `before` as a share of `elapsedMs`. */
const cpuPercent = (before: NodeJS.CpuUsage, elapsedMs: number): number => {
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 10 / elapsedMs;
};

const everySecond = (clock: Clock, fn: () => void): { stop(): void } => {
  const arm = () =>
    clock.setTimer(PROGRESS_INTERVAL_MS, () => {
      fn();
      timer = arm();
    });
  let timer = arm();
  return { stop: () => timer.cancel() };
};

/** `12,345`. */
export const formatCount = (count: number): string => Math.round(count).toLocaleString('en-US');
