// What can still be read of a damaged table, for repair tools. Where its data blocks lie is known from the index alone, so footer and
// index must be sound (of a large table's index, a damaged part loses the blocks that it names); all else may be
// damaged. A block counts only if all of it is sound and its keys lie where the index has them: a block of
// another table that was written to its place is none of this one.
//
//   footer ─ properties? ─ filter? ─ index ─ for each data block: its entries, or what was lost with it
import { crc32c, type File, type FileSystem, IoError, readU32LE } from 'nori-io';
import { checkBlock, decompressBlock, unsupportedCompression } from './block-contents.js';
import { BloomFilter } from './bloom-filter.js';
import { compareKeys } from './compare.js';
import { DataBlock, EntryView, parseEntry } from './data-block.js';
import { SSTableError, type SSTableErrorCode } from './errors.js';
import { type BlockHandle, decodeFooter, type Footer, notATable } from './footer.js';
import {
  BLOCK_TRAILER_BYTES,
  COMPRESSION_NONE,
  DATA_BLOCK_BYTES_MAX,
  FOOTER_BYTES,
  INDEX_PARTITION_BYTES_MAX,
  INDEX_PARTITION_BYTES_MIN,
  STORED_BLOCK_BYTES_MIN,
} from './format.js';
import { IndexBlock } from './index-block.js';
import { decodeProperties } from './properties-block.js';
import { corrupt } from './table-contents.js';
import type { TableEntry, TableProperties } from './types.js';

const FOOTER_CRC_OFFSET = 84;

/** Something found in a damaged table, told apart by `type`. */
export type TableSalvageItem =
  /** The properties, if they are sound; comes first. */
  | { readonly type: 'properties'; readonly properties: TableProperties }
  /** Properties or filter are damaged: no entry is lost with them. */
  | { readonly type: 'damage'; readonly problem: SSTableError }
  /** All entries of a sound data block, in order. Keys and values may be kept. */
  | { readonly type: 'block'; readonly entries: readonly TableEntry[] }
  /** A data block, or all blocks that a part of the index names, that cannot be read. */
  | {
      readonly type: 'lost';
      readonly problem: SSTableError;
      /** Size in the file. */
      readonly bytes: number;
      /** Lost keys come at or after this one (`undefined`: nothing is known of where they begin) … */
      readonly from: Uint8Array | undefined;
      /** … and at or before this one. */
      readonly to: Uint8Array;
    };

/**
 * Reads all of a table that can be read.
 * @throws SSTableError if nothing can: `SSTABLE_NOT_A_TABLE`, `SSTABLE_CORRUPT_FOOTER`, `SSTABLE_CORRUPT_INDEX`; and
 * `SSTABLE_UNSUPPORTED_VERSION`, `SSTABLE_UNSUPPORTED_COMPRESSION`; IoError if the file cannot be opened
 */
export async function* salvageTable(fs: FileSystem, path: string): AsyncGenerator<TableSalvageItem, void, undefined> {
  const file = await fs.open(path, 'read');
  try {
    const salvage = new Salvage(file, path);
    yield* salvage.items();
  } finally {
    await file.close();
  }
}

class Salvage {
  readonly #file: File;
  readonly #path: string;
  readonly #entry = new EntryView();
  /** The separator before the block at hand. */
  #lowKey: Uint8Array | undefined;
  #lowSeq = 0;

  constructor(file: File, path: string) {
    this.#file = file;
    this.#path = path;
  }

  async *items(): AsyncGenerator<TableSalvageItem, void, undefined> {
    const footer = await this.#footer();
    const properties = await this.#properties(footer);
    yield properties instanceof Error ? { type: 'damage', problem: properties } : { type: 'properties', properties };
    const filterProblem = footer.filter && (await this.#checkFilter(footer.filter));
    if (filterProblem) yield { type: 'damage', problem: filterProblem };
    const index = await this.#index(footer);
    const first = properties instanceof Error ? undefined : properties.smallestKey;
    for (let i = 0; i < index.count; i++) {
      const part = footer.hasTwoLevelIndex ? await this.#part(index, i) : index;
      if (part instanceof Error) {
        yield this.#lost(part, index.size(i), first, index.separatorKey(i));
        this.#passed(index, i);
      } else {
        yield* this.#blocks(part, first);
      }
      if (!footer.hasTwoLevelIndex) return;
    }
  }

  async *#blocks(part: IndexBlock, first: Uint8Array | undefined): AsyncGenerator<TableSalvageItem, void, undefined> {
    for (let i = 0; i < part.count; i++) {
      const found = await this.#block(part, i);
      yield found instanceof Error
        ? this.#lost(found, part.size(i) + BLOCK_TRAILER_BYTES, first, part.separatorKey(i))
        : { type: 'block', entries: found };
      this.#passed(part, i);
    }
  }

  #lost(problem: SSTableError, bytes: number, first: Uint8Array | undefined, to: Uint8Array): TableSalvageItem {
    return { type: 'lost', problem, bytes, from: (this.#lowKey ?? first)?.slice(), to: to.slice() };
  }

  #passed(index: IndexBlock, i: number): void {
    this.#lowKey = index.separatorKey(i).slice();
    this.#lowSeq = index.separatorSeq(i);
  }

  async #footer(): Promise<Footer> {
    const fileBytes = this.#file.sizeSync();
    if (fileBytes < FOOTER_BYTES) throw notATable(this.#path);
    const offset = fileBytes - FOOTER_BYTES;
    const bytes = await this.#read(offset, FOOTER_BYTES);
    if (bytes === undefined) throw this.#corrupt('SSTABLE_CORRUPT_FOOTER', 'footer', 'it cannot be read', offset);
    try {
      return decodeFooter(bytes, this.#path, fileBytes);
    } catch (error) {
      const isOfLaterVersion = error instanceof SSTableError && error.code === 'SSTABLE_UNSUPPORTED_VERSION';
      if (!isOfLaterVersion || readU32LE(bytes, FOOTER_CRC_OFFSET) === crc32c(bytes, 0, FOOTER_CRC_OFFSET)) throw error;
      throw this.#corrupt('SSTABLE_CORRUPT_FOOTER', 'footer', 'its checksum does not match', offset);
    }
  }

  async #properties(footer: Footer): Promise<TableProperties | SSTableError> {
    const handle = footer.properties;
    const damaged = (problem: string): SSTableError =>
      this.#corrupt('SSTABLE_CORRUPT_PROPERTIES', 'properties block', problem, handle.offset);
    const contents = await this.#plain(handle);
    if (typeof contents === 'string') return damaged(contents);
    const properties = decodeProperties(contents, this.#file.sizeSync());
    if (typeof properties === 'number') throw unsupportedCompression(properties, this.#path, handle.offset);
    return typeof properties === 'string' ? damaged(properties) : properties;
  }

  async #checkFilter(handle: BlockHandle): Promise<SSTableError | undefined> {
    const contents = await this.#plain(handle);
    const damaged = (problem: string): SSTableError =>
      this.#corrupt('SSTABLE_CORRUPT_FILTER', 'filter', problem, handle.offset);
    if (typeof contents === 'string') return damaged(contents);
    return BloomFilter.decode(contents) === 'corrupt' ? damaged('its size is not possible') : undefined;
  }

  async #index({ index: handle, tailStart, hasTwoLevelIndex }: Footer): Promise<IndexBlock> {
    const contents = await this.#plain(handle);
    if (typeof contents === 'string') throw this.#corrupt('SSTABLE_CORRUPT_INDEX', 'index', contents, handle.offset);
    const bounds = hasTwoLevelIndex
      ? { start: undefined, sizeMin: INDEX_PARTITION_BYTES_MIN, sizeMax: INDEX_PARTITION_BYTES_MAX }
      : { start: 0, sizeMin: STORED_BLOCK_BYTES_MIN, sizeMax: DATA_BLOCK_BYTES_MAX };
    const index = IndexBlock.decode(contents, { ...bounds, end: tailStart, isPart: false });
    if (index) return index;
    throw this.#corrupt('SSTABLE_CORRUPT_INDEX', 'index', 'an entry is not possible', handle.offset);
  }

  /** Part `p` of a two-level index. */
  async #part(index: IndexBlock, p: number): Promise<IndexBlock | SSTableError> {
    const handle = { offset: index.offset(p), size: index.size(p) };
    const contents = await this.#plain(handle);
    const sizes = { sizeMin: STORED_BLOCK_BYTES_MIN, sizeMax: DATA_BLOCK_BYTES_MAX };
    const bounds = { start: undefined, end: index.offset(0), isPart: true, ...sizes };
    const part = typeof contents === 'string' ? undefined : IndexBlock.decode(contents, bounds);
    if (part) return part;
    const problem = typeof contents === 'string' ? contents : 'an entry is not possible';
    return this.#corrupt('SSTABLE_CORRUPT_INDEX', `index partition ${p}`, problem, handle.offset);
  }

  async #block(part: IndexBlock, i: number): Promise<TableEntry[] | SSTableError> {
    const offset = part.offset(i);
    const size = part.size(i);
    const damaged = (problem: string): SSTableError =>
      this.#corrupt('SSTABLE_CORRUPT_BLOCK', 'data block', problem, offset);
    const bytes = await this.#read(offset, size + BLOCK_TRAILER_BYTES);
    if (bytes === undefined) return damaged('it cannot be read');
    const problem = checkBlock(bytes, 0, size);
    if (problem) return damaged(problem);
    const type = bytes[size]!;
    const contents =
      type === COMPRESSION_NONE ? bytes.subarray(0, size) : decompressBlock(bytes, size, type, this.#path, offset);
    if (typeof contents === 'string') return damaged(contents);
    try {
      const block = new DataBlock().reset(contents, 0, contents.length, this.#path, offset);
      return this.#entries(block, part, i) ?? damaged('its entries are out of order');
    } catch (error) {
      if (error instanceof SSTableError) return error;
      throw error;
    }
  }

  /** All entries of a block; undefined if they are not in order, or not where the index has them. */
  #entries(block: DataBlock, part: IndexBlock, i: number): TableEntry[] | undefined {
    const view = this.#entry;
    const entries: TableEntry[] = [];
    let key = this.#lowKey;
    let seq = this.#lowSeq;
    let previous: Uint8Array = new Uint8Array(0);
    for (let offset = block.start; offset < block.entriesEnd; offset = view.end) {
      parseEntry(block, offset, view);
      if (view.shared > previous.length) return undefined;
      const next = new Uint8Array(view.shared + view.unshared);
      next.set(previous.subarray(0, view.shared));
      next.set(block.data.subarray(view.suffixStart, view.valueStart), view.shared);
      if (key !== undefined && compareEntries(key, seq, next, view.seq) >= 0) return undefined;
      const value = block.data.subarray(view.valueStart, view.end);
      entries.push({ key: next, seq: view.seq, kind: view.kind, expiresAtMs: view.expiresAtMs, value });
      key = previous = next;
      seq = view.seq;
    }
    const isWithin = compareEntries(previous, seq, part.separatorKey(i), part.separatorSeq(i)) <= 0;
    return isWithin ? entries : undefined;
  }

  /** The contents of a block that is never compressed, or what is wrong with it. */
  async #plain({ offset, size }: BlockHandle): Promise<Uint8Array | string> {
    const bytes = await this.#read(offset, size + BLOCK_TRAILER_BYTES);
    if (bytes === undefined) return 'it cannot be read';
    const problem = checkBlock(bytes, 0, size);
    if (problem) return problem;
    return bytes[size] === COMPRESSION_NONE ? bytes.subarray(0, size) : 'it is said to be compressed';
  }

  /** The bytes of a range, fewer at the end of the file; undefined where the disk fails. */
  async #read(offset: number, length: number): Promise<Uint8Array | undefined> {
    try {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, await this.#file.read(bytes, offset));
    } catch (error) {
      if (error instanceof IoError && error.code === 'IO_FAILED') return undefined;
      throw error;
    }
  }

  #corrupt(code: SSTableErrorCode, what: string, problem: string, offset: number): SSTableError {
    return corrupt(code, what, problem, this.#path, { offset });
  }
}

/** Order of entries: key ascending, then sequence number descending. */
const compareEntries = (keyA: Uint8Array, seqA: number, keyB: Uint8Array, seqB: number): number => {
  const order = compareKeys(keyA, keyB);
  return order !== 0 ? order : seqB - seqA;
};
