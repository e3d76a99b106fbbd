// An open table of the tree. Versions hold references; when the last one goes, the file is closed, and removed if no
// version lists the table any more. A table that cannot be opened because it is damaged stays in the tree: what
// does not touch it can be read, what does fails with the error that names file and offset.
import type { SSTableReader, TableCursor, TableCursorOptions } from 'nori-sstable';
import type { LsmError } from './errors.js';
import type { TableMeta } from './table-meta.js';
import type { SourceTable } from './table-source.js';

/** One table; see the top of the file. */
export class Table implements SourceTable {
  readonly meta: TableMeta;
  readonly #reader: SSTableReader | LsmError;
  readonly #unused: (table: Table) => void;
  #references = 0;

  /**
   * @param reader the open table, or why it could not be opened
   * @param unused called when the last reference goes
   */
  constructor(meta: TableMeta, reader: SSTableReader | LsmError, unused: (table: Table) => void) {
    this.meta = meta;
    this.#reader = reader;
    this.#unused = unused;
  }

  get smallestKey(): Uint8Array {
    return this.meta.smallestKey;
  }

  get largestKey(): Uint8Array {
    return this.meta.largestKey;
  }

  /** The latest expiry of any entry, in milliseconds since the epoch; infinite if it is not known. */
  get latestExpiryMs(): number {
    const reader = this.#reader;
    if (reader instanceof Error) return Number.POSITIVE_INFINITY;
    const { latestExpiryMs, earliestExpiryMs } = reader.properties;
    return latestExpiryMs >= earliestExpiryMs ? latestExpiryMs : Number.POSITIVE_INFINITY;
  }

  /** Bytes of the file that are kept in memory: index, filter, properties. */
  get pinnedBytes(): number {
    return this.#reader instanceof Error ? 0 : this.#reader.stats().pinnedBytes;
  }

  /** @throws the error of opening the table, if it is damaged */
  get reader(): SSTableReader {
    const reader = this.#reader;
    if (reader instanceof Error) throw reader;
    return reader;
  }

  openCursor(options?: TableCursorOptions): TableCursor {
    return this.reader.cursor(options);
  }

  retain(): void {
    this.#references++;
  }

  release(): void {
    if (--this.#references === 0) this.#unused(this);
  }

  /** Closes the file, if it is open. */
  async close(): Promise<void> {
    if (!(this.#reader instanceof Error)) await this.#reader.close();
  }
}
