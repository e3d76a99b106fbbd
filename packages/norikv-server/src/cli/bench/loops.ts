// How operations are started. Closed loop: each caller starts its next operation when it has the answer to the last, so
// a slow node gets less load. Open loop: operations start at fixed times whatever the node does, and their latency counts
// from the planned start, so that waiting behind a slow answer is seen ("coordinated omission" is avoided).
import type { Clock } from 'nori-io';
import type { NoriClient } from 'norikv-client';
import type { OperationName } from './plan.js';
import type { Recorder } from './recorder.js';
import type { Workload } from './workload.js';

/** What both loops work with. */
export interface LoopContext {
  readonly client: NoriClient;
  readonly workload: Workload;
  readonly recorder: Recorder;
  readonly clock: Clock;
  /** No operation starts after this. */
  readonly endMs: number;
}

/** How long a caller waits after an error, so that a node that refuses at once is not hammered. */
const PAUSE_AFTER_ERROR_MS = 10;
/** Waits shorter than this are spent turning the event loop: timers come up to a millisecond late. */
const TIMER_WORTH_MS = 2;

/** Performs one operation and records it. */
const perform = async (context: LoopContext, operation: OperationName, plannedMs: number): Promise<boolean> => {
  const { client, workload, recorder, clock } = context;
  try {
    let found = true;
    if (operation === 'put') await client.put(workload.nextKey(), workload.nextValue());
    else found = (await client.get(workload.nextKey())) !== undefined;
    recorder.done(operation, plannedMs, clock.monotonic(), found);
    return true;
  } catch (error) {
    recorder.failed(operation, plannedMs, error);
    return false;
  }
};

/** Runs `callers` callers until the end; resolves when the last answer has come. */
export const runClosedLoop = async (context: LoopContext, callers: number): Promise<void> => {
  const call = async (): Promise<void> => {
    for (;;) {
      const startMs = context.clock.monotonic();
      if (startMs >= context.endMs) return;
      const done = await perform(context, context.workload.nextOperation(), startMs);
      if (!done) await pause(context.clock);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
};

const pause = (clock: Clock): Promise<void> =>
  new Promise((resolve) => clock.setTimer(PAUSE_AFTER_ERROR_MS, () => resolve()));

/**
 * Starts `ratePerS` operations a second until the end, with at most `inFlightMax` unanswered; resolves when the last
 * answer has come, to the number of operations whose time came while no more could be started until the end.
 */
export const runOpenLoop = (context: LoopContext, ratePerS: number, inFlightMax: number): Promise<number> =>
  new Promise((resolve) => {
    const { clock, endMs, workload } = context;
    const startMs = clock.monotonic();
    const intervalMs = 1000 / ratePerS;
    let started = 0;
    let inFlight = 0;
    let full = false;
    let ended = false;

    const pump = (): void => {
      let nowMs = clock.monotonic();
      let plannedMs = startMs + started * intervalMs;
      while (plannedMs <= nowMs && nowMs < endMs) {
        if (inFlight >= inFlightMax) {
          full = true;
          return;
        }
        started++;
        inFlight++;
        void perform(context, workload.nextOperation(), plannedMs).then(onAnswer);
        plannedMs = startMs + started * intervalMs;
        nowMs = clock.monotonic();
      }
      if (nowMs >= endMs || plannedMs >= endMs) end();
      else if (plannedMs - nowMs > TIMER_WORTH_MS) clock.setTimer(plannedMs - nowMs - 1, pump);
      else clock.nextTurn(pump);
    };
    const onAnswer = (): void => {
      inFlight--;
      if (ended) end();
      else if (full) {
        full = false;
        pump();
      }
    };
    const end = (): void => {
      ended = true;
      if (inFlight === 0) resolve(Math.max(0, Math.floor((endMs - startMs) / intervalMs) - started));
    };
    pump();
  });
