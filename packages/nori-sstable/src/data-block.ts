// A verified data block in memory, and how to parse its entries. Its bytes lie somewhere in `data`, which it may share with other
// blocks: all offsets within this package are offsets into `data`. Blocks are immutable and never reused, so that views into them
// stay good as long as somebody holds them; the one exception is `TableFile.passingBlock`.
//
//   entry 0 .. entry m-1 | restart offsets: u32 x r | r: u32        entry: see docs/formats/sstable.md
import { readU32LE } from 'nori-io';
import type { CacheUnit, SlotArray } from './block-cache.js';
import { SSTableError } from './errors.js';
import {
  DATA_BLOCK_BYTES_MIN,
  ENTRY_BYTES_MIN,
  KEY_BYTES_MAX,
  KIND_HAS_EXPIRY,
  KIND_PUT,
  KIND_TOMBSTONE,
} from './format.js';
import type { EntryKind } from './types.js';

const TWO_28 = 0x1000_0000;
const VARINT_BYTES_MAX = 8;
const NO_BYTES = new Uint8Array(0);

/** A data block whose checksum was verified. */
export class DataBlock {
  // What a look-up touches comes first, to be close together. `referenced` is the cache's: hit since the cache last looked.
  referenced = false;
  // The index of its entries (entry-index.ts), if it has one: `entryCount` prefixes and as many offsets, from `wordsAt` on.
  words: Uint32Array | undefined = undefined;
  wordsAt = 0;
  entryCount = 0;
  commonBytes = 0;
  firstKey = 0;
  data: Uint8Array = NO_BYTES;
  /** Where the contents begin; the first entry is here. */
  start = 0;
  /** Where the entries end and the restart array begins. */
  entriesEnd = 0;
  restartCount = 0;
  file = '';
  /** Offset of the block in the file. */
  fileOffset = 0;
  #view: DataView | undefined = undefined;
  // The block's place in the cache.
  unit: CacheUnit | undefined = undefined;
  slots: SlotArray<DataBlock> | undefined = undefined;
  slot = 0;

  /** Becomes the block with verified contents of `size` bytes from `start` on in `data`. */
  reset(data: Uint8Array, start: number, size: number, file: string, fileOffset: number): this {
    this.data = data;
    this.#view = undefined;
    this.start = start;
    this.file = file;
    this.fileOffset = fileOffset;
    const end = start + size;
    const count = size < DATA_BLOCK_BYTES_MIN ? 0 : readU32LE(data, end - 4);
    const entriesEnd = end - 4 - 4 * count;
    if (count === 0 || entriesEnd < start + ENTRY_BYTES_MIN || readU32LE(data, entriesEnd) !== 0) {
      throw corruptBlock(file, fileOffset, 'its restart array is not possible');
    }
    this.entriesEnd = entriesEnd;
    this.restartCount = count;
    return this;
  }

  /** A view of `data`. */
  get view(): DataView {
    this.#view ??= new DataView(this.data.buffer, this.data.byteOffset, this.data.length);
    return this.#view;
  }

  /** Size of the contents. */
  get size(): number {
    return this.entriesEnd - this.start + 4 * this.restartCount + 4;
  }

  /** Where the entry at restart point `index` begins, 0 ≤ index < restartCount. */
  restart(index: number): number {
    const offset = this.start + readU32LE(this.data, this.entriesEnd + 4 * index);
    if (offset >= this.entriesEnd) throw corruptBlock(this.file, this.fileOffset, 'a restart point lies outside');
    return offset;
  }

  /** The last restart point below `offset` (0 if there is none). */
  restartBefore(offset: number): number {
    let low = 0;
    let high = this.restartCount - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.restart(middle) < offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** A parsed entry. Make one and reuse it; all offsets are into the block's data. */
export class EntryView {
  shared = 0;
  unshared = 0;
  kind: EntryKind = 1;
  seq = 0;
  expiresAtMs = 0;
  /** Where the suffix of the key begins. */
  suffixStart = 0;
  valueStart = 0;
  /** Where the value ends and the next entry begins. */
  end = 0;
  /** Set by {@link findEntry}: the entry's key is the one searched for. */
  matches = false;
}

let varintValue = 0;

/** Parses the entry at `offset`, checking every length against the block. */
export function parseEntry(block: DataBlock, offset: number, out: EntryView): void {
  const data = block.data;
  let at = offset + 1;
  let shared = data[offset]!;
  if (shared >= 0x80) {
    at = readLongVarint(data, offset);
    shared = varintValue;
  }
  let unshared = data[at++]!;
  if (unshared >= 0x80) {
    at = readLongVarint(data, at - 1);
    unshared = varintValue;
  }
  let valueLength = data[at++]!;
  if (valueLength >= 0x80) {
    at = readLongVarint(data, at - 1);
    valueLength = varintValue;
  }
  const kindByte = data[at++]!;
  let seq = data[at++]!;
  if (seq >= 0x80) {
    at = readLongVarint(data, at - 1);
    seq = varintValue;
  }
  let expiresAtMs = 0;
  if (kindByte >= KIND_HAS_EXPIRY) {
    at = readLongVarint(data, at);
    expiresAtMs = varintValue;
  }
  const kind = kindByte & 0x7f;
  const valueStart = at + unshared;
  const end = valueStart + valueLength;
  // Written so that NaN, of a varint too long or a read beyond the data, fails too.
  const isPossible = end <= block.entriesEnd && shared + unshared <= KEY_BYTES_MAX && seq + expiresAtMs >= 0;
  if (!isPossible || (kind !== KIND_PUT && kind !== KIND_TOMBSTONE)) {
    throw corruptBlock(block.file, block.fileOffset, `its entry at ${offset - block.start} is not possible`);
  }
  out.shared = shared;
  out.unshared = unshared;
  out.kind = kind;
  out.seq = seq;
  out.expiresAtMs = expiresAtMs;
  out.suffixStart = at;
  out.valueStart = valueStart;
  out.end = end;
}

/** The error of a damaged data block. */
export function corruptBlock(file: string, offset: number, what: string): SSTableError {
  return new SSTableError('SSTABLE_CORRUPT_BLOCK', `A data block is damaged: ${what}. Restore the table from a copy`, {
    file,
    offset,
  });
}

// Leaves NaN for what is too long or means 2^53 or more: no check that follows lets it pass.
function readLongVarint(data: Uint8Array, offset: number): number {
  let low = 0;
  let at = offset;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = data[at++]!;
    low |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      varintValue = low;
      return at;
    }
  }
  let high = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = data[at++]!;
    high |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      varintValue = at - offset === VARINT_BYTES_MAX && byte >= 0x10 ? Number.NaN : high * TWO_28 + low;
      return at;
    }
  }
  varintValue = Number.NaN;
  return at;
}
