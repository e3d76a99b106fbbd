// The clocks of one machine: a monotonic one that runs at a rate of its own and stands still while the machine is
// suspended, and wall time, which goes on in suspend and may be set forward.

/** The slowest clock, if any two are within `maxDrift` of each other; the fastest is as far on the other side of 1. */
export const slowestRate = (maxDrift: number): number => Math.sqrt(1 - maxDrift) * 1.0001;

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

/**
 * The clock of leases: monotonic time, and whatever wall time has gained on it, because the machine was suspended or the
 * wall clock set forward. It runs fast rather than slow: a lease must not outlive the promises it rests on.
 */
export class LeaseClock {
  readonly #clock: NodeClock;
  #ahead: number;
  #gainedMs = 0;

  constructor(clock: NodeClock, nowMs: number) {
    this.#clock = clock;
    this.#ahead = clock.wallAheadMs(nowMs);
  }

  /** What `nowMs` would return, for those who only watch. */
  peek(nowMs: number): number {
    const gainedMs = Math.max(0, this.#clock.wallAheadMs(nowMs) - this.#ahead);
    return this.#clock.monotonicMs(nowMs) + this.#gainedMs + gainedMs;
  }

  nowMs(nowMs: number): number {
    const ahead = this.#clock.wallAheadMs(nowMs);
    if (ahead > this.#ahead) this.#gainedMs += ahead - this.#ahead;
    this.#ahead = ahead;
    return this.#clock.monotonicMs(nowMs) + this.#gainedMs;
  }
}
