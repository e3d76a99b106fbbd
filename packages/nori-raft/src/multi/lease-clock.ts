// The two clocks of the core (README, "Leases"). Promises to others run on the monotonic clock, which may stand still while
// the machine sleeps: they are then kept too long. What others promised runs on the larger of what the monotonic and the
// wall clock have advanced: a lease then ends too early rather than too late.
import type { DriverClock } from './ports.js';

export class LeaseClock {
  readonly #clock: DriverClock;
  readonly #monotonicStartMs: number;
  readonly #wallStartMs: number;
  #leaseMs = 0;

  constructor(clock: DriverClock) {
    this.#clock = clock;
    this.#monotonicStartMs = clock.monotonic();
    this.#wallStartMs = clock.now();
  }

  /** Milliseconds since the start, for promises. */
  nowMs(): number {
    return this.#clock.monotonic() - this.#monotonicStartMs;
  }

  /** Milliseconds since the start, for leases. Never goes back, whatever the wall clock does. */
  leaseNowMs(): number {
    const elapsedMs = Math.max(this.nowMs(), this.#clock.now() - this.#wallStartMs);
    if (elapsedMs > this.#leaseMs) this.#leaseMs = elapsedMs;
    return this.#leaseMs;
  }
}
