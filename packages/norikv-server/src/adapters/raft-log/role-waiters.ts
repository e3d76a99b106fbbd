// Calls that wait until somebody leads a group, or for so long that nobody will.
import type { Clock, TimerHandle } from 'nori-io';

/** Two elections: whoever can be elected has been by then. */
const PATIENCE_MS = 4_000;

interface Waiting {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly timer: TimerHandle;
}

export class RoleWaiters {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the group is settled, or patience has run out; the same promise for all who wait. */
  wait(group: number): Promise<void> {
    const waiting = this.#waiting.get(group);
    if (waiting !== undefined) return waiting.promise;
    let resolve!: () => void;
    const promise = new Promise<void>((settle) => {
      resolve = settle;
    });
    const timer = this.#clock.setTimer(PATIENCE_MS, () => this.settle(group), { unref: true });
    this.#waiting.set(group, { promise, resolve, timer });
    return promise;
  }

  settle(group: number): void {
    const waiting = this.#waiting.get(group);
    if (waiting === undefined) return;
    this.#waiting.delete(group);
    waiting.timer.cancel();
    waiting.resolve();
  }

  settleAll(): void {
    for (const group of [...this.#waiting.keys()]) this.settle(group);
  }
}
