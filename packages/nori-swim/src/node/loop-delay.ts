// How long the event loop was held up, from Node's own monitor. Its timer's interval is part of what it reads, and is taken off again.
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** Coarse, since only delays of a good part of a probe's timeout matter: a finer one costs CPU all the time. */
const RESOLUTION_MS = 50;

export class LoopDelay {
  readonly #histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#histogram.enable();
  }

  /** The worst delay since the last call, in milliseconds. */
  takeMs(): number {
    const maxMs = this.#histogram.max / 1e6 - RESOLUTION_MS;
    this.#histogram.reset();
    return Math.max(0, maxMs);
  }

  stop(): void {
    this.#histogram.disable();
  }
}
