// Walks the entries of one table in order, in both directions. Synchronous: a block that is not in the cache is read on the calling
// thread.
//
// The cursor stands on the entry at #offset of #block, parsed in #entry, its key put together in #key. A step forward appends
// to what the keys share. A step backward needs the entry before, which only a scan from a restart point finds: the offsets of that
// run are kept, so that one scan serves all its entries; the bytes of the key which the current entry does not share
// are gathered from the suffixes before it.

import { copyBytes } from './compare.js';
import { corruptBlock, type DataBlock, EntryView, parseEntry } from './data-block.js';
import { findEntry } from './find-entry.js';
import type { IndexBlock } from './index-block.js';
import type { TableFile } from './table-file.js';
import type { EntryKind } from './types.js';

const READ_AHEAD_BYTES_DEFAULT = 256 * 1024;
const KEY_BYTES_INITIAL = 64;
const RUN_INITIAL = 16;

/** How a cursor sees and reads its table. */
export interface TableCursorOptions {
  /** Hides entries with a higher sequence number. Default: none are hidden. */
  readonly maxSeq?: number;
  /** Whether blocks that were read go into the block cache. Default true; false for scans of whole tables. */
  readonly fillCache?: boolean;
  /**
   * How much to read at once when the cursor comes, stepping forward, to a block that is not in the cache. Blocks read ahead do not go into
   * the cache. Default 256 KiB if `fillCache` is false, else 0: block by block.
   */
  readonly readAheadBytes?: number;
}

/**
 * A position among the entries of a table. Made by `SSTableReader.cursor`; not valid until it is positioned. Stepping a
 * cursor that is not valid does nothing. After an error it is not valid. It needs no closing.
 */
export class TableCursor {
  readonly #table: TableFile;
  readonly #maxSeq: number;
  readonly #fillCache: boolean;
  readonly #readAheadBytes: number;

  #valid = false;
  #block: DataBlock | undefined;
  /** The block's part of the index, and its number there. */
  #blockPart = -1;
  #blockIndex = -1;
  /** The part of the index that was used last. */
  #part: IndexBlock | undefined;
  #partNumber = -1;
  #offset = 0;
  readonly #entry = new EntryView();

  #key = new Uint8Array(KEY_BYTES_INITIAL);
  #keyLength = 0;
  #keyView: Uint8Array;

  // Offsets of the entries of a run in #runBlock, of which #offset is number #runPosition if the cursor still stands there.
  readonly #scan = new EntryView();
  #run = new Int32Array(RUN_INITIAL);
  #runBlock: DataBlock | undefined;
  #runPosition = 0;

  // What lies in the file from #aheadStart up to #aheadEnd, read at once and not yet verified.
  #ahead: Uint8Array = new Uint8Array(0);
  #aheadStart = 0;
  #aheadEnd = 0;

  /** @internal */
  constructor(table: TableFile, options: TableCursorOptions) {
    this.#table = table;
    this.#maxSeq = options.maxSeq ?? Number.POSITIVE_INFINITY;
    this.#fillCache = options.fillCache ?? true;
    this.#readAheadBytes = options.readAheadBytes ?? (this.#fillCache ? 0 : READ_AHEAD_BYTES_DEFAULT);
    this.#keyView = this.#key.subarray(0, 0);
  }

  /** True if the cursor stands on an entry. The getters below are meaningful only then. */
  get valid(): boolean {
    return this.#valid;
  }

  /** The key: a view that is good until the cursor moves. */
  get key(): Uint8Array {
    const view = this.#keyView;
    if (view.length === this.#keyLength) return view;
    return (this.#keyView = this.#key.subarray(0, this.#keyLength));
  }

  get seq(): number {
    return this.#entry.seq;
  }

  get kind(): EntryKind {
    return this.#entry.kind;
  }

  /** Milliseconds since the epoch; 0: never. */
  get expiresAtMs(): number {
    return this.#entry.expiresAtMs;
  }

  /** The value: a view into an immutable block, which may be kept and must not be written to. */
  get value(): Uint8Array {
    return this.#block!.data.subarray(this.#entry.valueStart, this.#entry.end);
  }

  /** The memory that the value lies in, `valueLength` bytes from `valueStart` on: without making a view of the value alone. */
  get valueMemory(): DataView {
    return this.#block!.view;
  }

  get valueStart(): number {
    return this.#entry.valueStart;
  }

  get valueLength(): number {
    return this.#entry.end - this.#entry.valueStart;
  }

  /** Moves to the first entry. */
  first(): void {
    this.#valid = false;
    this.#enterFront(0, 0);
    this.#skipForward();
  }

  /** Moves to the last entry. */
  last(): void {
    this.#valid = false;
    this.#enterLast();
    this.#skipBackward();
  }

  /** Moves to the first entry at or after (`key`, `maxSeq`): versions of `key` newer than `maxSeq` are passed over. */
  seek(key: Uint8Array, maxSeq = Number.POSITIVE_INFINITY): void {
    this.#valid = false;
    this.#seek(key, maxSeq < this.#maxSeq ? maxSeq : this.#maxSeq);
    this.#skipForward();
  }

  /** Moves to the last entry whose key is at or before `key`: of several versions of it, the oldest. */
  seekForPrev(key: Uint8Array): void {
    this.#valid = false;
    // No sequence number is below 0: this finds the first entry of a greater key.
    this.#seek(key, -1);
    if (this.#valid) this.#stepBackward();
    else this.#enterLast();
    this.#skipBackward();
  }

  /** Moves to the next entry: an older version of the key, or the next key. */
  next(): void {
    if (!this.#valid) return;
    this.#stepForward();
    if (this.#valid && this.#entry.seq > this.#maxSeq) this.#skipForward();
  }

  /** Moves to the entry before. */
  prev(): void {
    if (!this.#valid) return;
    this.#stepBackward();
    if (this.#valid && this.#entry.seq > this.#maxSeq) this.#skipBackward();
  }

  #skipForward(): void {
    while (this.#valid && this.#entry.seq > this.#maxSeq) this.#stepForward();
  }

  #skipBackward(): void {
    while (this.#valid && this.#entry.seq > this.#maxSeq) this.#stepBackward();
  }

  #seek(key: Uint8Array, seq: number): void {
    const p = this.#table.findPart(key, seq);
    if (p >= this.#table.partCount) return;
    const part = this.#loadPart(p);
    const i = part.find(key, seq);
    if (i >= part.count) return;
    const block = this.#loadBlock(part, p, i, true);
    const offset = findEntry(block, key, seq, this.#entry);
    if (offset < 0) {
      this.#enterFront(p, i + 1);
      return;
    }
    const { shared, unshared, suffixStart, valueStart } = this.#entry;
    this.#reserveKey(shared + unshared);
    copyBytes(this.#key, 0, key, 0, shared);
    copyBytes(this.#key, shared, block.data, suffixStart, valueStart);
    this.#keyLength = shared + unshared;
    this.#offset = offset;
    this.#valid = true;
  }

  // Moves to the first entry of block `i` of part `p`, or of the part behind it if it has no such block, if there is one.
  #enterFront(p: number, i: number): void {
    const part = this.#loadPart(p);
    if (i >= part.count) {
      if (p + 1 < this.#table.partCount) this.#enterFront(p + 1, 0);
      return;
    }
    const block = this.#loadBlock(part, p, i, true);
    this.#keyLength = 0;
    this.#loadEntry(block.start);
    this.#valid = true;
  }

  #stepForward(): void {
    const block = this.#block!;
    this.#valid = false;
    const offset = this.#entry.end;
    if (offset >= block.entriesEnd) {
      this.#enterFront(this.#blockPart, this.#blockIndex + 1);
      return;
    }
    this.#loadEntry(offset);
    this.#valid = true;
  }

  // Parses the entry at `offset`, which follows the one whose key is in #key.
  #loadEntry(offset: number): void {
    const block = this.#block!;
    const entry = this.#entry;
    parseEntry(block, offset, entry);
    const shared = entry.shared;
    const keyLength = shared + entry.unshared;
    if (shared > this.#keyLength) throw this.#corrupt(offset);
    if (keyLength > this.#key.length) this.#reserveKey(keyLength);
    copyBytes(this.#key, shared, block.data, entry.suffixStart, entry.valueStart);
    this.#keyLength = keyLength;
    this.#offset = offset;
  }

  #enterLast(): void {
    const p = this.#table.partCount - 1;
    this.#enterBack(p, this.#loadPart(p).count - 1);
  }

  // Moves to the last entry of block `i` of part `p`, if i < 0 of the part before it, if there is one.
  #enterBack(p: number, i: number): void {
    if (i < 0) {
      if (p > 0) this.#enterBack(p - 1, this.#loadPart(p - 1).count - 1);
      return;
    }
    const block = this.#loadBlock(this.#loadPart(p), p, i, false);
    this.#scanRun(block, block.restartBefore(block.entriesEnd), block.entriesEnd);
    this.#loadFromRun(0);
  }

  #stepBackward(): void {
    const block = this.#block!;
    this.#valid = false;
    if (this.#offset === block.start) {
      this.#enterBack(this.#blockPart, this.#blockIndex - 1);
      return;
    }
    const known = this.#entry.shared;
    const isInRun = this.#runBlock === block && this.#runPosition > 0 && this.#run[this.#runPosition] === this.#offset;
    if (isInRun) this.#runPosition--;
    else this.#scanRun(block, block.restartBefore(this.#offset), this.#offset);
    this.#loadFromRun(known);
  }

  // Collects the offsets of the entries from a restart point up to `end`, exclusive; the last one becomes the position.
  #scanRun(block: DataBlock, restart: number, end: number): void {
    const scan = this.#scan;
    let count = 0;
    let offset = block.restart(restart);
    while (offset < end) {
      if (count === this.#run.length) {
        const grown = new Int32Array(2 * count);
        grown.set(this.#run);
        this.#run = grown;
      }
      this.#run[count++] = offset;
      parseEntry(block, offset, scan);
      offset = scan.end;
    }
    if (offset !== end) throw this.#corrupt(end);
    this.#runBlock = block;
    this.#runPosition = count - 1;
  }

  // Loads the entry at #runPosition. The first `known` bytes of #key are already those of its key.
  #loadFromRun(known: number): void {
    const block = this.#block!;
    const entry = this.#entry;
    const offset = this.#run[this.#runPosition]!;
    parseEntry(block, offset, entry);
    const shared = entry.shared;
    const keyLength = shared + entry.unshared;
    if (keyLength > this.#key.length) this.#reserveKey(keyLength);
    if (known < shared) this.#gatherKey(known, shared);
    copyBytes(this.#key, shared, block.data, entry.suffixStart, entry.valueStart);
    this.#keyLength = keyLength;
    this.#offset = offset;
    this.#valid = true;
  }

  // Fills #key[from..to), which the entry at #runPosition shares with its predecessor, from the suffixes before it.
  #gatherKey(from: number, to: number): void {
    const block = this.#block!;
    const scan = this.#scan;
    let missingEnd = to;
    for (let position = this.#runPosition - 1; missingEnd > from; position--) {
      if (position < 0) throw this.#corrupt(this.#run[0]!);
      parseEntry(block, this.#run[position]!, scan);
      if (scan.shared + scan.unshared < missingEnd) throw this.#corrupt(this.#run[position]!);
      if (scan.shared >= missingEnd) continue;
      const start = scan.shared > from ? scan.shared : from;
      const suffix = scan.suffixStart - scan.shared;
      copyBytes(this.#key, start, block.data, suffix + start, suffix + missingEnd);
      missingEnd = start;
    }
  }

  #reserveKey(length: number): void {
    if (length <= this.#key.length) return;
    const grown = new Uint8Array(2 * length);
    grown.set(this.#key);
    this.#key = grown;
    this.#keyView = grown.subarray(0, 0);
  }

  #loadPart(p: number): IndexBlock {
    if (this.#part === undefined || this.#partNumber !== p) {
      this.#part = this.#table.part(p, this.#fillCache);
      this.#partNumber = p;
    }
    return this.#part;
  }

  #loadBlock(part: IndexBlock, p: number, i: number, isForward: boolean): DataBlock {
    const block = this.#readBlock(part, p, i, isForward);
    this.#block = block;
    this.#blockPart = p;
    this.#blockIndex = i;
    return block;
  }

  #readBlock(part: IndexBlock, p: number, i: number, isForward: boolean): DataBlock {
    if (this.#block && i === this.#blockIndex && p === this.#blockPart) return this.#block;
    const table = this.#table;
    if (this.#readAheadBytes === 0 || !isForward) return table.block(part, p, i, this.#fillCache);
    const start = part.offset(i);
    const end = part.offset(i + 1);
    if (start < this.#aheadStart || end > this.#aheadEnd) {
      const cached = table.cachedBlock(p, i);
      if (cached) return cached;
      this.#readAhead(part, i);
    }
    return table.decodeBlock(part, i, this.#ahead.subarray(start - this.#aheadStart, end - this.#aheadStart));
  }

  // Reads block `first` and as many behind it, in the same part, as the limit allows.
  #readAhead(part: IndexBlock, first: number): void {
    const start = part.offset(first);
    let next = first + 1;
    while (next < part.count && part.offset(next + 1) - start <= this.#readAheadBytes) next++;
    const end = part.offset(next);
    this.#aheadEnd = 0;
    this.#ahead = this.#table.readSync(start, new Uint8Array(end - start));
    this.#aheadStart = start;
    this.#aheadEnd = end;
  }

  #corrupt(offset: number): Error {
    const block = this.#block!;
    return corruptBlock(block.file, block.fileOffset, `its entries around ${offset} do not fit together`);
  }
}
