// The search within a data block.
import { compareRanges } from './compare.js';
import { type DataBlock, type EntryView, parseEntry } from './data-block.js';
import { findInEntryIndex } from './entry-index.js';

/**
 * Finds the first entry at or after (key, seq) in entry order, leaves it parsed in `out`, and returns where it begins; -1 if all
 * entries come before. The found entry shares its first `out.shared` bytes with `key`.
 *
 * No key is put together on the way: `matched` is what `key` has in common with the entry before, and an entry that shares more
 * than that with its predecessor compares as its predecessor did.
 */
export function findEntry(block: DataBlock, key: Uint8Array, seq: number, out: EntryView): number {
  const data = block.data;
  const keyLength = key.length;
  let offset = findStart(block, key, seq, out);
  let matched = -1;
  for (; offset < block.entriesEnd; offset = out.end) {
    parseEntry(block, offset, out);
    const shared = out.shared;
    // The first entry shares with its predecessor, which lies before the key, only what the key shares with both. And a
    // restart point tells nothing about its predecessor.
    if (matched < 0 || shared === 0) matched = shared;
    if (shared > matched) continue;
    if (shared < matched) {
      out.matches = false;
      return offset;
    }
    const suffixEnd = out.valueStart;
    let at = out.suffixStart;
    while (at < suffixEnd && matched < keyLength && data[at] === key[matched]) {
      at++;
      matched++;
    }
    if (at < suffixEnd) {
      if (matched < keyLength && data[at]! < key[matched]!) continue;
      out.matches = false;
      return offset;
    }
    if (matched === keyLength && out.seq <= seq) {
      out.matches = true;
      return offset;
    }
  }
  return -1;
}

// Where to begin to look: all entries before are before (key, seq), and it is not far.
function findStart(block: DataBlock, key: Uint8Array, seq: number, out: EntryView): number {
  const indexed = findInEntryIndex(block, key);
  if (indexed >= 0) return indexed;
  let low = 0;
  let high = block.restartCount - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    parseEntry(block, block.restart(middle), out);
    const order = compareRanges(block.data, out.suffixStart, out.valueStart, key, 0, key.length);
    if (order < 0 || (order === 0 && out.seq > seq)) low = middle;
    else high = middle - 1;
  }
  return block.restart(low);
}
