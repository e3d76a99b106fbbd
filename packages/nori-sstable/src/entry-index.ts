// An index of the entries of one data block, made when the block goes into the cache: four bytes of each key, those behind what all
// keys of the block share, and where each entry begins. A look-up then touches a few cache lines, where a scan
// from a restart point would touch every entry of its run.
//
//   prefix 0 .. prefix n-1 (big-endian, padded with zeros) | offset 0 .. offset n-1 (from the start of the block)
import { compareRanges } from './compare.js';
import { type DataBlock, EntryView, parseEntry } from './data-block.js';
import { prefixAt } from './key-prefix.js';
import { lowerBound } from './lower-bound.js';

/** With more entries than this of one prefix, the restart points are the better guide. */
const TIES_MAX = 24;

const view = new EntryView();
let offsets = new Uint32Array(64);

/** Parses all entries of `block` and notes what {@link writeEntryIndex} needs; returns how many words that will write. */
export function prepareEntryIndex(block: DataBlock): number {
  parseEntry(block, block.start, view);
  const { data, start, entriesEnd } = block;
  const firstKey = view.suffixStart;
  let common = view.unshared;
  let count = 0;
  for (let offset = start; offset < entriesEnd; offset = view.end) {
    parseEntry(block, offset, view);
    if (count === offsets.length) {
      const grown = new Uint32Array(2 * count);
      grown.set(offsets);
      offsets = grown;
    }
    offsets[count++] = offset - start;
    if (view.shared > 0) {
      if (view.shared < common) common = view.shared;
      continue;
    }
    let same = 0;
    while (same < common && same < view.unshared && data[firstKey + same] === data[view.suffixStart + same]) same++;
    common = same;
  }
  block.entryCount = count;
  block.commonBytes = common;
  block.firstKey = firstKey;
  return 2 * count;
}

/** Writes the index of the block that was prepared last to `words` at `at`. */
export function writeEntryIndex(block: DataBlock, words: Uint32Array, at: number): void {
  const { data, start, entryCount: count, commonBytes: common } = block;
  let prefix = 0;
  for (let i = 0; i < count; i++) {
    parseEntry(block, start + offsets[i]!, view);
    const { shared, suffixStart, valueStart } = view;
    if (shared < common + 4) {
      const kept = shared > common ? shared - common : 0;
      const rest = prefixAt(data, suffixStart + common + kept - shared, valueStart);
      prefix = kept === 0 ? rest : ((prefix & (-1 << (32 - 8 * kept))) | (rest >>> (8 * kept))) >>> 0;
    }
    words[at + i] = prefix;
    words[at + count + i] = offsets[i]!;
  }
  block.words = words;
  block.wordsAt = at;
}

/** Gives `target`, a copy of `source`, a copy of its index too, in `words` at `at`. */
export function copyEntryIndex(source: DataBlock, target: DataBlock, words: Uint32Array, at: number): void {
  words.set(source.words!.subarray(source.wordsAt, source.wordsAt + 2 * source.entryCount), at);
  target.words = words;
  target.wordsAt = at;
}

/**
 * Where an entry begins such that all before it are before every version of `key`, and only few after it are too; the end of the
 * entries if all are before; -1 if the block has no index, or it is of no help.
 */
export function findInEntryIndex(block: DataBlock, key: Uint8Array): number {
  const words = block.words;
  if (words === undefined) return -1;
  const common = block.commonBytes;
  const keyLength = key.length;
  if (common > 0) {
    const head = keyLength < common ? keyLength : common;
    const order = compareRanges(key, 0, head, block.data, block.firstKey, block.firstKey + common);
    if (order !== 0) return order < 0 ? block.start : block.entriesEnd;
  }
  const prefix = prefixAt(key, common, keyLength);
  const first = block.wordsAt;
  const count = block.entryCount;
  const low = lowerBound(words, first, count, prefix);
  if (low === first + count) return block.entriesEnd;
  if (low + TIES_MAX < first + count && words[low + TIES_MAX] === prefix) return -1;
  return block.start + words[low + count]!;
}
