// When background tasks wait. The I/O budget of compactions: so many bytes a second, on average over the task, with a little credit
// for what was not used. While writers wait it does not hold: what is owed then is forgotten, for pausing would only make them wait
// longer. And the rests of tasks that are paced.

/** Unused time that may be made up for. */
const CREDIT_MS = 250;
/** Longest single wait: then urgency is looked at again. */
const WAIT_MS_MAX = 50;

/** Time as a throttle needs it: how late it is, and how to let time pass (undefined: it has passed on the spot). */
export interface Pacer {
  monotonic(): number;
  wait(ms: number, cancel: Int32Array): Promise<void> | undefined;
}

/** See the top of the file. */
export class Throttle {
  readonly #bytesPerMs: number;
  readonly #hurry: Int32Array | undefined;
  readonly #pacer: Pacer;
  /** The time at which what was written so far should have been written. */
  #paidUntilMs: number;
  #bytes = 0;

  constructor(bytesPerSecond: number, hurry: Int32Array | undefined, pacer: Pacer) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#hurry = hurry;
    this.#pacer = pacer;
    this.#paidUntilMs = pacer.monotonic();
  }

  /** How long to wait now, 0 for not at all, when `bytes` have been written since the beginning. */
  dueMs(bytes: number): number {
    const nowMs = this.#pacer.monotonic();
    const paid = this.#paidUntilMs + (bytes - this.#bytes) / this.#bytesPerMs;
    this.#bytes = bytes;
    const isUrgent = this.#hurry !== undefined && Atomics.load(this.#hurry, 0) !== 0;
    this.#paidUntilMs = isUrgent ? nowMs : Math.max(paid, nowMs - CREDIT_MS);
    return Math.min(WAIT_MS_MAX, Math.max(0, this.#paidUntilMs - nowMs));
  }
}

/** Work between two rests, and what counts of it: a thread that had to wait for the processor has rested already. */
const WORK_MS_MIN = 4;
const WORK_MS_MAX = 16;

/** Rests of a task that may work for a share of the time (see pace.ts). */
export class Rests {
  readonly #shares: Int32Array;
  readonly #at: number;
  readonly #pacer: Pacer;
  #workingSinceMs: number;
  #restingSinceMs: number | undefined;

  /** @param at which of `shares`, in percent, counts */
  constructor(shares: Int32Array, at: number, pacer: Pacer) {
    this.#shares = shares;
    this.#at = at;
    this.#pacer = pacer;
    this.#workingSinceMs = pacer.monotonic();
  }

  /** How long to rest now, 0 for not at all. */
  dueMs(): number {
    const nowMs = this.#pacer.monotonic();
    const restingSinceMs = this.#restingSinceMs ?? nowMs;
    const workedMs = Math.min(restingSinceMs - this.#workingSinceMs, WORK_MS_MAX);
    if (workedMs < WORK_MS_MIN) return 0;
    const leftMs = workedMs * (100 / Atomics.load(this.#shares, this.#at) - 1) - (nowMs - restingSinceMs);
    if (leftMs > 0) {
      this.#restingSinceMs = restingSinceMs;
      return Math.min(leftMs, WAIT_MS_MAX);
    }
    this.#restingSinceMs = undefined;
    this.#workingSinceMs = nowMs;
    return 0;
  }
}

/** Lets a worker thread sleep until the time is over or the task is cancelled. */
export const sleepingPacer = (monotonic: () => number): Pacer => ({
  monotonic,
  wait: (ms, cancel) => {
    Atomics.wait(cancel, 0, 0, ms);
    return undefined;
  },
});
