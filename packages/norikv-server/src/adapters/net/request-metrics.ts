// kv_requests_total and kv_request_duration_seconds, for every way into the node. Series are bound at their first use;
// counts of a frame's rows are tallied in an array and handed to the meter once a frame.
import type { Counter, Histogram, Meter } from 'nori-observe';
import { ERROR_TABLE, type ErrorCodeName } from 'norikv-protocol';

/** What was asked for, as label `operation`. Positions 1 to 3 are the protocol's operation kinds. */
const OPERATIONS = ['scan', 'get', 'put', 'delete'] as const;

/** Position of an operation in the metrics; get, put and delete are numbered as in operation frames. */
export const OPERATION = Object.freeze({ scan: 0, get: 1, put: 2, delete: 3 } as const);

/** Status of an operation that was done. */
export const STATUS_OK = 0;
/** Status of a get or delete of a key that does not exist. */
export const STATUS_NOT_FOUND = 1;

const STATUSES: readonly string[] = (() => {
  const names = ['OK', 'NOT_FOUND'];
  for (const [name, row] of Object.entries(ERROR_TABLE)) names[row.number + 1] = name;
  return names;
})();

/** Status of an operation that failed. */
export const statusOfError = (code: ErrorCodeName): number => ERROR_TABLE[code].number + 1;

/** Counts and times operations. */
export class RequestMetrics {
  readonly #meter: Meter;
  readonly #counters: Counter[] = [];
  readonly #durations: Histogram[] = [];
  readonly #tallies = new Float64Array(OPERATIONS.length * STATUSES.length);
  /** Series with a tally, so that a flush looks at no others. */
  readonly #tallied: number[] = [];

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  /** Records one operation. */
  record(operation: number, status: number, seconds: number): void {
    this.tally(operation, status, seconds);
    this.flush();
  }

  /** Records one operation; it is counted at the next {@link flush}. */
  tally(operation: number, status: number, seconds: number): void {
    const series = operation * STATUSES.length + status;
    if (this.#tallies[series]!++ === 0) this.#tallied.push(series);
    (this.#durations[series] ?? this.#bind(series)).observe(seconds);
  }

  /** Hands the tallies to the meter. */
  flush(): void {
    const tallied = this.#tallied;
    for (let i = 0; i < tallied.length; i++) {
      const series = tallied[i]!;
      this.#counters[series]!.inc(this.#tallies[series]!);
      this.#tallies[series] = 0;
    }
    tallied.length = 0;
  }

  #bind(series: number): Histogram {
    const labels = {
      operation: OPERATIONS[Math.floor(series / STATUSES.length)]!,
      status: STATUSES[series % STATUSES.length]!,
    };
    this.#counters[series] = this.#meter.counter('kv_requests_total', labels, {
      help: 'Operations answered, by kind and outcome.',
    });
    return (this.#durations[series] = this.#meter.histogram('kv_request_duration_seconds', labels, {
      help: 'Time from the arrival of an operation to its answer.',
    }));
  }
}
