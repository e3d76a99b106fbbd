// Keeps a scan from holding the event loop: work is cut into slices that let other work in between.
import type { Clock } from 'nori-io';
import { NodeError } from '../domain/node-error.js';
import type { ScanQuery } from '../ports/kv.js';

const SLICE_MS = 2;
/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 16;
/** Bytes read between two looks at the clock. */
const BYTES_PER_LOOK = 1024 * 1024;

/** Lets other work in once a slice of time is used up, and ends the scan when its caller has gone. */
export class ScanSlicer {
  readonly #query: Pick<ScanQuery, 'deadlineMs' | 'signal'>;
  readonly #clock: Clock;
  #sliceStartMs: number;
  #steps = 0;
  #bytes = 0;

  constructor(query: Pick<ScanQuery, 'deadlineMs' | 'signal'>, clock: Clock) {
    this.#query = query;
    this.#clock = clock;
    this.#sliceStartMs = clock.monotonic();
  }

  /** Counts bytes that were read since the last look at the clock. */
  read(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Called after each step; undefined: go on. */
  pause(): Promise<void> | undefined {
    if (++this.#steps < STEPS_PER_LOOK && this.#bytes < BYTES_PER_LOOK) return undefined;
    this.#steps = 0;
    this.#bytes = 0;
    return this.#clock.monotonic() - this.#sliceStartMs < SLICE_MS ? undefined : this.#letOthersIn();
  }

  async #letOthersIn(): Promise<void> {
    this.check();
    await new Promise<void>((resolve) => this.#clock.nextTurn(resolve));
    this.#sliceStartMs = this.#clock.monotonic();
  }

  /** @throws NodeError `CANCELLED`, `DEADLINE_EXCEEDED` */
  check(): void {
    if (this.#query.signal?.aborted === true) throw new NodeError('CANCELLED', 'The scan was cancelled.');
    if (this.#clock.monotonic() >= this.#query.deadlineMs) {
      throw new NodeError('DEADLINE_EXCEEDED', 'The deadline passed before the page was complete; ask for fewer keys.');
    }
  }
}
