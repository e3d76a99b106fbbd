// The two clocks of the core (README, "Leases"). Promises to others run on the monotonic clock, which may stand still while
// the machine sleeps: they are then kept too long. What others promised runs on the larger of what the monotonic and the
// wall clock have advanced, between any two looks: a lease then ends too early rather than too late.
//
// So whatever the wall clock gains on the monotonic one is added for good. Setting it back takes nothing away, and does not
// make up for what it gains later: a clock that was set forward and back must not stand still until it has caught up.
import type { DriverClock } from './ports.js';

/** Wall time comes in whole milliseconds: so much it may seem to gain and lose, again and again, while it does neither. */
const WALL_STEP_MS = 2;

export class LeaseClock {
  readonly #clock: DriverClock;
  readonly #monotonicStartMs: number;
  readonly #wallStartMs: number;
  /** The most that wall time was ahead of monotonic time, since it was last set back. */
  #aheadMs = 0;
  #gainedMs = 0;

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
    const monotonicMs = this.nowMs();
    const aheadMs = this.#clock.now() - this.#wallStartMs - monotonicMs;
    if (aheadMs > this.#aheadMs) {
      this.#gainedMs += aheadMs - this.#aheadMs;
      this.#aheadMs = aheadMs;
    } else if (aheadMs < this.#aheadMs - WALL_STEP_MS) this.#aheadMs = aheadMs + WALL_STEP_MS;
    return monotonicMs + this.#gainedMs;
  }

  /** What the clock of leases may show at most. */
  leaseLatestMs(): number {
    return this.leaseNowMs() + WALL_STEP_MS;
  }

  /** Whether a lease until then still holds for sure. The only voter's has no end, and needs no look at a clock. */
  holds(expiresAtMs: number): boolean {
    return expiresAtMs === Number.POSITIVE_INFINITY || this.leaseLatestMs() < expiresAtMs;
  }
}
