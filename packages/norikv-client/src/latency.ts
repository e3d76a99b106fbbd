// Latencies in logarithmic buckets: 2^(1/16) apart, from one microsecond to about an hour, so that a quantile is within
// 4.5 % of the truth, in 4 KiB whatever the number of observations.
import type { LatencySummary } from './types.js';

const PER_OCTAVE = 16;
const BUCKETS = PER_OCTAVE * 32;

/** Counts latencies; never forgets. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #maxMs = 0;

  observe(durationMs: number): void {
    const micros = durationMs * 1000;
    const bucket = micros <= 1 ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log2(micros) * PER_OCTAVE));
    this.#counts[bucket]!++;
    this.#count++;
    if (durationMs > this.#maxMs) this.#maxMs = durationMs;
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      p50Ms: this.#quantile(0.5),
      p95Ms: this.#quantile(0.95),
      p99Ms: this.#quantile(0.99),
      maxMs: this.#maxMs,
    };
  }

  #quantile(q: number): number {
    if (this.#count === 0) return 0;
    let left = Math.ceil(q * this.#count);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket]!;
      if (left <= 0) return Math.min(this.#maxMs, 2 ** ((bucket + 0.5) / PER_OCTAVE) / 1000);
    }
    return this.#maxMs;
  }
}
