// The cache that tables share: data blocks, and the partitions of large indexes.
//
// Memory is held in units. Blocks of ordinary size are copied into *slabs*, several to one, with the index of their entries beside
// them: one allocation for many blocks, and few objects for a look-up to touch. What is large, or is not a block, is a unit of its
// own. Units stand in a queue. The one in front goes when room is needed; what was hit in it since it came is put
// at the end once more (a slab's blocks are copied, at most half of them, so that room is always won). That is CLOCK, an
// approximation of LRU. A slab is never written to again, so that views into it stay good; whoever keeps one keeps its slab.
//
//   front                                   end
//   [slab][slab][partition][slab][large block][slab being filled]
//
// While there is room everything is taken. From then on a block is taken when it is missed for the second time within
// about as many misses as there are blocks in the cache: what is read once, by a scan or by chance, drives out nothing.
import { DataBlock } from './data-block.js';
import { copyEntryIndex, prepareEntryIndex, writeEntryIndex } from './entry-index.js';
import { SSTableError } from './errors.js';
import { sharedMemory } from './shared-memory.js';

const SLAB_BYTES_MAX = 64 * 1024;
const SLAB_BYTES_MIN = 1024;
/** A cache is at least so many slabs, so that what goes at once is a small part of it. */
const SLABS_MIN = 64;
/** What is larger than this part of a slab is a unit of its own. */
const SLAB_PARTS_MIN = 4;
/** What a unit, and a block, cost beyond their bytes, roughly: their objects. */
const UNIT_OVERHEAD_BYTES = 512;
const BLOCK_OVERHEAD_BYTES = 192;
/** Blocks of closed tables that are dropped at once, and with each block that comes. */
const SWEEP_ON_CLOSE = 4096;
const SWEEP_ON_INSERT = 64;

/** What can be in the cache. The fields are the cache's. */
export interface Cacheable {
  referenced: boolean;
  unit: CacheUnit | undefined;
  slots: SlotArray<Cacheable> | undefined;
  slot: number;
}

/** Blocks of one table, or of a part of one, by number. */
export class SlotArray<T extends Cacheable> {
  readonly items: (T | undefined)[];
  /** When each was last missed while the cache was full, by the cache's count of misses; 0: never. */
  misses: Uint32Array | undefined = undefined;
  isClosed = false;

  constructor(count: number) {
    this.items = new Array<T | undefined>(count).fill(undefined);
  }
}

/** Memory that comes and goes as one. */
export class CacheUnit {
  readonly costBytes: number;
  readonly members: Cacheable[] = [];
  /** Members that are still in the cache. */
  live = 0;
  next: CacheUnit | undefined = undefined;
  previous: CacheUnit | undefined = undefined;

  constructor(bytes: number) {
    this.costBytes = bytes + UNIT_OVERHEAD_BYTES;
  }
}

/** A unit that is filled with blocks from front to back. A sixteenth is reckoned for their objects. */
class Slab extends CacheUnit {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  used = 0;

  constructor(bytes: number) {
    super(bytes + bytes / 16);
    this.bytes = sharedMemory(bytes);
    this.words = new Uint32Array(this.bytes.buffer, this.bytes.byteOffset, bytes >>> 2);
  }

  hasRoom(bytes: number): boolean {
    const used = this.used + bytes;
    const objects = (this.members.length + 1) * BLOCK_OVERHEAD_BYTES;
    return used <= this.bytes.length && used + objects <= this.costBytes - UNIT_OVERHEAD_BYTES;
  }
}

/** A {@link BlockCache} in figures, since it was made. */
export interface BlockCacheStats {
  /** Data blocks asked for that were in the cache, and that were not. */
  readonly hits: number;
  readonly misses: number;
  /** The same of index partitions, which only large tables have. */
  readonly indexHits: number;
  readonly indexMisses: number;
  readonly evictions: number;
  /** Blocks and partitions now in the cache. */
  readonly blocks: number;
  /** Memory held, with overhead: never more than `bytesMax`. */
  readonly bytes: number;
  readonly bytesMax: number;
  /** Memory that open tables keep besides: index (of large tables, its upper level), filter, properties. Not part of `bytes`. */
  readonly pinnedBytes: number;
}

/** A bounded cache of verified blocks, shared by any number of tables. Blocks in use stay valid when they are evicted. */
export class BlockCache {
  readonly #bytesMax: number;
  readonly #slabBytes: number;
  #front: CacheUnit | undefined;
  #end: CacheUnit | undefined;
  #slab: Slab | undefined;
  #bytes = 0;
  #blocks = 0;
  #evictions = 0;
  #fullMisses = 0;
  /** Slots of closed tables, and how far they are swept. */
  readonly #closed: SlotArray<Cacheable>[] = [];
  #swept = 0;
  /** Counted by the tables. @internal */
  hits = 0;
  /** Counted by the tables. @internal */
  misses = 0;
  /** Counted by the tables. @internal */
  indexHits = 0;
  /** Counted by the tables. @internal */
  indexMisses = 0;
  /** Counted by the tables. @internal */
  pinnedBytes = 0;

  /**
   * @param options `bytesMax`: upper bound of the memory held, 0 or more; 0 caches nothing.
   * @throws SSTableError `SSTABLE_INVALID_OPTION`
   */
  constructor(options: { readonly bytesMax: number }) {
    if (!(options.bytesMax >= 0)) {
      throw new SSTableError('SSTABLE_INVALID_OPTION', `bytesMax must be 0 or more, it is ${options.bytesMax}`);
    }
    this.#bytesMax = options.bytesMax;
    const part = Math.floor(options.bytesMax / SLABS_MIN / 16) * 16;
    this.#slabBytes = part < SLAB_BYTES_MIN ? 0 : Math.min(part, SLAB_BYTES_MAX);
  }

  /** Whether what was just missed at `slot` should be inserted; to be asked once a miss. @internal */
  admits(slots: SlotArray<Cacheable>, slot: number, bytes: number): boolean {
    if (bytes > this.#bytesMax) return false;
    const roomBytes = Math.max(bytes, this.#slabBytes) + UNIT_OVERHEAD_BYTES + BLOCK_OVERHEAD_BYTES;
    if (this.#bytes + roomBytes <= this.#bytesMax) return true;
    const misses = (slots.misses ??= new Uint32Array(slots.items.length));
    const last = misses[slot]!;
    const now = (this.#fullMisses = (this.#fullMisses + 1) >>> 0);
    misses[slot] = now;
    return last !== 0 && now - last <= Math.max(this.#blocks, 2 * SLAB_PARTS_MIN);
  }

  /** Puts a copy of `source` into `slot` and returns it, or `undefined` if it does not fit at all. @internal */
  insertBlock(slots: SlotArray<DataBlock>, slot: number, source: DataBlock): DataBlock | undefined {
    this.#sweep(SWEEP_ON_INSERT);
    return this.#place(slots, slot, source, prepareEntryIndex(source));
  }

  /** Puts `item`, which holds `bytes` of memory, into `slot`, if it fits. @internal */
  insert<T extends Cacheable>(slots: SlotArray<T>, slot: number, item: T, bytes: number): void {
    this.#sweep(SWEEP_ON_INSERT);
    const unit = new CacheUnit(bytes + BLOCK_OVERHEAD_BYTES);
    if (!this.#makeRoom(unit.costBytes)) return;
    this.#append(unit);
    this.#enter(unit, slots, slot, item);
  }

  /** Drops all of a table: soon, not at once, if there is much. Give it no more of the same slots. @internal */
  removeAll(slots: SlotArray<Cacheable>): void {
    slots.isClosed = true;
    this.#closed.push(slots);
    this.#sweep(SWEEP_ON_CLOSE);
  }

  stats(): BlockCacheStats {
    return {
      hits: this.hits,
      misses: this.misses,
      indexHits: this.indexHits,
      indexMisses: this.indexMisses,
      evictions: this.#evictions,
      blocks: this.#blocks,
      bytes: this.#bytes,
      bytesMax: this.#bytesMax,
      pinnedBytes: this.pinnedBytes,
    };
  }

  // `words`: size of the index of its entries, which prepareEntryIndex has just prepared; -1: copy that of `source`.
  #place(slots: SlotArray<DataBlock>, slot: number, source: DataBlock, words: number): DataBlock | undefined {
    const indexBytes = 4 * (words < 0 ? 2 * source.entryCount : words);
    const size = source.size;
    const bytes = (indexBytes + size + 7) & ~7;
    if (bytes * SLAB_PARTS_MIN > this.#slabBytes) return this.#placeAlone(slots, slot, source, indexBytes);
    const slab = this.#slabFor(bytes);
    const block = copyBlock(source, slab.bytes, slab.used + indexBytes);
    if (words < 0) copyEntryIndex(source, block, slab.words, slab.used >>> 2);
    else writeEntryIndex(block, slab.words, slab.used >>> 2);
    slab.used += bytes;
    this.#enter(slab, slots, slot, block);
    return block;
  }

  #placeAlone(slots: SlotArray<DataBlock>, slot: number, source: DataBlock, indexBytes: number): DataBlock | undefined {
    const unit = new CacheUnit(indexBytes + source.size + BLOCK_OVERHEAD_BYTES);
    if (!this.#makeRoom(unit.costBytes)) return undefined;
    const block = copyBlock(source, new Uint8Array(source.size), 0);
    writeEntryIndex(block, new Uint32Array(indexBytes >>> 2), 0);
    this.#append(unit);
    this.#enter(unit, slots, slot, block);
    return block;
  }

  // The slab with room for a block of `bytes`: a new one if need be.
  #slabFor(bytes: number): Slab {
    for (;;) {
      if (this.#slab?.hasRoom(bytes)) return this.#slab;
      const cost = this.#slabBytes + this.#slabBytes / 16 + UNIT_OVERHEAD_BYTES;
      if (this.#bytes + cost > this.#bytesMax) {
        // What is kept of a slab that goes may leave room in a new one.
        this.#evictFront();
        continue;
      }
      const slab = new Slab(this.#slabBytes);
      this.#append(slab);
      this.#slab = slab;
    }
  }

  #makeRoom(bytes: number): boolean {
    if (bytes > this.#bytesMax) return false;
    while (this.#bytes + bytes > this.#bytesMax) this.#evictFront();
    return true;
  }

  // There is a unit: the caller has found bytes that are too many.
  #evictFront(): void {
    const unit = this.#front!;
    this.#remove(unit);
    if (unit instanceof Slab) this.#evictSlab(unit);
    else this.#evictSingle(unit);
  }

  #evictSingle(unit: CacheUnit): void {
    const item = unit.members[0]!;
    if (item.referenced && !item.slots!.isClosed) {
      item.referenced = false;
      this.#append(unit);
      return;
    }
    this.#leave(item);
    this.#evictions++;
  }

  #evictSlab(slab: Slab): void {
    let keep = (slab.live + 1) >>> 1;
    for (const item of slab.members as DataBlock[]) {
      const { slots, slot } = item;
      if (slots === undefined) continue;
      const isKept = item.referenced && !slots.isClosed && keep-- > 0;
      this.#leave(item);
      // The memory of this slab is given back already: one new slab at most takes all that is kept.
      if (isKept) this.#place(slots, slot, item, -1);
      else this.#evictions++;
    }
  }

  #enter<T extends Cacheable>(unit: CacheUnit, slots: SlotArray<T>, slot: number, item: T): void {
    item.unit = unit;
    item.slots = slots;
    item.slot = slot;
    unit.members.push(item);
    unit.live++;
    slots.items[slot] = item;
    this.#blocks++;
  }

  #leave(item: Cacheable): void {
    item.slots!.items[item.slot] = undefined;
    item.slots = undefined;
    item.unit!.live--;
    this.#blocks--;
  }

  #sweep(count: number): void {
    for (let left = count; left > 0 && this.#closed.length > 0; left--) {
      const { items } = this.#closed[0]!;
      if (this.#swept >= items.length) {
        this.#closed.shift();
        this.#swept = 0;
        continue;
      }
      const item = items[this.#swept++];
      if (item === undefined) continue;
      const unit = item.unit!;
      this.#leave(item);
      if (unit.live === 0) this.#remove(unit);
    }
  }

  #append(unit: CacheUnit): void {
    unit.next = undefined;
    unit.previous = this.#end;
    if (this.#end) this.#end.next = unit;
    else this.#front = unit;
    this.#end = unit;
    this.#bytes += unit.costBytes;
  }

  #remove(unit: CacheUnit): void {
    if (unit.previous) unit.previous.next = unit.next;
    else this.#front = unit.next;
    if (unit.next) unit.next.previous = unit.previous;
    else this.#end = unit.previous;
    unit.next = undefined;
    unit.previous = undefined;
    this.#bytes -= unit.costBytes;
    if (unit === this.#slab) this.#slab = undefined;
  }
}

// A block with the contents of `source`, copied to `start` in `bytes`, and what prepareEntryIndex has found in it.
function copyBlock(source: DataBlock, bytes: Uint8Array, start: number): DataBlock {
  bytes.set(source.data.subarray(source.start, source.start + source.size), start);
  const block = new DataBlock().reset(bytes, start, source.size, source.file, source.fileOffset);
  block.entryCount = source.entryCount;
  block.commonBytes = source.commonBytes;
  block.firstKey = source.firstKey - source.start + start;
  return block;
}
