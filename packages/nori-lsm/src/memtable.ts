// The newest entries, sorted, in memory. A memtable is active (the one that is written to), then sealed (immutable,
// waiting for its flush), then released once its table is installed and no cursor reads it any more.
import type { ArenaPool } from './arena-pool.js';
import { EMPTY_BYTES, NODE_OVERHEAD_MAX, SkipList } from './skip-list.js';

/** Bytes a batch may take in a memtable, at most. */
export const batchFootprint = (operations: number, bytes: number): number => operations * NODE_OVERHEAD_MAX + bytes;

/** One memtable. */
export class Memtable {
  /** Seal sequence: grows by one with each memtable. */
  readonly number: number;
  readonly list: SkipList;
  /** Sequence numbers in it; 0 while it is empty. */
  smallestSeq = 0;
  largestSeq = 0;
  readonly #pool: ArenaPool;
  readonly #fullBytes: number;
  #references = 1;

  constructor(number: number, pool: ArenaPool, fullBytes: number, needBytes = 0) {
    this.number = number;
    this.#pool = pool;
    this.#fullBytes = fullBytes;
    this.list = SkipList.create(pool.take(EMPTY_BYTES + needBytes));
  }

  get isEmpty(): boolean {
    return this.list.count === 0;
  }

  /** True if a batch with this footprint may go in; an empty memtable takes any batch. */
  hasRoom(footprint: number): boolean {
    return this.isEmpty || this.list.usedBytes + footprint <= this.#fullBytes;
  }

  /** Makes sure that `footprint` bytes can be inserted. Returns whether the memtable had to be moved for that. */
  reserve(footprint: number): boolean {
    const need = this.list.usedBytes + footprint;
    const have = this.list.memory.byteLength;
    if (need <= have) return false;
    this.list.moveTo(this.#pool.grow(have, need));
    return true;
  }

  /** Counts sequence numbers that have been inserted into {@link Memtable.list}; room must have been reserved before. */
  inserted(firstSeq: number, lastSeq: number): void {
    if (this.smallestSeq === 0) this.smallestSeq = firstSeq;
    this.largestSeq = lastSeq;
  }

  /** Keeps the memory from being used again until {@link Memtable.release}. */
  retain(): void {
    this.#references++;
  }

  release(): void {
    if (--this.#references === 0) this.#pool.give(this.list.memory);
  }
}
