// The keys nearest to where a scan begins, of all that were read so far: once there are as many as the page needs, no key behind the
// last of them matters.
import type { RunItem } from './scan-heap.js';
import { compareKeys } from './scan-range.js';

export class NearestKeys {
  readonly #count: number;
  readonly #sign: number;
  /** In scan order, at most `count`. */
  readonly #keys: Uint8Array[] = [];

  constructor(count: number, reverse: boolean) {
    this.#count = count;
    this.#sign = reverse ? -1 : 1;
  }

  /** The last of them; undefined: there are fewer than needed. */
  get last(): Uint8Array | undefined {
    return this.#keys[this.#count - 1];
  }

  /** Keys in scan order; those that have expired do not count. */
  add(items: readonly RunItem[]): void {
    const keys = this.#keys;
    for (const { key, isExpired } of items) {
      if (isExpired) continue;
      const at = this.#placeOf(key);
      if (at === this.#count) return;
      if (keys.length === this.#count) keys.pop();
      keys.splice(at, 0, key);
    }
  }

  #placeOf(key: Uint8Array): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.#keys[middle]!, key) * this.#sign < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
