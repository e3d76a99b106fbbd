// An index block: one separator per block that it names. That are data blocks in an index of one level and in the partitions
// of a two-level index, and partitions in its upper level. The writer builds the contents; a reader searches them
// where they lie, with the positions of the keys and a 4-byte prefix of each (behind what all keys share) decoded into flat arrays.
// Where keys have long beginnings in common, a few at a time, prefixes are alike in runs: four more bytes, behind what all keys of a run
// share, tell these apart.
//
//   entry 0 .. entry n-1 | n: u32        entry: key length, sequence, offset, size (varints), key
import { readU32LE, readVarint, VarintCursor, varintSize, writeU32LE, writeVarint } from 'nori-io';
import type { Cacheable, CacheUnit, SlotArray } from './block-cache.js';
import { compareRanges, copyBytes } from './compare.js';
import type { BlockHandle } from './footer.js';
import { BLOCK_TRAILER_BYTES, INDEX_ENTRY_BYTES_MIN, KEY_BYTES_MAX } from './format.js';
import { prefixAt } from './key-prefix.js';
import { lowerBound } from './lower-bound.js';

const INITIAL_BYTES = 4096;
/** Prefixes that fill a cache line. */
const GROUP = 16;
const COUNT_BYTES = 4;
const PREFIX_MAX = 0xffff_ffff;
const PREFIX_BYTES = 4;
/** An index that is larger than so many partitions is written in two levels. */
const ONE_LEVEL_PARTITIONS_MAX = 32;
/** The objects of a decoded index block, roughly. */
const OBJECT_BYTES = 1024;

/** Collects separators and makes index blocks of them. */
export class IndexBuilder {
  readonly #partitionBytes: number;
  #bytes = new Uint8Array(INITIAL_BYTES);
  #length = 0;
  #count = 0;
  /** The partitions that are complete, of which only a large table makes use. */
  readonly #partitions: Partition[] = [];
  #partitionStart = 0;
  #partitionCount = 0;
  /** Where the key of the entry added last begins, and its sequence number. */
  #lastKey = 0;
  #lastSeq = 0;

  constructor(partitionBytes: number) {
    this.#partitionBytes = partitionBytes;
  }

  /** Adds the next block under the separator `key[0..keyLength)`, `seq`. */
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
    this.#lastKey = at;
    this.#lastSeq = seq;
    this.#length = at + keyLength;
    this.#count++;
    this.#partitionCount++;
    if (this.#length - this.#partitionStart + COUNT_BYTES >= this.#partitionBytes) this.#endPartition();
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#length + COUNT_BYTES;
  }

  /** Whether the index is so large that it is to be written in two levels. */
  get isLarge(): boolean {
    return this.sizeBytes > ONE_LEVEL_PARTITIONS_MAX * this.#partitionBytes;
  }

  /** The contents of the index in one level. */
  build(): Uint8Array {
    writeU32LE(this.#bytes, this.#length, this.#count);
    return this.#bytes.subarray(0, this.sizeBytes);
  }

  /** Hands the contents of each partition to `write`; returns the contents of the upper level. */
  buildTwoLevels(write: (contents: Uint8Array) => BlockHandle): Uint8Array {
    if (this.#partitionCount > 0) this.#endPartition();
    const upper = new IndexBuilder(Number.POSITIVE_INFINITY);
    for (const { start, end, count, key, seq } of this.#partitions) {
      const contents = new Uint8Array(end - start + COUNT_BYTES);
      contents.set(this.#bytes.subarray(start, end));
      writeU32LE(contents, end - start, count);
      const handle = write(contents);
      upper.add(this.#bytes.subarray(key, end), end - key, seq, handle.offset, handle.size);
    }
    return upper.build();
  }

  #endPartition(): void {
    const partition = { start: this.#partitionStart, end: this.#length, count: this.#partitionCount };
    this.#partitions.push({ ...partition, key: this.#lastKey, seq: this.#lastSeq });
    this.#partitionStart = this.#length;
    this.#partitionCount = 0;
  }
}

interface Partition {
  /** Its entries in the builder's bytes, and how many they are. */
  readonly start: number;
  readonly end: number;
  readonly count: number;
  /** Where the key of its last separator begins, which ends at `end`. */
  readonly key: number;
  readonly seq: number;
}

/** Which blocks an index block may name: contiguous, from `start` (undefined: from anywhere) up to `end` (or, if `isPart`, not beyond). */
export interface IndexBounds {
  readonly start: number | undefined;
  readonly end: number;
  readonly isPart: boolean;
  readonly sizeMin: number;
  readonly sizeMax: number;
}

/** A decoded index block. Can be in the block cache. */
export class IndexBlock implements Cacheable {
  /** Number of blocks that it names. */
  readonly count: number;
  readonly #contents: Uint8Array;
  /** Begin and end of each separator's key in the contents. */
  readonly #keys: Uint32Array;
  /** Undefined if all are 0, as they are unless one key has more versions than fit into a block. */
  #seqs: Float64Array | undefined;
  /** Offsets of the blocks, and the end of the last one. */
  readonly #offsets: Float64Array;
  /** Four bytes of each separator behind the common prefix, big-endian, padded with zeros. */
  readonly #prefixes: Uint32Array;
  /** The last of each {@link GROUP} prefixes: a search looks at these, then at one cache line of the others. */
  readonly #lasts: Uint32Array;
  #commonStart = 0;
  #commonEnd = 0;
  /** If there are runs of equal prefixes: how many bytes behind its prefix each key shares with its whole run, and the four behind these. */
  #runShares: Uint16Array | undefined;
  #runWords: Uint32Array | undefined;
  // State of the block cache.
  referenced = false;
  unit: CacheUnit | undefined = undefined;
  slots: SlotArray<Cacheable> | undefined = undefined;
  slot = 0;

  private constructor(contents: Uint8Array, count: number) {
    this.#contents = contents;
    this.count = count;
    this.#keys = new Uint32Array(2 * count);
    this.#offsets = new Float64Array(count + 1);
    this.#prefixes = new Uint32Array(count);
    this.#lasts = new Uint32Array(Math.ceil(count / GROUP));
  }

  /** Keeps `contents` and does not copy them. Returns undefined if they are not an index block within `bounds`. */
  static decode(contents: Uint8Array, bounds: IndexBounds): IndexBlock | undefined {
    const end = contents.length - COUNT_BYTES;
    if (end < 0) return undefined;
    const count = readU32LE(contents, end);
    if (count * INDEX_ENTRY_BYTES_MIN > end) return undefined;
    const index = new IndexBlock(contents, count);
    return index.#decodeEntries(end, bounds) ? index : undefined;
  }

  #decodeEntries(end: number, bounds: IndexBounds): boolean {
    const number = new VarintCursor();
    const contents = this.#contents;
    let at = 0;
    let offset = bounds.start ?? -1;
    for (let i = 0; i < this.count; i++) {
      if ((at = readVarint(contents, at, number, end)) < 0) return false;
      const keyLength = number.value;
      if ((at = readVarint(contents, at, number, end)) < 0) return false;
      if (number.value > 0) (this.#seqs ??= new Float64Array(this.count))[i] = number.value;
      if ((at = readVarint(contents, at, number, end)) < 0) return false;
      if (offset < 0) offset = number.value;
      else if (number.value !== offset) return false;
      if ((at = readVarint(contents, at, number, end)) < 0) return false;
      const size = number.value;
      if (size < bounds.sizeMin || size > bounds.sizeMax) return false;
      if (keyLength > KEY_BYTES_MAX || at + keyLength > end) return false;
      this.#keys[2 * i] = at;
      this.#keys[2 * i + 1] = at + keyLength;
      at += keyLength;
      this.#offsets[i] = offset;
      offset += size + BLOCK_TRAILER_BYTES;
    }
    this.#offsets[this.count] = offset;
    if (at !== end || (bounds.isPart ? this.count === 0 || offset > bounds.end : offset !== bounds.end)) return false;
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
      const prefix = prefixAt(contents, this.#keys[2 * i]! + common, this.#keys[2 * i + 1]!);
      this.#prefixes[i] = prefix;
      this.#lasts[Math.floor(i / GROUP)] = prefix;
    }
    for (let first = 0; first < this.count; ) {
      const end = this.#runEnd(first);
      if (end > first + 1) this.#decodeRun(first, end, common + PREFIX_BYTES);
      first = end;
    }
  }

  /** @param from bytes of the keys that are in their common beginning and their prefixes */
  #decodeRun(first: number, end: number, from: number): void {
    const shares = (this.#runShares ??= new Uint16Array(this.count));
    const words = (this.#runWords ??= new Uint32Array(this.count));
    const keys = this.#keys;
    const contents = this.#contents;
    const last = end - 1;
    const length = Math.min(keys[2 * first + 1]! - keys[2 * first]!, keys[2 * last + 1]! - keys[2 * last]!);
    const start = keys[2 * first]!;
    const lastStart = keys[2 * last]!;
    // They are in order: what the first and the last share, all share.
    let shared = from;
    while (shared < length && contents[start + shared] === contents[lastStart + shared]) shared++;
    for (let i = first; i < end; i++) {
      shares[i] = shared - from;
      words[i] = prefixAt(contents, keys[2 * i]! + shared, keys[2 * i + 1]!);
    }
  }

  /** The first behind `first` that does not have its prefix. */
  #runEnd(first: number): number {
    const prefixes = this.#prefixes;
    const prefix = prefixes[first];
    let step = 1;
    while (first + step < this.count && prefixes[first + step] === prefix) step *= 2;
    let low = first + (step >> 1) + 1;
    let high = Math.min(first + step, this.count);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (prefixes[middle] === prefix) low = middle + 1;
      else high = middle;
    }
    return low;
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
    const low = this.#firstAtOrAfter(prefix);
    if (low === this.count || prefixes[low] !== prefix) return low;
    if (low + 1 === this.count || prefixes[low + 1] !== prefix)
      return this.#firstNotBefore(low, low + 1, key, seq, common);
    return this.#findInRun(low, this.#runEnd(low), key, seq, common + PREFIX_BYTES);
  }

  /** As {@link IndexBlock.find} among those of one prefix, which is the key's. */
  #findInRun(first: number, end: number, key: Uint8Array, seq: number, from: number): number {
    const share = this.#runShares![first]!;
    const keyLength = key.length;
    if (share > 0) {
      // All of the run have so many bytes.
      const head = keyLength < from + share ? keyLength : from + share;
      const start = this.#keys[2 * first]! + from;
      const order = head < from ? -1 : compareRanges(key, from, head, this.#contents, start, start + share);
      if (order !== 0) return order < 0 ? first : end;
    }
    const words = this.#runWords!;
    const word = prefixAt(key, from + share, keyLength);
    const low = lowerBound(words, first, end - first, word);
    if (low === end || words[low] !== word) return low;
    // Among those of this word the whole keys decide.
    const high = word === PREFIX_MAX ? end : lowerBound(words, low, end - low, word + 1);
    return this.#firstNotBefore(low, high, key, seq, from - PREFIX_BYTES);
  }

  #firstNotBefore(first: number, end: number, key: Uint8Array, seq: number, from: number): number {
    let low = first;
    let high = end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#isBefore(middle, key, seq, from)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #firstAtOrAfter(prefix: number): number {
    const lasts = this.#lasts;
    const first = GROUP * lowerBound(lasts, 0, lasts.length, prefix);
    if (first >= this.count) return this.count;
    return lowerBound(this.#prefixes, first, Math.min(GROUP, this.count - first), prefix);
  }

  #isBefore(i: number, key: Uint8Array, seq: number, from: number): boolean {
    const keys = this.#keys;
    const order = compareRanges(this.#contents, keys[2 * i]! + from, keys[2 * i + 1]!, key, from, key.length);
    return order < 0 || (order === 0 && this.separatorSeq(i) > seq);
  }

  /** Memory that it takes. */
  get memoryBytes(): number {
    const entryBytes = (this.#seqs === undefined ? 20 : 28) + (this.#runWords === undefined ? 0 : 6);
    return this.#contents.length + this.count * entryBytes + 4 * this.#lasts.length + OBJECT_BYTES;
  }

  /** Offset of block `i` in the file; of block `count`, where the last one ends. */
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
    return this.#seqs === undefined ? 0 : this.#seqs[i]!;
  }
}
