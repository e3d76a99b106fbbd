// How operations are started, and what is kept of them. Latency is that of operations that were to start in the measured time, however
// late their answer came; rates count the answers that came in it.
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const NS_PER_MS = 1e6;
const PAUSE_AFTER_ERROR_MS = 10;
const ATTEMPTS_MAX = 100;
const TICK_MS = 1;
/** A tick that comes no later than this is in time; then what it starts is timed from the tick, else from when it was planned. */
const TICK_LATE_MS = 2;

const nameOf = (error) => (typeof error?.code === 'string' ? error.code : (error?.message ?? String(error)));

/** Counts and latencies of one measurement, from `fromMs` to `toMs`. */
class Record {
  #histogram = createHistogram();
  #answered = 0;
  #misses = 0;
  #errors = {};

  constructor({ fromMs, toMs }) {
    this.fromMs = fromMs;
    this.toMs = toMs;
  }

  #holds(ms) {
    return ms >= this.fromMs && ms < this.toMs;
  }

  done(plannedMs, nowMs, found) {
    if (this.#holds(nowMs)) {
      this.#answered++;
      if (!found) this.#misses++;
    }
    if (this.#holds(plannedMs)) this.#histogram.record(Math.max(1, Math.round((nowMs - plannedMs) * NS_PER_MS)));
  }

  failed(plannedMs, error) {
    if (!this.#holds(plannedMs)) return;
    const name = nameOf(error);
    this.#errors[name] = (this.#errors[name] ?? 0) + 1;
  }

  summary() {
    const at = (percentile) => this.#histogram.percentile(percentile) / NS_PER_MS;
    return {
      count: this.#answered,
      perSecond: (this.#answered * 1000) / (this.toMs - this.fromMs),
      misses: this.#misses,
      errors: this.#errors,
      p50Ms: at(50),
      p95Ms: at(95),
      p99Ms: at(99),
      maxMs: this.#histogram.max / NS_PER_MS,
    };
  }
}

const windowOf = ({ warmupMs, durationMs }) => {
  const fromMs = performance.now() + warmupMs;
  return { fromMs, toMs: fromMs + durationMs };
};

const perform = async (record, call, plannedMs) => {
  try {
    const found = await call();
    record.done(plannedMs, performance.now(), found !== undefined && found !== null);
    return true;
  } catch (error) {
    record.failed(plannedMs, error);
    return false;
  }
};

/** Calls `write(index)` once for each key. */
export const writeAll = async ({ keys, callers }, write) => {
  let next = 0;
  const run = async () => {
    for (let index = next++; index < keys; index = next++) {
      for (let attempt = 1; ; attempt++) {
        try {
          await write(index);
          break;
        } catch (error) {
          if (attempt === ATTEMPTS_MAX) throw error;
          await sleep(10 * PAUSE_AFTER_ERROR_MS);
        }
      }
    }
  };
  await Promise.all(Array.from({ length: callers }, run));
  return { keys };
};

/** `callers` that each wait for an answer before they ask again. */
export const closedLoop = async (job, call, announce) => {
  const window = windowOf(job);
  const record = new Record(window);
  announce(window);
  const run = async () => {
    for (let startMs = performance.now(); startMs < window.toMs; startMs = performance.now()) {
      if (!(await perform(record, call, startMs))) await sleep(PAUSE_AFTER_ERROR_MS);
    }
  };
  await Promise.all(Array.from({ length: job.callers }, run));
  return record.summary();
};

/** So many operations a second, whether or not earlier ones are answered. */
export const openLoop = async (job, call, announce) => {
  const window = windowOf(job);
  const record = new Record(window);
  announce(window);
  const beginMs = performance.now();
  const perMs = job.perSecond / 1000;
  const pending = new Set();
  let lastMs = beginMs;
  let started = 0;
  for (;;) {
    await sleep(TICK_MS);
    const nowMs = performance.now();
    if (nowMs >= window.toMs) break;
    const isLate = nowMs - lastMs > TICK_LATE_MS + TICK_MS;
    for (const due = Math.floor((nowMs - beginMs) * perMs); started < due; started++) {
      const one = perform(record, call, isLate ? beginMs + started / perMs : nowMs);
      pending.add(one);
      void one.then(() => pending.delete(one));
    }
    lastMs = nowMs;
  }
  await Promise.all(pending);
  return record.summary();
};

/** A caller for each of `indexes`, which writes it again and again: how long was each without a successful write? */
export const gaps = async (job, write, announce) => {
  const window = windowOf(job);
  announce(window);
  let failed = 0;
  let writes = 0;
  const run = async (index) => {
    let lastMs = window.fromMs;
    let longestMs = 0;
    while (performance.now() < window.toMs) {
      try {
        await write(index);
      } catch {
        failed++;
        await sleep(PAUSE_AFTER_ERROR_MS);
        continue;
      }
      const nowMs = performance.now();
      if (nowMs <= lastMs) continue;
      longestMs = Math.max(longestMs, nowMs - lastMs);
      lastMs = nowMs;
      writes++;
    }
    return Math.max(longestMs, window.toMs - lastMs) / 1000;
  };
  const longest = (await Promise.all(job.indexes.map(run))).toSorted((a, b) => a - b);
  return {
    longestGapS: longest.at(-1),
    medianGapS: longest[longest.length >> 1],
    perSecond: (writes * 1000) / job.durationMs,
    failed,
  };
};
