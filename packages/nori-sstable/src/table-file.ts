// An open table as cursors, look-ups and checks see it: the file, what is pinned in memory, and how data blocks and index
// partitions come into memory (from the cache, or read and verified).
//
// A *part* is an index block that names data blocks, with its number: the pinned index of a small table, the only one; or a
// partition of a large one. A data block is known by its part and its number there.
import type { File } from 'nori-io';
import type { Counter, Meter } from 'nori-observe';
import { type BlockCache, SlotArray } from './block-cache.js';
import { checkBlock, decompressBlock } from './block-contents.js';
import { compareKeys } from './compare.js';
import { corruptBlock, DataBlock } from './data-block.js';
import { SSTableError } from './errors.js';
import { BLOCK_TRAILER_BYTES, COMPRESSION_NONE, DATA_BLOCK_BYTES_MAX, STORED_BLOCK_BYTES_MIN } from './format.js';
import { IndexBlock } from './index-block.js';
import { corrupt, type TableContents } from './table-contents.js';

/** Blocks up to this size are read into memory that is used again and again. */
const SCRATCH_BYTES = 64 * 1024;
const scratch = new Uint8Array(SCRATCH_BYTES);
const scratchBlock = new DataBlock();

/** Reads blocks of one open table. */
export class TableFile {
  readonly path: string;
  readonly contents: TableContents;
  /** How many parts the index has: 1 if it has one level. */
  readonly partCount: number;
  readonly #single: IndexBlock | undefined;
  readonly #file: File;
  readonly #cache: BlockCache | undefined;
  readonly #partSlots: SlotArray<IndexBlock> | undefined;
  /** The slots of the data blocks of each part, made when they are needed. */
  readonly #blockSlots: (SlotArray<DataBlock> | undefined)[];
  readonly #readCount: Counter | undefined;
  readonly #readBytes: Counter | undefined;
  #closed = false;
  /** Reads from the file, and their bytes, since the table was opened. */
  reads = 0;
  readBytes = 0;

  constructor(file: File, path: string, contents: TableContents, cache?: BlockCache, meter?: Meter) {
    const { footer, index, memoryBytes } = contents;
    this.path = path;
    this.contents = contents;
    this.partCount = footer.hasTwoLevelIndex ? index.count : 1;
    this.#single = footer.hasTwoLevelIndex ? undefined : index;
    this.#file = file;
    this.#cache = cache;
    if (cache) cache.pinnedBytes += memoryBytes;
    this.#partSlots = cache && footer.hasTwoLevelIndex ? new SlotArray(index.count) : undefined;
    this.#blockSlots = new Array<SlotArray<DataBlock> | undefined>(this.partCount).fill(undefined);
    this.#readCount = meter?.counter(
      'nori_sstable_reads_total',
      {},
      { help: 'Reads of data blocks from table files.' },
    );
    this.#readBytes = meter?.counter(
      'nori_sstable_read_bytes_total',
      {},
      { help: 'Bytes of data blocks read from table files.' },
    );
  }

  /** The part in which the entry (key, seq) would be; `partCount` if all parts end before it. */
  findPart(key: Uint8Array, seq: number): number {
    return this.#single === undefined ? this.contents.index.find(key, seq) : 0;
  }

  /** Part `p`: pinned, from the cache, or from the file; one that was read goes into the cache if `fillCache`. */
  part(p: number, fillCache: boolean): IndexBlock {
    return this.#single ?? this.#partition(p, fillCache);
  }

  #partition(p: number, fillCache: boolean): IndexBlock {
    this.assertOpen();
    const cache = this.#cache;
    const slots = this.#partSlots;
    const cached = slots?.items[p];
    if (cached) {
      cached.referenced = true;
      cache!.indexHits++;
      return cached;
    }
    if (cache) cache.indexMisses++;
    const { index } = this.contents;
    const part = this.decodePartition(p, this.readSync(index.offset(p), new Uint8Array(storedBytes(index, p))));
    if (cache && fillCache && cache.admits(slots!, p, part.memoryBytes))
      cache.insert(slots!, p, part, part.memoryBytes);
    return part;
  }

  /** Verifies `bytes`, partition `p` of a two-level index with its trailer, and keeps them. */
  decodePartition(p: number, bytes: Uint8Array): IndexBlock {
    const { index, properties } = this.contents;
    const size = index.size(p);
    const end = properties.dataBytes;
    const bounds = { end, isPart: true, sizeMin: STORED_BLOCK_BYTES_MIN, sizeMax: DATA_BLOCK_BYTES_MAX };
    let problem = checkBlock(bytes, 0, size);
    if (problem === undefined && bytes[size] !== COMPRESSION_NONE) problem = 'it is said to be compressed';
    const part = problem
      ? undefined
      : IndexBlock.decode(bytes.subarray(0, size), { start: p === 0 ? 0 : undefined, ...bounds });
    if (part === undefined) throw this.#corruptPartition(p, problem ?? 'an entry is not possible');
    const last = part.count - 1;
    const isAgreed =
      compareKeys(part.separatorKey(last), index.separatorKey(p)) === 0 &&
      part.separatorSeq(last) === index.separatorSeq(p) &&
      (p < this.partCount - 1 || part.offset(part.count) === end);
    if (!isAgreed) throw this.#corruptPartition(p, 'its end is not where the upper level says');
    return part;
  }

  #corruptPartition(p: number, problem: string): SSTableError {
    const offset = this.contents.index.offset(p);
    return corrupt('SSTABLE_CORRUPT_INDEX', `index partition ${p}`, problem, this.path, { offset });
  }

  /** Data block `i` of part `p` from the cache, if it is there. */
  cachedBlock(p: number, i: number): DataBlock | undefined {
    this.assertOpen();
    const cache = this.#cache;
    if (cache === undefined) return undefined;
    const block = this.#blockSlots[p]?.items[i];
    if (block !== undefined) {
      // Not written without need: that would cost the processor the memory's write-back.
      if (!block.referenced) block.referenced = true;
      cache.hits++;
      return block;
    }
    return undefined;
  }

  /** Counts a block that the cache did not have and that is going to be read. */
  countMiss(): void {
    if (this.#cache !== undefined) this.#cache.misses++;
  }

  /**
   * Data block `i` of `part`, which is part `p`, from the file, after {@link TableFile.cachedBlock} did not find it. It is put
   * into the cache if that wants it. Otherwise it may lie in memory that the next read of any table uses again: see {@link isPassing}.
   */
  passingBlock(part: IndexBlock, p: number, i: number): DataBlock {
    this.countMiss();
    const stored = storedBytes(part, i);
    const bytes = stored <= SCRATCH_BYTES ? scratch.subarray(0, stored) : new Uint8Array(stored);
    const offset = part.offset(i);
    const block = this.#decode(this.readSync(offset, bytes), part.size(i), offset, scratchBlock);
    return this.#admitted(block, part, p, i) ?? block;
  }

  /** Whether `block` lies in memory that the next read overwrites. */
  isPassing(block: DataBlock): boolean {
    return block === scratchBlock && block.data.length <= SCRATCH_BYTES;
  }

  /** Data block `i` of `part`, which is part `p`, from the cache or the file, to be kept at will. */
  block(part: IndexBlock, p: number, i: number, fillCache: boolean): DataBlock {
    const cached = this.cachedBlock(p, i);
    if (cached) return cached;
    this.countMiss();
    const bytes = this.readSync(part.offset(i), new Uint8Array(storedBytes(part, i)));
    const block = this.decodeBlock(part, i, bytes);
    return (fillCache ? this.#admitted(block, part, p, i) : undefined) ?? block;
  }

  // The copy of `block` in the cache, if that takes it.
  #admitted(block: DataBlock, part: IndexBlock, p: number, i: number): DataBlock | undefined {
    const cache = this.#cache;
    if (cache === undefined) return undefined;
    const slots = (this.#blockSlots[p] ??= new SlotArray<DataBlock>(part.count));
    return cache.admits(slots, i, block.size) ? cache.insertBlock(slots, i, block) : undefined;
  }

  /** Verifies `bytes`, data block `i` of `part` with its trailer, and keeps them (or what they mean, if they are compressed). */
  decodeBlock(part: IndexBlock, i: number, bytes: Uint8Array): DataBlock {
    return this.#decode(bytes, part.size(i), part.offset(i), new DataBlock());
  }

  #decode(bytes: Uint8Array, size: number, offset: number, out: DataBlock): DataBlock {
    const problem = checkBlock(bytes, 0, size);
    if (problem) throw corruptBlock(this.path, offset, problem);
    const type = bytes[size]!;
    if (type === COMPRESSION_NONE) return out.reset(bytes, 0, size, this.path, offset);
    const contents = decompressBlock(bytes, size, type, this.path, offset);
    if (typeof contents === 'string') throw corruptBlock(this.path, offset, contents);
    return out.reset(contents, 0, contents.length, this.path, offset);
  }

  /** Fills `bytes` from `offset` and returns what could be read. */
  readSync(offset: number, bytes: Uint8Array): Uint8Array {
    this.assertOpen();
    const count = this.#file.readSync(bytes, offset);
    this.#countRead(count);
    return count === bytes.length ? bytes : bytes.subarray(0, count);
  }

  /** As {@link TableFile.readSync}, awaited. */
  async read(offset: number, bytes: Uint8Array): Promise<Uint8Array> {
    this.assertOpen();
    const count = await this.#file.read(bytes, offset);
    this.#countRead(count);
    return count === bytes.length ? bytes : bytes.subarray(0, count);
  }

  assertOpen(): void {
    if (this.#closed)
      throw new SSTableError('SSTABLE_CLOSED', 'The table was closed. Open it again', { file: this.path });
  }

  /** Gives back what is in the cache and closes the file. Idempotent. */
  async close(): Promise<void> {
    if (this.#release()) await this.#file.close();
  }

  closeSync(): void {
    if (this.#release()) this.#file.closeSync();
  }

  #release(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    const cache = this.#cache;
    if (cache === undefined) return true;
    cache.pinnedBytes -= this.contents.memoryBytes;
    if (this.#partSlots) cache.removeAll(this.#partSlots);
    for (const slots of this.#blockSlots) if (slots) cache.removeAll(slots);
    return true;
  }

  #countRead(count: number): void {
    this.reads++;
    this.readBytes += count;
    this.#readCount?.inc();
    this.#readBytes?.inc(count);
  }
}

/** Size of block `i` in the file, with its trailer. */
export function storedBytes(index: IndexBlock, i: number): number {
  return index.size(i) + BLOCK_TRAILER_BYTES;
}
