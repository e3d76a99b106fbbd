// An open table as cursors, look-ups and checks see it: the file, what is pinned in memory (index, filter, properties), and how
// a data block comes into memory (cache, or read and checksum). `openTable` is written once for both ways of reading:
// it yields the ranges it needs and is given their bytes.
import { crc32c, type File, readU32LE } from 'nori-io';
import type { Counter, Meter } from 'nori-observe';
import type { BlockCache, BlockSlots } from './block-cache.js';
import { BloomFilter } from './bloom-filter.js';
import { corruptBlock, DataBlock } from './data-block.js';
import { SSTableError, type SSTableErrorCode } from './errors.js';
import { type BlockHandle, decodeFooter, type Footer, notATable } from './footer.js';
import { BLOCK_TRAILER_BYTES, COMPRESSION_NAMES, COMPRESSION_NONE, FOOTER_BYTES } from './format.js';
import { decodeProperties } from './properties-block.js';
import { TableIndex } from './table-index.js';
import type { TableProperties } from './types.js';

const TAIL_BYTES_MAX = 2 ** 32;

/** A range of the file that {@link openTable} needs. */
export interface ReadRequest {
  readonly offset: number;
  readonly length: number;
}

/** What a table keeps in memory while it is open. */
export interface TableContents {
  readonly footer: Footer;
  readonly properties: TableProperties;
  readonly index: TableIndex;
  readonly filter: BloomFilter | undefined;
}

/** Reads everything but the data blocks. Give it the bytes of each range it yields (fewer only at the end of the file). */
export function* openTable(path: string, fileBytes: number): Generator<ReadRequest, TableContents, Uint8Array> {
  if (fileBytes < FOOTER_BYTES) throw notATable(path);
  const footer = decodeFooter(yield { offset: fileBytes - FOOTER_BYTES, length: FOOTER_BYTES }, path, fileBytes);
  const start = footer.dataBytes;
  const length = fileBytes - FOOTER_BYTES - start;
  if (length > TAIL_BYTES_MAX) throw corrupt('SSTABLE_CORRUPT_INDEX', 'index', 'it is too large', path, footer.index);
  const tail = yield { offset: start, length };
  const contentsOf = (handle: BlockHandle, code: SSTableErrorCode, what: string): Uint8Array => {
    const problem = checkBlock(tail, handle.offset - start, handle.size, path, handle.offset);
    if (problem) throw corrupt(code, what, problem, path, handle);
    return tail.subarray(handle.offset - start, handle.offset - start + handle.size);
  };

  const propertyBytes = contentsOf(footer.properties, 'SSTABLE_CORRUPT_PROPERTIES', 'properties block');
  const properties = decodeProperties(propertyBytes, fileBytes);
  if (typeof properties === 'string') {
    throw corrupt('SSTABLE_CORRUPT_PROPERTIES', 'properties block', properties, path, footer.properties);
  }
  const index = TableIndex.decode(contentsOf(footer.index, 'SSTABLE_CORRUPT_INDEX', 'index'), footer.dataBytes);
  if (!index) throw corrupt('SSTABLE_CORRUPT_INDEX', 'index', 'an entry is not possible', path, footer.index);
  if (properties.dataBlocks !== index.count || properties.dataBytes !== footer.dataBytes) {
    const problem = 'they do not agree with the index';
    throw corrupt('SSTABLE_CORRUPT_PROPERTIES', 'properties block', problem, path, footer.properties);
  }
  let filter: BloomFilter | undefined;
  if (footer.filter) {
    const decoded = BloomFilter.decode(contentsOf(footer.filter, 'SSTABLE_CORRUPT_FILTER', 'filter'));
    if (decoded === 'corrupt') {
      throw corrupt('SSTABLE_CORRUPT_FILTER', 'filter', 'its size is not possible', path, footer.filter);
    }
    if (decoded !== 'unknown') filter = decoded;
  }
  return { footer, properties, index, filter };
}

/** Reads data blocks of one open table. */
export class TableFile {
  readonly path: string;
  readonly contents: TableContents;
  readonly index: TableIndex;
  readonly #file: File;
  readonly #cache: BlockCache | undefined;
  readonly #slots: BlockSlots;
  readonly #readCount: Counter | undefined;
  readonly #readBytes: Counter | undefined;
  #closed = false;
  /** Reads from the file, and their bytes, since the table was opened. */
  reads = 0;
  readBytes = 0;

  constructor(file: File, path: string, contents: TableContents, cache?: BlockCache, meter?: Meter) {
    this.path = path;
    this.contents = contents;
    this.index = contents.index;
    this.#file = file;
    this.#cache = cache;
    this.#slots = cache ? new Array(contents.index.count).fill(undefined) : [];
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

  /** Data block `i` from the cache, if it is there. */
  cachedBlock(i: number): DataBlock | undefined {
    this.assertOpen();
    const cache = this.#cache;
    if (!cache) return undefined;
    const block = this.#slots[i];
    if (block) {
      block.referenced = true;
      cache.hits++;
      return block;
    }
    cache.misses++;
    return undefined;
  }

  /** Data block `i` from the cache or the file; one that was read goes into the cache if `fillCache`. */
  block(i: number, fillCache: boolean): DataBlock {
    const cached = this.cachedBlock(i);
    if (cached) return cached;
    const bytes = new Uint8Array(this.index.size(i) + BLOCK_TRAILER_BYTES);
    const block = this.decodeBlock(i, this.readSync(this.index.offset(i), bytes));
    if (fillCache) this.#cache?.insert(this.#slots, i, block);
    return block;
  }

  /** Verifies `bytes`, data block `i` with its trailer. */
  decodeBlock(i: number, bytes: Uint8Array): DataBlock {
    const size = this.index.size(i);
    const offset = this.index.offset(i);
    const problem = checkBlock(bytes, 0, size, this.path, offset);
    if (problem) throw corruptBlock(this.path, offset, problem);
    return new DataBlock(bytes, size, this.path, offset);
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

  /** Gives back the blocks in the cache and closes the file. Idempotent. */
  async close(): Promise<void> {
    if (this.#release()) await this.#file.close();
  }

  closeSync(): void {
    if (this.#release()) this.#file.closeSync();
  }

  #release(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    this.#cache?.removeAll(this.#slots);
    return true;
  }

  #countRead(count: number): void {
    this.reads++;
    this.readBytes += count;
    this.#readCount?.inc();
    this.#readBytes?.inc(count);
  }
}

// Returns a phrase that says what is wrong with the block of `size` bytes at `at`, or undefined.
function checkBlock(bytes: Uint8Array, at: number, size: number, file: string, offset: number): string | undefined {
  const end = at + size;
  if (end + BLOCK_TRAILER_BYTES > bytes.length) return 'the file ends within it';
  if (readU32LE(bytes, end + 1) !== crc32c(bytes, at, end + 1)) return 'its checksum does not match';
  const type = bytes[end]!;
  if (type !== COMPRESSION_NONE) {
    const message = `A block is compressed with ${COMPRESSION_NAMES[type] ?? 'an unknown algorithm'} (type ${type}), which this version cannot read`;
    throw new SSTableError('SSTABLE_UNSUPPORTED_COMPRESSION', message, { file, offset });
  }
  return undefined;
}

function corrupt(
  code: SSTableErrorCode,
  what: string,
  problem: string,
  file: string,
  handle: BlockHandle,
): SSTableError {
  const message = `The ${what} is damaged: ${problem}. Restore the table from a copy`;
  return new SSTableError(code, message, { file, offset: handle.offset });
}
