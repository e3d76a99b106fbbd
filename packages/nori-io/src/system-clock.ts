// The real clock: the one place where components' time comes from the process.
import { performance } from 'node:perf_hooks';
import type { Clock, TimerHandle } from './clock.js';

class SystemTimer implements TimerHandle {
  readonly #timer: NodeJS.Timeout;

  constructor(timer: NodeJS.Timeout) {
    this.#timer = timer;
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}

/** Time of this process: `Date.now`, `performance.now`, `setTimeout`, `setImmediate`. */
export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delayMs: number, fn: () => void, options?: { readonly unref?: boolean }): TimerHandle {
    const timer = setTimeout(fn, delayMs);
    if (options?.unref) timer.unref();
    return new SystemTimer(timer);
  },
  nextTurn(fn: () => void): void {
    setImmediate(fn);
  },
});
