// Time that stands still until a test moves it. It has the shape of nori-io's `Clock`.
//
// `advance` and `runUntilIdle` call what is due one by one, in order of time, on the caller's stack. Code that awaits
// between two timers needs its microtasks run in between: use `advanceAsync` and `runUntilIdleAsync` there.
import { EventHeap } from './event-heap.js';

interface Timer {
  readonly fn: () => void;
  readonly unref: boolean;
  state: 'pending' | 'fired' | 'cancelled';
}

/** Options of {@link VirtualClock}. */
export interface VirtualClockOptions {
  /** What `now()` says at first. Default: 2025-01-01T00:00:00Z. */
  readonly startMs?: number;
}

/** How many callbacks {@link VirtualClock.runUntilIdle} calls before it concludes that it would never end. */
const CALLBACKS_MAX = 1_000_000;

/** A clock whose time is moved by hand. */
export class VirtualClock {
  #elapsedMs = 0;
  #wallOffsetMs: number;
  /** Pending timers that hold up {@link VirtualClock.runUntilIdle}. */
  #referenced = 0;
  readonly #timers = new EventHeap<Timer>();

  constructor(options: VirtualClockOptions = {}) {
    this.#wallOffsetMs = options.startMs ?? Date.UTC(2025, 0, 1);
  }

  /** Wall-clock time, milliseconds since the epoch (integer). */
  now(): number {
    return Math.floor(this.#wallOffsetMs + this.#elapsedMs);
  }

  /** Milliseconds since the clock was made. */
  monotonic(): number {
    return this.#elapsedMs;
  }

  /** Calls `fn` once, when time has moved on by `delayMs` (negative counts as 0). */
  setTimer(delayMs: number, fn: () => void, options?: { readonly unref?: boolean }): { cancel(): void } {
    return this.#schedule(Math.max(0, delayMs), fn, options?.unref === true);
  }

  /** Calls `fn` when the clock is next moved, if only by 0 ms. */
  nextTurn(fn: () => void): void {
    this.#schedule(0, fn, false);
  }

  /** Timers and turns that have neither fired nor been cancelled and would hold up {@link VirtualClock.runUntilIdle}. */
  get pending(): number {
    return this.#referenced;
  }

  /** Moves wall time alone, as an administrator or NTP does. */
  jumpWallTime(deltaMs: number): void {
    this.#wallOffsetMs += deltaMs;
  }

  /** Moves time on by `ms` and calls what is due on the way, at its own time each. */
  advance(ms: number): void {
    const until = this.#elapsedMs + ms;
    while (this.#runNext(until)) {}
    this.#elapsedMs = until;
  }

  /** As {@link VirtualClock.advance}; promises settle before and after each callback. */
  async advanceAsync(ms: number): Promise<void> {
    const until = this.#elapsedMs + ms;
    do await settle();
    while (this.#runNext(until));
    this.#elapsedMs = until;
    await settle();
  }

  /** Moves time on to each pending timer in turn, until there is none but those with `unref`. */
  runUntilIdle(): void {
    for (let called = 0; this.#referenced > 0; called++) {
      refuseEndless(called);
      this.#runNext(Infinity);
    }
  }

  /** As {@link VirtualClock.runUntilIdle}; promises settle before and after each callback. */
  async runUntilIdleAsync(): Promise<void> {
    await settle();
    for (let called = 0; this.#referenced > 0; called++) {
      refuseEndless(called);
      this.#runNext(Infinity);
      await settle();
    }
  }

  #schedule(delayMs: number, fn: () => void, unref: boolean): { cancel(): void } {
    const timer: Timer = { fn, unref, state: 'pending' };
    this.#timers.push(this.#elapsedMs + delayMs, timer);
    if (!unref) this.#referenced++;
    return {
      cancel: () => {
        this.#end(timer, 'cancelled');
      },
    };
  }

  #end(timer: Timer, state: 'fired' | 'cancelled'): boolean {
    if (timer.state !== 'pending') return false;
    timer.state = state;
    if (!timer.unref) this.#referenced--;
    return true;
  }

  /** Calls the earliest callback due at or before `until`. */
  #runNext(until: number): boolean {
    while ((this.#timers.nextAtMs ?? Infinity) <= until) {
      const due = this.#timers.pop();
      if (due === undefined) return false;
      if (!this.#end(due.item, 'fired')) continue;
      this.#elapsedMs = Math.max(this.#elapsedMs, due.atMs);
      due.item.fn();
      return true;
    }
    return false;
  }
}

function refuseEndless(called: number): void {
  if (called >= CALLBACKS_MAX) {
    throw new Error(`Still not idle after ${CALLBACKS_MAX} callbacks: something arms its timer again for ever.`);
  }
}

/** Lets every promise that can settle do so. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
