// "May any of these tables hold this key?", asked of keys in ascending order.
import { compareKeys } from './bytes.js';

/** A set of inclusive key ranges, merged and ordered. */
export class KeyRanges {
  readonly #smallest: Uint8Array[] = [];
  readonly #largest: Uint8Array[] = [];
  #at = 0;

  constructor(ranges: readonly (readonly [smallest: Uint8Array, largest: Uint8Array])[]) {
    const sorted = [...ranges].sort((a, b) => compareKeys(a[0], b[0]));
    for (const [smallest, largest] of sorted) {
      const last = this.#largest.length - 1;
      if (last >= 0 && compareKeys(smallest, this.#largest[last]!) <= 0) {
        if (compareKeys(largest, this.#largest[last]!) > 0) this.#largest[last] = largest;
      } else {
        this.#smallest.push(smallest);
        this.#largest.push(largest);
      }
    }
  }

  /** True if a range contains `key`; keys must come in ascending order. */
  mayHold(key: Uint8Array): boolean {
    while (this.#at < this.#largest.length && compareKeys(this.#largest[this.#at]!, key) < 0) this.#at++;
    return this.#at < this.#smallest.length && compareKeys(this.#smallest[this.#at]!, key) <= 0;
  }
}
