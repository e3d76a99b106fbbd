// The newest entries, sorted, in memory. A memtable is active (the one that is written to), then sealed (immutable,
// waiting for its flush), then released once its table is installed and no cursor reads it any more.
import type { ArenaPool } from './arena-pool.js';
import { EMPTY_BYTES, ENTRY_OVERHEAD, MemtableTree } from './memtable-tree.js';
import { neededBeside, type RangeTombstone, RangeTombstones } from './range-tombstones.js';

/** What is kept free of a memtable, at most: how much memory the splits of a batch need is estimated, not known. */
const SPARE_BYTES_MAX = 64 * 1024;

/** From so many at once on it is looked at all of them together which are needless. */
const FEW_RANGES = 8;
/** About the bytes that a range tombstone takes beside its keys. */
const RANGE_OVERHEAD = 256;

/** About the bytes that a batch takes in a memtable. */
export const batchFootprint = (operations: number, bytes: number): number => operations * ENTRY_OVERHEAD + bytes;

/** One memtable. */
export class Memtable {
  /** Seal sequence: grows by one with each memtable. */
  readonly number: number;
  readonly entries: MemtableTree;
  /** Range tombstones that came with its entries, oldest first. */
  ranges: readonly RangeTombstone[] = [];
  #rangeBytes = 0;
  readonly #pool: ArenaPool;
  readonly #fullBytes: number;
  readonly #spareBytes: number;
  #references = 1;

  constructor(number: number, pool: ArenaPool, fullBytes: number) {
    this.number = number;
    this.#pool = pool;
    this.#fullBytes = fullBytes;
    this.#spareBytes = Math.min(SPARE_BYTES_MAX, fullBytes >>> 3);
    this.entries = MemtableTree.create(pool.take(EMPTY_BYTES), (needBytes) => this.#larger(needBytes));
  }

  get isEmpty(): boolean {
    return this.entries.count === 0 && this.ranges.length === 0;
  }

  /** True if nothing has ever been inserted. */
  get isUnused(): boolean {
    return this.entries.usedBytes === EMPTY_BYTES && this.ranges.length === 0;
  }

  /** True if a batch with this footprint may go in; an unused memtable takes any batch. */
  hasRoom(footprint: number): boolean {
    return this.isUnused || this.entries.usedBytes + this.#rangeBytes + footprint + this.#spareBytes <= this.#fullBytes;
  }

  /** Adds range tombstones; older ones that they make needless go. @param snapshots sequence numbers of the open ones, ascending */
  addRanges(added: readonly RangeTombstone[], snapshots: readonly number[]): void {
    if (added.length > FEW_RANGES) this.ranges = RangeTombstones.of([...this.ranges, ...added], snapshots).prunedList;
    else for (const one of added) this.ranges = [...neededBeside(one, this.ranges, snapshots), one];
    this.#rangeBytes = 0;
    for (const { start, end } of this.ranges) this.#rangeBytes += RANGE_OVERHEAD + start.length + end.length;
  }

  /** Makes sure that `footprint` bytes can be inserted. Returns whether the memtable had to be moved for that. */
  reserve(footprint: number): boolean {
    const need = this.entries.usedBytes + footprint;
    if (need <= this.entries.memory.byteLength) return false;
    this.entries.moveTo(this.#larger(need));
    return true;
  }

  /** Keeps the memory from being used again until {@link Memtable.release}. */
  retain(): void {
    this.#references++;
  }

  release(): void {
    if (--this.#references === 0) this.#pool.give(this.entries.memory);
  }

  #larger(needBytes: number): SharedArrayBuffer {
    // What goes beyond the full size is one large batch, and its splits must not each ask anew.
    const spare = needBytes <= this.#fullBytes ? 0 : needBytes >>> 3;
    return this.#pool.grow(this.entries.memory.byteLength, needBytes + spare);
  }
}
