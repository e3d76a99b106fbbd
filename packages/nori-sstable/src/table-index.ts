// The index: one separator per data block. The writer builds its contents; a reader searches them where they lie, with the
// positions of the keys and a 4-byte prefix of each (behind what all keys share) decoded into flat arrays.
//
//   entry 0 .. entry n-1 | n: u32        entry: key length, sequence, offset, size (varints), key
import { readU32LE, readVarint, VarintCursor, varintSize, writeU32LE, writeVarint } from 'nori-io';
import { compareRanges, copyBytes } from './compare.js';
import {
  BLOCK_TRAILER_BYTES,
  DATA_BLOCK_BYTES_MAX,
  DATA_BLOCK_BYTES_MIN,
  INDEX_ENTRY_BYTES_MIN,
  KEY_BYTES_MAX,
} from './format.js';
import { prefixAt } from './key-prefix.js';

const INITIAL_BYTES = 4096;
const COUNT_BYTES = 4;

/** Collects separators and makes the contents of an index block of them. */
export class IndexBuilder {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #length = 0;
  #count = 0;

  /** Adds the next data block under the separator `key[0..keyLength)`, `seq`. */
  add(key: Uint8Array, keyLength: number, seq: number, offset: number, size: number): void {
    const room = varintSize(keyLength) + varintSize(seq) + varintSize(offset) + varintSize(size) + keyLength;
    if (this.#length + room + COUNT_BYTES > this.#bytes.length) {
      const grown = new Uint8Array(2 * this.#bytes.length + room);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    let at = writeVarint(this.#bytes, this.#length, keyLength);
    at = writeVarint(this.#bytes, at, seq);
    at = writeVarint(this.#bytes, at, offset);
    at = writeVarint(this.#bytes, at, size);
    copyBytes(this.#bytes, at, key, 0, keyLength);
    this.#length = at + keyLength;
    this.#count++;
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#length + COUNT_BYTES;
  }

  build(): Uint8Array {
    writeU32LE(this.#bytes, this.#length, this.#count);
    return this.#bytes.subarray(0, this.sizeBytes);
  }
}

/** The decoded index of an open table. */
export class TableIndex {
  /** Number of data blocks. */
  readonly count: number;
  readonly #contents: Uint8Array;
  /** Begin and end of each separator's key in the contents. */
  readonly #keys: Uint32Array;
  readonly #seqs: Float64Array;
  /** Offsets of the blocks, and the end of the last one. */
  readonly #offsets: Float64Array;
  /** Four bytes of each separator behind the common prefix, big-endian, padded with zeros. */
  readonly #prefixes: Uint32Array;
  #commonStart = 0;
  #commonEnd = 0;

  private constructor(contents: Uint8Array, count: number) {
    this.#contents = contents;
    this.count = count;
    this.#keys = new Uint32Array(2 * count);
    this.#seqs = new Float64Array(count);
    this.#offsets = new Float64Array(count + 1);
    this.#prefixes = new Uint32Array(count);
  }

  /** Returns undefined if the contents are not an index whose blocks fill a data region of `dataBytes`. */
  static decode(contents: Uint8Array, dataBytes: number): TableIndex | undefined {
    const end = contents.length - COUNT_BYTES;
    if (end < 0) return undefined;
    const count = readU32LE(contents, end);
    if (count * INDEX_ENTRY_BYTES_MIN > end) return undefined;
    const index = new TableIndex(contents, count);
    return index.#decodeEntries(end, dataBytes) ? index : undefined;
  }

  #decodeEntries(end: number, dataBytes: number): boolean {
    const number = new VarintCursor();
    const contents = this.#contents;
    let at = 0;
    let offset = 0;
    for (let i = 0; i < this.count; i++) {
      if ((at = readVarint(contents, at, number, end)) < 0) return false;
      const keyLength = number.value;
      if ((at = readVarint(contents, at, number, end)) < 0) return false;
      this.#seqs[i] = number.value;
      if ((at = readVarint(contents, at, number, end)) < 0 || number.value !== offset) return false;
      if ((at = readVarint(contents, at, number, end)) < 0) return false;
      const size = number.value;
      if (size < DATA_BLOCK_BYTES_MIN || size > DATA_BLOCK_BYTES_MAX) return false;
      if (keyLength > KEY_BYTES_MAX || at + keyLength > end) return false;
      this.#keys[2 * i] = at;
      this.#keys[2 * i + 1] = at + keyLength;
      at += keyLength;
      this.#offsets[i] = offset;
      offset += size + BLOCK_TRAILER_BYTES;
    }
    this.#offsets[this.count] = offset;
    if (at !== end || offset !== dataBytes) return false;
    if (this.count > 0) this.#decodePrefixes();
    return true;
  }

  #decodePrefixes(): void {
    const contents = this.#contents;
    const last = 2 * (this.count - 1);
    const start = this.#keys[0]!;
    const lastStart = this.#keys[last]!;
    const length = Math.min(this.#keys[1]! - start, this.#keys[last + 1]! - lastStart);
    let common = 0;
    while (common < length && contents[start + common] === contents[lastStart + common]) common++;
    this.#commonStart = start;
    this.#commonEnd = start + common;
    for (let i = 0; i < this.count; i++) {
      this.#prefixes[i] = prefixAt(contents, this.#keys[2 * i]! + common, this.#keys[2 * i + 1]!);
    }
  }

  /** The first block whose separator is at or after (key, seq): the one where that entry would be. `count` if there is none. */
  find(key: Uint8Array, seq: number): number {
    const contents = this.#contents;
    const keyLength = key.length;
    const common = this.#commonEnd - this.#commonStart;
    if (common > 0) {
      const head = keyLength < common ? keyLength : common;
      const order = compareRanges(key, 0, head, contents, this.#commonStart, this.#commonEnd);
      if (order < 0) return 0;
      if (order > 0) return this.count;
    }
    const prefixes = this.#prefixes;
    const prefix = prefixAt(key, common, keyLength);
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const candidate = prefixes[middle]!;
      if (candidate < prefix || (candidate === prefix && this.#isBefore(middle, key, seq, common))) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #isBefore(i: number, key: Uint8Array, seq: number, from: number): boolean {
    const keys = this.#keys;
    const order = compareRanges(this.#contents, keys[2 * i]! + from, keys[2 * i + 1]!, key, from, key.length);
    return order < 0 || (order === 0 && this.#seqs[i]! > seq);
  }

  /** Offset of block `i` in the file. */
  offset(i: number): number {
    return this.#offsets[i]!;
  }

  /** Size of the contents of block `i`, without its trailer. */
  size(i: number): number {
    return this.#offsets[i + 1]! - this.#offsets[i]! - BLOCK_TRAILER_BYTES;
  }

  /** A view of the separator's key of block `i`. */
  separatorKey(i: number): Uint8Array {
    return this.#contents.subarray(this.#keys[2 * i], this.#keys[2 * i + 1]);
  }

  separatorSeq(i: number): number {
    return this.#seqs[i]!;
  }
}
