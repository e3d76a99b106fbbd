// The clocks of one machine: a monotonic one that runs at a rate of its own and stands still while the machine is
// suspended, and wall time, which goes on in suspend and may be set forward.

/** Slowest and fastest clock: any two are within `maxClockDrift` of 10 % of each other. */
export const RATE_MIN = 0.95;
export const RATE_MAX = 1.055;

export class NodeClock {
  #rate: number;
  #sinceMs = 0;
  #monotonicMs: number;
  /** Wall time less monotonic time, at `#sinceMs`. */
  #wallAheadMs: number;
  #suspended = false;

  constructor(rate: number, startMs: number, wallAheadMs: number) {
    this.#rate = rate;
    this.#monotonicMs = startMs;
    this.#wallAheadMs = wallAheadMs;
  }

  monotonicMs(nowMs: number): number {
    return this.#suspended ? this.#monotonicMs : this.#monotonicMs + (nowMs - this.#sinceMs) * this.#rate;
  }

  /** How far wall time is ahead of monotonic time: grows by suspends and when the clock is set. */
  wallAheadMs(nowMs: number): number {
    return this.#suspended ? this.#wallAheadMs + (nowMs - this.#sinceMs) * this.#rate : this.#wallAheadMs;
  }

  /** How long it really takes until this clock has moved on by `ownMs`. */
  realMs(ownMs: number): number {
    return ownMs / this.#rate;
  }

  setRate(nowMs: number, rate: number): void {
    this.#settle(nowMs);
    this.#rate = rate;
  }

  setWallForward(byMs: number): void {
    this.#wallAheadMs += byMs;
  }

  suspend(nowMs: number): void {
    this.#settle(nowMs);
    this.#suspended = true;
  }

  resume(nowMs: number): void {
    this.#settle(nowMs);
    this.#suspended = false;
  }

  #settle(nowMs: number): void {
    const monotonicMs = this.monotonicMs(nowMs);
    this.#wallAheadMs = this.wallAheadMs(nowMs);
    this.#monotonicMs = monotonicMs;
    this.#sinceMs = nowMs;
  }
}

/** Readings that are kept: at one a tick they reach back further than a lease lasts. */
const READINGS = 12;

/**
 * The clock that a lease is checked with: monotonic time, or wall time where more of it has passed since the lease's
 * round began, because the machine was suspended. It compares with readings taken at every tick, so after a suspend
 * leases count for nothing until those readings are newer than it.
 */
export class LeaseClock {
  readonly #clock: NodeClock;
  readonly #ahead: number[] = [];
  #at = 0;

  constructor(clock: NodeClock) {
    this.#clock = clock;
  }

  /** Call it at every tick, and once at the start. */
  takeReading(nowMs: number): void {
    this.#ahead[this.#at] = this.#clock.wallAheadMs(nowMs);
    this.#at = (this.#at + 1) % READINGS;
  }

  nowMs(nowMs: number): number {
    const ahead = this.#clock.wallAheadMs(nowMs);
    let least = ahead;
    for (let i = 0; i < this.#ahead.length; i++) if (this.#ahead[i]! < least) least = this.#ahead[i]!;
    return this.#clock.monotonicMs(nowMs) + (ahead - least);
  }
}
