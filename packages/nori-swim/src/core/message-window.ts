// Which user messages of one member have been seen, so that each is handed over once: all up to a floor, and a set of those above.
const ABOVE_MAX = 1_024;

export class MessageWindow {
  readonly boot: number;
  #floor: number;
  readonly #above = new Set<number>();

  /** @param firstSeq the first that was heard; earlier ones may still come */
  constructor(boot: number, firstSeq: number) {
    this.boot = boot;
    this.#floor = Math.max(0, firstSeq - ABOVE_MAX);
  }

  /** True the first time. What is so old that it was forgotten counts as seen. */
  accept(seq: number): boolean {
    if (seq <= this.#floor || this.#above.has(seq)) return false;
    this.#above.add(seq);
    // A gap that is too wide is given up.
    if (seq - this.#floor > 2 * ABOVE_MAX) this.#raise(seq - ABOVE_MAX);
    while (this.#above.delete(this.#floor + 1)) this.#floor++;
    return true;
  }

  #raise(floor: number): void {
    this.#floor = floor;
    for (const seq of this.#above) if (seq <= floor) this.#above.delete(seq);
  }
}
