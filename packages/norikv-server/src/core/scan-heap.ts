// The runs of a page, the one whose key comes next on top.
import type { StoredValue } from '../ports/storage.js';
import { compareKeys } from './scan-range.js';

/** A key that waits for its turn. */
export interface RunItem {
  readonly key: Uint8Array;
  /** Undefined: {@link ScanRun.current} tells when its turn comes. */
  readonly stored: StoredValue | undefined;
  /** It had expired when it was read: it may turn out not to be there. */
  readonly isExpired?: true;
}

/** The next keys of one source, in scan order. */
export interface ScanRun {
  readonly items: readonly RunItem[];
  at: number;
  /** No key beyond the last item. */
  readonly exhausted: boolean;
  /** The value of an item that came without one; undefined: the key is not there. */
  current(item: RunItem): StoredValue | undefined | Promise<StoredValue | undefined>;
  /** Replaces the items by those behind the last one. False: it cannot, and nothing may be said of keys behind it. */
  refill(): boolean;
}

/** A binary heap of runs by the key each stands at. */
export class RunHeap {
  readonly #runs: ScanRun[] = [];
  readonly #sign: number;

  constructor(reverse: boolean) {
    this.#sign = reverse ? -1 : 1;
  }

  top(): ScanRun | undefined {
    return this.#runs[0];
  }

  push(run: ScanRun): void {
    const runs = this.#runs;
    let at = runs.length;
    runs.push(run);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(run, runs[parent]!)) break;
      runs[at] = runs[parent]!;
      at = parent;
    }
    runs[at] = run;
  }

  /** Removes the top. */
  pop(): void {
    const last = this.#runs.pop()!;
    if (this.#runs.length === 0) return;
    this.#runs[0] = last;
    this.sink();
  }

  /** Puts the top, whose key has changed, in its place. */
  sink(): void {
    const runs = this.#runs;
    const run = runs[0]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= runs.length) break;
      if (child + 1 < runs.length && this.#before(runs[child + 1]!, runs[child]!)) child++;
      if (!this.#before(runs[child]!, run)) break;
      runs[at] = runs[child]!;
      at = child;
    }
    runs[at] = run;
  }

  #before(a: ScanRun, b: ScanRun): boolean {
    return compareKeys(a.items[a.at]!.key, b.items[b.at]!.key) * this.#sign < 0;
  }
}
