// Background work is tried until it succeeds, the trouble is no passing one, or the database closes.
import type { Clock, TimerHandle } from 'nori-io';
import { isRetryable, LsmError, toLsmError } from './errors.js';

const FIRST_DELAY_MS = 20;
const LAST_DELAY_MS = 2_000;

/** Waits between tries through the clock, without keeping the process alive for it; `wake` and `stop` end the waiting. */
export class Retrier {
  readonly #clock: Clock;
  #stopped = false;
  readonly #waiting = new Map<() => void, TimerHandle>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /**
   * Runs `step` until it succeeds.
   * @param failed told of each failure before it is retried; what it throws ends the tries
   * @throws LsmError the first failure that retrying cannot help; `LSM_CANCELLED` once stopped
   */
  async run<T>(doing: string, step: () => Promise<T>, failed: (error: LsmError) => void): Promise<T> {
    for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, LAST_DELAY_MS)) {
      if (this.#stopped) throw stoppedError(doing);
      try {
        return await step();
      } catch (thrown) {
        const error = toLsmError(thrown, doing);
        if (this.#stopped) throw stoppedError(doing);
        if (!isRetryable(error)) throw error;
        failed(error);
        await this.pause(delayMs);
      }
    }
  }

  /** Makes the tries that wait now at once. */
  wake(): void {
    for (const [wake, timer] of this.#waiting) {
      timer.cancel();
      wake();
    }
    this.#waiting.clear();
  }

  /** Ends all waiting, now and later. */
  stop(): void {
    this.#stopped = true;
    this.wake();
  }

  /** Waits, until the time is over or {@link Retrier.wake} or {@link Retrier.stop} is called. */
  pause(delayMs: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(
        delayMs,
        () => {
          this.#waiting.delete(resolve);
          resolve();
        },
        { unref: true },
      );
      this.#waiting.set(resolve, timer);
    });
  }
}

const stoppedError = (doing: string): LsmError => new LsmError('LSM_CANCELLED', `${doing}: the database is closing.`);
