// What is due when, in virtual time: a binary heap ordered by time, and among equal times by order of insertion, so
// that a simulation never depends on how the heap happens to break ties.

interface Entry<T> {
  readonly atMs: number;
  readonly order: number;
  readonly item: T;
}

/** A queue of items by time. push and pop take O(log n). */
export class EventHeap<T> {
  readonly #entries: Entry<T>[] = [];
  #order = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** The time of the item that {@link EventHeap.pop} would return. */
  get nextAtMs(): number | undefined {
    return this.#entries[0]?.atMs;
  }

  push(atMs: number, item: T): void {
    const entry = { atMs, order: this.#order++, item };
    const entries = this.#entries;
    let i = entries.length;
    while (i > 0) {
      const parent = (i - 1) >>> 1;
      if (!isBefore(entry, entries[parent]!)) break;
      entries[i] = entries[parent]!;
      i = parent;
    }
    entries[i] = entry;
  }

  /** Removes and returns the earliest item. */
  pop(): { readonly atMs: number; readonly item: T } | undefined {
    const entries = this.#entries;
    const first = entries[0];
    const last = entries.pop();
    if (first === undefined || last === undefined || entries.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && isBefore(entries[child + 1]!, entries[child]!)) child++;
      if (!isBefore(entries[child]!, last)) break;
      entries[i] = entries[child]!;
      i = child;
    }
    entries[i] = last;
    return first;
  }

  clear(): void {
    this.#entries.length = 0;
  }
}

function isBefore<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
