// What is due when, in virtual time: a binary heap over parallel arrays; ties in the order of insertion.
export class EventHeap<T> {
  readonly #times: number[] = [];
  readonly #orders: number[] = [];
  readonly #items: T[] = [];
  #order = 0;

  get size(): number {
    return this.#items.length;
  }

  /** When the next one is due; infinity if there is none. */
  get nextMs(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  push(atMs: number, item: T): void {
    const order = this.#order++;
    let i = this.#items.length;
    this.#times.push(atMs);
    this.#orders.push(order);
    this.#items.push(item);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.#times[parent]! <= atMs) break;
      this.#move(parent, i);
      i = parent;
    }
    this.#set(i, atMs, order, item);
  }

  /** The next one, which must exist. */
  pop(): T {
    const first = this.#items[0]!;
    const atMs = this.#times.pop()!;
    const order = this.#orders.pop()!;
    const item = this.#items.pop()!;
    const length = this.#items.length;
    if (length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= length) break;
      if (child + 1 < length && this.#isBefore(child + 1, this.#times[child]!, this.#orders[child]!)) child++;
      if (!this.#isBefore(child, atMs, order)) break;
      this.#move(child, i);
      i = child;
    }
    this.#set(i, atMs, order, item);
    return first;
  }

  #isBefore(i: number, atMs: number, order: number): boolean {
    const time = this.#times[i]!;
    return time < atMs || (time === atMs && this.#orders[i]! < order);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#times[from]!, this.#orders[from]!, this.#items[from]!);
  }

  #set(i: number, atMs: number, order: number, item: T): void {
    this.#times[i] = atMs;
    this.#orders[i] = order;
    this.#items[i] = item;
  }
}
