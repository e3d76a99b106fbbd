// The cache of data blocks that tables share. Each table has an array with a slot per data block: a hit is one array access and
// one flag. The blocks of all tables stand in a ring that a clock hand walks (CLOCK, an approximation of LRU): a block that
// was hit since the hand last passed is spared once, any other is dropped. A new block counts as not yet hit, so that a
// scan drives out other blocks of scans before it touches what is in use.
import type { DataBlock } from './data-block.js';
import { SSTableError } from './errors.js';

/** What a block costs beyond its bytes, roughly: its objects and the index of its entries. */
const BLOCK_OVERHEAD_BYTES = 512;

/** The blocks of one table, by number. */
export type BlockSlots = (DataBlock | undefined)[];

/** A {@link BlockCache} in figures, since it was made. */
export interface BlockCacheStats {
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  /** Blocks now in the cache, and their bytes with overhead. */
  readonly blocks: number;
  readonly bytes: number;
  readonly bytesMax: number;
}

/** A bounded cache of verified data blocks, shared by any number of tables. Blocks in use stay valid when they are evicted. */
export class BlockCache {
  readonly #bytesMax: number;
  readonly #ring: (DataBlock | undefined)[] = [];
  readonly #free: number[] = [];
  #hand = 0;
  #bytes = 0;
  #blocks = 0;
  #evictions = 0;
  /** Counted by the tables. @internal */
  hits = 0;
  /** Counted by the tables. @internal */
  misses = 0;

  /**
   * @param options `bytesMax`: upper bound of the memory held, 0 or more; 0 caches nothing.
   * @throws SSTableError `SSTABLE_INVALID_OPTION`
   */
  constructor(options: { readonly bytesMax: number }) {
    if (!(options.bytesMax >= 0)) {
      throw new SSTableError('SSTABLE_INVALID_OPTION', `bytesMax must be 0 or more, it is ${options.bytesMax}`);
    }
    this.#bytesMax = options.bytesMax;
  }

  /** Puts a block that is in no cache into slot `slot` of `slots`, evicting others. A block that does not fit at all is not kept. @internal */
  insert(slots: BlockSlots, slot: number, block: DataBlock): void {
    const cost = costOf(block);
    if (cost > this.#bytesMax) return;
    while (this.#bytes + cost > this.#bytesMax) this.#evictOne();
    block.slots = slots;
    block.slot = slot;
    block.ringPosition = this.#free.pop() ?? this.#ring.length;
    this.#ring[block.ringPosition] = block;
    slots[slot] = block;
    this.#bytes += cost;
    this.#blocks++;
  }

  /** Drops all blocks of a table. @internal */
  removeAll(slots: BlockSlots): void {
    for (let slot = 0; slot < slots.length; slot++) {
      const block = slots[slot];
      if (block) this.#remove(block);
    }
  }

  stats(): BlockCacheStats {
    return {
      hits: this.hits,
      misses: this.misses,
      evictions: this.#evictions,
      blocks: this.#blocks,
      bytes: this.#bytes,
      bytesMax: this.#bytesMax,
    };
  }

  // There is at least one block: the caller has found bytes that are too many.
  #evictOne(): void {
    for (;;) {
      if (this.#hand >= this.#ring.length) this.#hand = 0;
      const block = this.#ring[this.#hand++];
      if (!block) continue;
      if (block.referenced) {
        block.referenced = false;
        continue;
      }
      this.#remove(block);
      this.#evictions++;
      return;
    }
  }

  #remove(block: DataBlock): void {
    this.#ring[block.ringPosition] = undefined;
    this.#free.push(block.ringPosition);
    block.slots![block.slot] = undefined;
    block.slots = undefined;
    this.#bytes -= costOf(block);
    this.#blocks--;
  }
}

function costOf(block: DataBlock): number {
  return block.data.byteLength + BLOCK_OVERHEAD_BYTES;
}
