// The tables of one level below L0, which are disjoint and in key order, and the search for the one that may hold a key: by four
// bytes of the tables' largest keys, those behind what all of these keys share, so that a look-up seldom compares whole keys.
import { compareKeys, compareRange, prefixHigh } from './bytes.js';
import type { Table } from './table.js';

/** One level; see the top of the file. */
export class SortedRun {
  readonly tables: readonly Table[];
  /** Bytes that all largest keys begin with. */
  readonly #common: Uint8Array;
  /** Of each largest key the word behind these bytes, see `prefixHigh`. */
  readonly #words: Int32Array;

  /** @param tables at least one */
  constructor(tables: readonly Table[]) {
    this.tables = tables;
    const first = tables[0]!.largestKey;
    const last = tables.at(-1)!.largestKey;
    let common = 0;
    // They are in order: what the first and the last share, all share.
    while (common < first.length && common < last.length && first[common] === last[common]) common++;
    this.#common = first.subarray(0, common);
    this.#words = Int32Array.from(tables, ({ largestKey }) =>
      prefixHigh(largestKey, common, largestKey.length - common),
    );
  }

  /** The only table that may hold `key`: the first whose largest key is not before it; undefined if there is none. */
  tableFor(key: Uint8Array): Table | undefined {
    const { tables } = this;
    const common = this.#common.length;
    if (common > 0) {
      const head = key.length < common ? key.length : common;
      const order = compareRange(key, 0, head, this.#common, 0, common, 0);
      if (order !== 0) return order < 0 ? tables[0] : undefined;
    }
    const words = this.#words;
    const word = prefixHigh(key, common, key.length - common);
    let low = 0;
    let high = words.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = words[middle]!;
      if (other < word || (other === word && compareKeys(tables[middle]!.largestKey, key) < 0)) low = middle + 1;
      else high = middle;
    }
    return tables[low];
  }
}
