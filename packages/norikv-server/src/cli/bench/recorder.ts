// What a bench run saw: for each kind of operation a histogram of latencies in microseconds, counts, and errors by code.
//
//   warm-up ──── from ════════ measured ════════ to ──── late answers
//
// Throughput counts answers that came in the measured time. Latency is that of operations that were to start in it,
// however late their answer came: leaving the slowest out would flatter.
import { build, type Histogram } from 'hdr-histogram-js';
import { OPERATIONS, type OperationName } from './plan.js';

const MICROSECONDS_MAX = 600_000_000;

class OperationRecord {
  readonly latencyUs: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: MICROSECONDS_MAX,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
  });
  answered = 0;
  misses = 0;
  readonly errors = new Map<string, number>();
}

/** Latencies in milliseconds, count and errors of one kind of operation. */
export interface OperationResult {
  /** Answers in the measured time. */
  readonly count: number;
  readonly throughputPerS: number;
  /** Gets that found no key, among `count`. */
  readonly misses: number;
  readonly latencyMs: Readonly<Record<'mean' | 'p50' | 'p95' | 'p99' | 'p99.9' | 'max', number>>;
  /** Failed operations of the measured time by error code. */
  readonly errors: Readonly<Record<string, number>>;
}

/** Records operations. Times are milliseconds of one monotonic clock. */
export class Recorder {
  readonly #records: Readonly<Record<OperationName, OperationRecord>> = {
    put: new OperationRecord(),
    get: new OperationRecord(),
  };
  readonly #fromMs: number;
  readonly #toMs: number;
  /** Answers since the run began, warm-up and errors included. */
  total = 0;

  constructor(fromMs: number, toMs: number) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
  }

  /** An operation was answered. `plannedMs`: when it was to start. `found`: false for a get without a value. */
  done(operation: OperationName, plannedMs: number, nowMs: number, found: boolean): void {
    this.total++;
    const record = this.#records[operation];
    if (nowMs >= this.#fromMs && nowMs < this.#toMs) {
      record.answered++;
      if (!found) record.misses++;
    }
    if (plannedMs >= this.#fromMs && plannedMs < this.#toMs) {
      record.latencyUs.recordValue(Math.min(MICROSECONDS_MAX, Math.max(1, Math.round((nowMs - plannedMs) * 1000))));
    }
  }

  /** An operation failed. */
  failed(operation: OperationName, plannedMs: number, error: unknown): void {
    this.total++;
    if (plannedMs < this.#fromMs || plannedMs >= this.#toMs) return;
    const code = (error as { code?: unknown } | null)?.code;
    const { errors } = this.#records[operation];
    const name = typeof code === 'string' ? code : 'INTERNAL';
    errors.set(name, (errors.get(name) ?? 0) + 1);
  }

  /** Results of the kinds of operations in `shares` that have any. */
  results(shares: Readonly<Record<OperationName, number>>): Partial<Record<OperationName, OperationResult>> {
    const seconds = (this.#toMs - this.#fromMs) / 1000;
    const results: Partial<Record<OperationName, OperationResult>> = {};
    for (const operation of OPERATIONS) {
      const { answered, misses, latencyUs, errors } = this.#records[operation];
      if (shares[operation] === 0) continue;
      const at = (percentile: number): number => latencyUs.getValueAtPercentile(percentile) / 1000;
      results[operation] = {
        count: answered,
        throughputPerS: answered / seconds,
        misses,
        latencyMs: {
          mean: latencyUs.totalCount === 0 ? 0 : latencyUs.mean / 1000,
          p50: at(50),
          p95: at(95),
          p99: at(99),
          'p99.9': at(99.9),
          max: latencyUs.maxValue / 1000,
        },
        errors: Object.fromEntries(errors),
      };
    }
    return results;
  }
}
