// Open snapshots: sequence numbers whose visible versions flushes and compactions must keep.
import type { Snapshot } from './types.js';

/** The snapshots of one database. */
export class SnapshotList {
  readonly #counts = new Map<number, number>();
  /** Called when no snapshot of a sequence number is left. */
  closed: () => void = () => {};

  /** How many are open. */
  get size(): number {
    let size = 0;
    for (const count of this.#counts.values()) size += count;
    return size;
  }

  /** Opens a snapshot of everything up to `seq`. */
  open(seq: number): Snapshot {
    this.#counts.set(seq, (this.#counts.get(seq) ?? 0) + 1);
    let isOpen = true;
    const close = (): void => {
      if (!isOpen) return;
      isOpen = false;
      const left = this.#counts.get(seq)! - 1;
      if (left > 0) {
        this.#counts.set(seq, left);
        return;
      }
      this.#counts.delete(seq);
      this.closed();
    };
    return { seq, close, [Symbol.dispose]: close };
  }

  /** The smallest sequence number of any; infinite if none is open. */
  get oldest(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const seq of this.#counts.keys()) oldest = Math.min(oldest, seq);
    return oldest;
  }

  /** Their distinct sequence numbers, ascending. */
  sequences(): number[] {
    return [...this.#counts.keys()].sort((a, b) => a - b);
  }
}
