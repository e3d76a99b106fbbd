// Keeps long work on the calling thread from holding up everybody else: it is cut into slices of a few milliseconds.
import type { Clock } from 'nori-io';

/** How long a slice may hold the thread. */
const SLICE_MS = 2;
/** Steps between two looks at the clock. */
const STRIDE = 16;

/** Asked after each step of long work. */
export class Slice {
  readonly #clock: Clock;
  #endMs: number;
  #untilLook = STRIDE;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#endMs = clock.monotonic() + SLICE_MS;
  }

  /** True if it is the others' turn: await {@link Slice.next} before going on. */
  isOver(): boolean {
    if (--this.#untilLook > 0) return false;
    this.#untilLook = STRIDE;
    return this.#clock.monotonic() >= this.#endMs;
  }

  /** Gives the others their turn and begins the next slice. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.nextTurn(resolve));
    this.#endMs = this.#clock.monotonic() + SLICE_MS;
  }
}
