// An index of the entries of one data block, made in memory when a block in the cache is asked again: the offset of each
// entry and four bytes of its key, those behind what all keys of the block share. A look-up then touches a few cache lines, where
// a scan from a restart point would touch every entry of its run.
import { compareRanges } from './compare.js';
import { type DataBlock, EntryView, parseEntry } from './data-block.js';
import { prefixAt } from './key-prefix.js';

/** With more entries than this of one prefix, the restart points are the better guide. */
const TIES_MAX = 24;

const view = new EntryView();
let offsets = new Int32Array(64);

export class EntryIndex {
  readonly #count: number;
  /** Length of the prefix that all keys of the block share. */
  readonly #common: number;
  /** Where the first key begins in the block. */
  readonly #firstKey: number;
  /** The prefixes, big-endian and padded with zeros, then the offsets. */
  readonly #table: Uint32Array;

  constructor(block: DataBlock) {
    parseEntry(block, 0, view);
    const data = block.data;
    const firstKey = view.suffixStart;
    let common = view.unshared;
    let count = 0;
    for (let offset = 0; offset < block.entriesEnd; offset = view.end) {
      parseEntry(block, offset, view);
      if (count === offsets.length) {
        const grown = new Int32Array(2 * count);
        grown.set(offsets);
        offsets = grown;
      }
      offsets[count++] = offset;
      if (view.shared > 0) {
        if (view.shared < common) common = view.shared;
        continue;
      }
      let same = 0;
      while (same < common && same < view.unshared && data[firstKey + same] === data[view.suffixStart + same]) same++;
      common = same;
    }
    const table = new Uint32Array(2 * count);
    let prefix = 0;
    for (let i = 0; i < count; i++) {
      parseEntry(block, offsets[i]!, view);
      const { shared, suffixStart, valueStart } = view;
      if (shared < common + 4) {
        const kept = shared > common ? shared - common : 0;
        const rest = prefixAt(data, suffixStart + common + kept - shared, valueStart);
        prefix = kept === 0 ? rest : ((prefix & (-1 << (32 - 8 * kept))) | (rest >>> (8 * kept))) >>> 0;
      }
      table[i] = prefix;
      table[count + i] = offsets[i]!;
    }
    this.#count = count;
    this.#common = common;
    this.#firstKey = firstKey;
    this.#table = table;
  }

  /**
   * Offset of an entry such that all before it are before every version of `key`, and only few after it are too; the end of the
   * entries if all are before; -1 if the index is of no help.
   */
  find(block: DataBlock, key: Uint8Array): number {
    const common = this.#common;
    const keyLength = key.length;
    if (common > 0) {
      const head = keyLength < common ? keyLength : common;
      const order = compareRanges(key, 0, head, block.data, this.#firstKey, this.#firstKey + common);
      if (order !== 0) return order < 0 ? 0 : block.entriesEnd;
    }
    const table = this.#table;
    const count = this.#count;
    const prefix = prefixAt(key, common, keyLength);
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (table[middle]! < prefix) low = middle + 1;
      else high = middle;
    }
    if (low === count) return block.entriesEnd;
    if (low + TIES_MAX < count && table[low + TIES_MAX] === prefix) return -1;
    return table[count + low]!;
  }
}
