// Time as an injected dependency. Components never touch Date, performance or timers: they take a `Clock`.
// `systemClock` is the real one; nori-testkit's `VirtualClock` has the same shape.

/** A pending timer. */
export interface TimerHandle {
  /** Does nothing if the timer has fired. */
  cancel(): void;
}

/** Wall time, monotonic time, timers and turns of the event loop. */
export interface Clock {
  /** Wall-clock time, milliseconds since the epoch (integer). May jump. */
  now(): number;
  /** Monotonic time in milliseconds (fractional), from an arbitrary origin. */
  monotonic(): number;
  /** Calls `fn` once after `delayMs`. Does not keep the process alive if `unref` is true. */
  setTimer(delayMs: number, fn: () => void, options?: { readonly unref?: boolean }): TimerHandle;
  /** Calls `fn` at the end of the current turn of the event loop, after pending I/O callbacks (setImmediate). */
  nextTurn(fn: () => void): void;
}
