// An open table: look-ups, cursors, checks. Index (or its upper level), filter and properties are in memory, verified; other blocks
// come through the shared block cache or are read and verified. Everything but opening, `verify` and closing is synchronous.
import type { File, FileSystem } from 'nori-io';
import type { Meter } from 'nori-observe';
import type { BlockCache } from './block-cache.js';
import { EntryView } from './data-block.js';
import { dumpTable, type TableDumpItem } from './dump.js';
import { findEntry } from './find-entry.js';
import { hashKey, KeyHash } from './key-hash.js';
import { openTable, type TableContents } from './table-contents.js';
import { TableCursor, type TableCursorOptions } from './table-cursor.js';
import { TableFile } from './table-file.js';
import type { TableEntry, TableProperties } from './types.js';
import { copyOut } from './value-pool.js';
import { type TableVerification, verifyTable } from './verify.js';

/** Where a table is and what it shares. */
export interface SSTableReaderOptions {
  readonly fs: FileSystem;
  readonly path: string;
  /** Shared by any number of tables. Default: none, every look-up reads its block. */
  readonly cache?: BlockCache;
  readonly meter?: Meter;
}

/** A reader in figures, since it was opened. */
export interface SSTableReaderStats {
  /** Look-ups that the filter answered with "not here". */
  readonly filterNegatives: number;
  /** Reads from the file, and their bytes. */
  readonly reads: number;
  readonly readBytes: number;
  /** Bytes pinned in memory: index (of a large table, its upper level), filter and properties. */
  readonly pinnedBytes: number;
}

/** Reads one table. */
export class SSTableReader {
  readonly properties: TableProperties;
  readonly #table: TableFile;
  readonly #hash = new KeyHash();
  readonly #entry = new EntryView();
  #filterNegatives = 0;

  private constructor(table: TableFile) {
    this.#table = table;
    this.properties = table.contents.properties;
  }

  /**
   * Opens a table and verifies all but its data blocks, which are verified as they are read.
   * @throws SSTableError `SSTABLE_NOT_A_TABLE`, `SSTABLE_UNSUPPORTED_VERSION`, `SSTABLE_UNSUPPORTED_COMPRESSION`, `SSTABLE_CORRUPT_*`; IoError
   */
  static async open(options: SSTableReaderOptions): Promise<SSTableReader> {
    const file = await options.fs.open(options.path, 'read');
    try {
      const steps = openTable(options.path, file.sizeSync());
      let step = steps.next();
      while (!step.done) {
        const bytes = new Uint8Array(step.value.length);
        const count = await file.read(bytes, step.value.offset);
        step = steps.next(bytes.subarray(0, count));
      }
      return SSTableReader.#of(file, step.value, options);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** As {@link SSTableReader.open}, on the calling thread. For workers. */
  static openSync(options: SSTableReaderOptions): SSTableReader {
    const file = options.fs.openSync(options.path, 'read');
    try {
      const steps = openTable(options.path, file.sizeSync());
      let step = steps.next();
      while (!step.done) {
        const bytes = new Uint8Array(step.value.length);
        const count = file.readSync(bytes, step.value.offset);
        step = steps.next(bytes.subarray(0, count));
      }
      return SSTableReader.#of(file, step.value, options);
    } catch (error) {
      file.closeSync();
      throw error;
    }
  }

  static #of(file: File, contents: TableContents, options: SSTableReaderOptions): SSTableReader {
    return new SSTableReader(new TableFile(file, options.path, contents, options.cache, options.meter));
  }

  get path(): string {
    return this.#table.path;
  }

  /**
   * The newest version of `key` with a sequence number of at most `maxSeq`, tombstones included; undefined if there is none.
   * The entry's `key` is the `key` given. A caller that asks several tables hands over `hash`, computed once by `hashKey`.
   * @throws SSTableError `SSTABLE_CORRUPT_BLOCK`, `SSTABLE_CLOSED`; IoError
   */
  get(key: Uint8Array, maxSeq = Number.POSITIVE_INFINITY, hash?: KeyHash): TableEntry | undefined {
    this.#table.assertOpen();
    return this.#isFilteredOut(key, hash) ? undefined : this.#find(key, maxSeq, false);
  }

  /**
   * As {@link SSTableReader.get}, for a key that is probably here (of several tables that may hold it, the last one to be asked):
   * a block that is in the cache is searched without asking the filter, which is asked only before a block is read.
   */
  getExpected(key: Uint8Array, maxSeq = Number.POSITIVE_INFINITY): TableEntry | undefined {
    const table = this.#table;
    table.assertOpen();
    // In a two-level index finding the block may cost a read by itself.
    const isFilteredFirst = table.contents.footer.hasTwoLevelIndex;
    return isFilteredFirst && this.#isFilteredOut(key) ? undefined : this.#find(key, maxSeq, !isFilteredFirst);
  }

  /** False if the filter knows that no version of the key with this hash is here. Reads nothing. */
  mayContain(hash: KeyHash): boolean {
    return this.#table.contents.filter?.mayContain(hash) ?? true;
  }

  /** A new cursor, not yet positioned. */
  cursor(options: TableCursorOptions = {}): TableCursor {
    this.#table.assertOpen();
    return new TableCursor(this.#table, options);
  }

  /**
   * About how many bytes of the data region lie before `key`: 0 to `properties.dataBytes`, to a data block or, in large tables, to
   * an index partition. Reads nothing.
   */
  approximateOffset(key: Uint8Array): number {
    const { index, footer } = this.#table.contents;
    const { dataBytes } = this.properties;
    const i = index.find(key, Number.POSITIVE_INFINITY);
    if (footer.hasTwoLevelIndex) return Math.floor((dataBytes * i) / index.count);
    return i < index.count ? index.offset(i) : dataBytes;
  }

  /**
   * Reads the whole file and checks everything: checksums, order, prefix compression, index, counts, filter. Does not use the cache.
   * Awaits each read, so that others get their turn.
   * @throws SSTableError of the first damage found; the reason of `signal`
   */
  verify(options: { readonly signal?: AbortSignal } = {}): Promise<TableVerification> {
    return verifyTable(this.#table, options.signal);
  }

  /** Everything in the table, front to back, for tools. Reads on the calling thread. */
  dump(): Generator<TableDumpItem, void, void> {
    return dumpTable(this.#table);
  }

  #isFilteredOut(key: Uint8Array, hash?: KeyHash): boolean {
    const { filter } = this.#table.contents;
    if (filter === undefined || filter.mayContain(hash ?? hashKey(key, this.#hash))) return false;
    this.#filterNegatives++;
    return true;
  }

  #find(key: Uint8Array, maxSeq: number, isFilteredBeforeRead: boolean): TableEntry | undefined {
    const table = this.#table;
    const p = table.findPart(key, maxSeq);
    if (p >= table.partCount) return undefined;
    const part = table.part(p, true);
    const i = part.find(key, maxSeq);
    if (i >= part.count) return undefined;
    let block = table.cachedBlock(p, i);
    if (block === undefined) {
      if (isFilteredBeforeRead && this.#isFilteredOut(key)) return undefined;
      block = table.passingBlock(part, p, i);
    }
    const entry = this.#entry;
    if (findEntry(block, key, maxSeq, entry) < 0 || !entry.matches) return undefined;
    const { valueStart, end } = entry;
    const value = table.isPassing(block) ? copyOut(block.data, valueStart, end) : block.data.subarray(valueStart, end);
    return { key, seq: entry.seq, kind: entry.kind, expiresAtMs: entry.expiresAtMs, value };
  }

  stats(): SSTableReaderStats {
    return {
      filterNegatives: this.#filterNegatives,
      reads: this.#table.reads,
      readBytes: this.#table.readBytes,
      pinnedBytes: this.#table.contents.memoryBytes,
    };
  }

  /** Drops the table's blocks from the cache, then closes the file. Idempotent. Values handed out stay good; cursors stop. */
  close(): Promise<void> {
    return this.#table.close();
  }

  /** As {@link SSTableReader.close}, on the calling thread. */
  closeSync(): void {
    this.#table.closeSync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
