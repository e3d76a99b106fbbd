// Notices that the other side of a connection has vanished without a word: TCP alone may take a quarter of an hour for that.
//
// It counts intervals, not milliseconds: a node whose own event loop stood still for a while does not blame its peers, as
// what they sent meanwhile is read between two intervals.
import type { DriverClock } from '../multi/ports.js';

const SILENT_INTERVALS_MAX = 4;

export class LifeWatch {
  /** To be set whenever anything has been read. */
  heard = true;
  readonly #clock: DriverClock;
  readonly #intervalMs: number;
  readonly #onInterval: () => void;
  readonly #onSilent: () => void;
  #silent = 0;
  #timer: { cancel(): void } | undefined;

  /** @param onInterval time for a sign of life of one's own */
  constructor(clock: DriverClock, intervalMs: number, onInterval: () => void, onSilent: () => void) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#onInterval = onInterval;
    this.#onSilent = onSilent;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(this.#intervalMs, () => this.#interval(), { unref: true });
  }

  #interval(): void {
    this.#silent = this.heard ? 0 : this.#silent + 1;
    this.heard = false;
    this.#arm();
    if (this.#silent >= SILENT_INTERVALS_MAX) {
      this.stop();
      this.#onSilent();
      return;
    }
    this.#onInterval();
  }
}
