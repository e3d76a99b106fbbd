// A verified data block in memory, and how to parse its entries. Blocks are immutable and never reused: views into them
// stay good as long as somebody holds them.
//
//   entry 0 .. entry m-1 | restart offsets: u32 x r | r: u32        entry: see docs/formats/sstable.md
import { readU32LE } from 'nori-io';
import type { EntryIndex } from './entry-index.js';
import { SSTableError } from './errors.js';
import { DATA_BLOCK_BYTES_MIN, KEY_BYTES_MAX, KIND_HAS_EXPIRY, KIND_PUT, KIND_TOMBSTONE } from './format.js';
import type { EntryKind } from './types.js';

const TWO_28 = 0x1000_0000;
const VARINT_BYTES_MAX = 8;

/** A data block whose checksum was verified. */
export class DataBlock {
  /** Begins with the contents; what follows them is of no interest. */
  readonly data: Uint8Array;
  /** Where the entries end and the restart array begins. */
  readonly entriesEnd: number;
  readonly restartCount: number;
  readonly file: string;
  /** Offset of the block in the file. */
  readonly fileOffset: number;
  /** Made by {@link findEntry} when it pays. */
  entryIndex: EntryIndex | undefined = undefined;
  // State of the block cache, kept here so that a hit touches nothing else.
  referenced = false;
  ringPosition = -1;
  slots: (DataBlock | undefined)[] | undefined = undefined;
  slot = 0;

  /** Takes `data` with verified contents of `size` bytes at its start. */
  constructor(data: Uint8Array, size: number, file: string, fileOffset: number) {
    this.data = data;
    this.file = file;
    this.fileOffset = fileOffset;
    const count = size < DATA_BLOCK_BYTES_MIN ? 0 : readU32LE(data, size - 4);
    const entriesEnd = size - 4 - 4 * count;
    if (count === 0 || entriesEnd < 5 || readU32LE(data, entriesEnd) !== 0) {
      throw corruptBlock(file, fileOffset, 'its restart array is not possible');
    }
    this.entriesEnd = entriesEnd;
    this.restartCount = count;
  }

  /** Offset of the entry at restart point `index`, 0 ≤ index < restartCount. */
  restart(index: number): number {
    const offset = readU32LE(this.data, this.entriesEnd + 4 * index);
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
    throw corruptBlock(block.file, block.fileOffset, `its entry at ${offset} is not possible`);
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
