// An open table of the tree. Versions hold references; when the last one goes, the file is closed, and removed if no
// version lists the table any more. A table that cannot be opened because it is damaged stays in the tree: what
// does not touch it can be read, what does fails with the error that names file and offset.
import type { KeyHash, SSTableReader, TableCursor, TableCursorOptions, TableEntry } from 'nori-sstable';
import type { LsmError } from './errors.js';
import type { TableMeta } from './table-meta.js';
import type { SourceTable } from './table-source.js';

const NEWEST = Number.MAX_SAFE_INTEGER;

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

  /** About how many bytes of its data lie before `key`: see `SSTableReader.approximateOffset`. 0 if it is damaged. */
  approximateOffset(key: Uint8Array): number {
    return this.#reader instanceof Error ? 0 : this.#reader.approximateOffset(key);
  }

  /** Size of its data blocks, and the size each of them should have. */
  get dataBytes(): number {
    return this.#reader instanceof Error ? this.meta.fileBytes : this.#reader.properties.dataBytes;
  }

  get blockBytes(): number {
    return this.#reader instanceof Error ? 0 : this.#reader.properties.blockBytes;
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

  get largestSeq(): number {
    return this.meta.largestSeq;
  }

  /** See {@link TableMeta.sequence}. */
  get sequence(): number {
    return this.meta.sequence;
  }

  /** The newest version of `key` not above `seq`, tombstones included. @throws SSTableError, IoError */
  get(key: Uint8Array, seq: number, hash: KeyHash): TableEntry | undefined {
    const { sequence } = this.meta;
    return sequence === 0
      ? this.reader.get(key, seq, hash)
      : this.#renumbered(seq, () => this.reader.get(key, NEWEST, hash));
  }

  /** As {@link Table.get}, for a key that is probably here: see `SSTableReader.getExpected`. */
  getExpected(key: Uint8Array, seq: number): TableEntry | undefined {
    const { sequence } = this.meta;
    return sequence === 0
      ? this.reader.getExpected(key, seq)
      : this.#renumbered(seq, () => this.reader.getExpected(key, NEWEST));
  }

  /** What `find` finds, under the one sequence number that all entries of this table have. */
  #renumbered(seq: number, find: () => TableEntry | undefined): TableEntry | undefined {
    const { sequence } = this.meta;
    if (seq < sequence) return undefined;
    const entry = find();
    return entry && { ...entry, seq: sequence };
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
