// Reads and writes of one keyspace: what a database and its keyspaces have in common.
import { rangeOf } from './cursor-bounds.js';
import type { Database } from './database.js';
import { checkedKey, checkedValue, NO_VALUE } from './gather.js';
import type { Scope } from './keyspace-list.js';
import { KIND_PUT, KIND_TOMBSTONE } from './limits.js';
import { scanEntries, scanEntriesSync } from './scan.js';
import { Slice } from './slice.js';
import type {
  BatchOperation,
  Bytes,
  ConditionalWriteOptions,
  Cursor,
  CursorOptions,
  ExportOptions,
  ExportReport,
  FoundEntry,
  IngestOptions,
  IngestReport,
  KeyBounds,
  ReadOptions,
  ScanOptions,
  Snapshot,
  WriteOptions,
} from './types.js';

/** A sorted set of keys and their values. All methods may be called at any time and concurrently. */
export abstract class KeyedStore {
  readonly #database: Database;
  readonly #scope: Scope;

  /** @internal */
  constructor(database: Database, scope: Scope) {
    this.#database = database;
    this.#scope = scope;
  }

  // --- Reads.

  /** The value of `key`, or undefined if there is none. It must not be changed: it may be shared with a cache. */
  async get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined> {
    return this.getSync(key, options);
  }

  /** As {@link get}, on the calling thread: from memory, or with a short read of the disk. */
  getSync(key: Bytes, options?: ReadOptions): Uint8Array | undefined {
    this.#assertOpen();
    const { engine } = this.#database;
    const stored = this.#scope.keys.toStored(checkedKey(key));
    return engine.lookUp(stored, engine.seqOf(options?.snapshot))?.value;
  }

  /** As {@link getSync}, with expiry and version. */
  getEntry(key: Bytes, options?: ReadOptions): FoundEntry | undefined {
    this.#assertOpen();
    const { engine } = this.#database;
    const stored = this.#scope.keys.toStored(checkedKey(key));
    const found = engine.lookUp(stored, engine.seqOf(options?.snapshot));
    return found && { value: found.value, expiresAtMs: found.expiresAtMs, version: found.seq };
  }

  /** The values of many keys, in their order, all as of one moment. Gives others their turn every few milliseconds. */
  async getMany(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]> {
    const values: (Uint8Array | undefined)[] = new Array(keys.length);
    const { engine, clock } = this.#database;
    const map = this.#scope.keys;
    const slice = new Slice(clock);
    let { snapshot } = options ?? {};
    const seq = engine.seqOf(snapshot) ?? engine.lastSeq;
    try {
      for (let i = 0; i < keys.length; i++) {
        this.#assertOpen();
        values[i] = engine.lookUp(map.toStored(checkedKey(keys[i]!)), seq)?.value;
        if (!slice.isOver()) continue;
        // Within one turn nothing can be written or reclaimed: only who lets others in between needs to hold on to the moment.
        snapshot ??= this.snapshot();
        await slice.next();
      }
      return values;
    } finally {
      if (snapshot !== options?.snapshot) snapshot?.close();
    }
  }

  /** Opens a cursor. Close it. @throws LsmError `LSM_CORRUPT_TABLE` with file and offset, here and when it moves */
  cursor(options: CursorOptions = {}): Cursor {
    this.#assertOpen();
    const { keys } = this.#scope;
    return this.#database.engine.cursor(options, keys.toStoredRange(rangeOf(options)), keys);
  }

  /** Entries in order, as they were when the iteration began. Gives others their turn every few milliseconds. */
  scan(options: ScanOptions = {}): AsyncIterableIterator<[key: Uint8Array, value: Uint8Array]> {
    this.#assertOpen();
    return scanEntries(this, this.#database.clock, options);
  }

  /** As {@link scan}, without giving up the thread. */
  scanSync(options: ScanOptions = {}): IterableIterator<[key: Uint8Array, value: Uint8Array]> {
    this.#assertOpen();
    return scanEntriesSync(this, options);
  }

  /** A consistent view of everything written so far, in all keyspaces. */
  snapshot(): Snapshot {
    return this.#database.snapshot();
  }

  // --- Writes.

  /**
   * Writes one entry. Waits while writes are stalled. The bytes are copied before it returns.
   * @throws LsmError `LSM_CONDITION_FAILED` if it was to happen under a condition that did not hold
   */
  put(key: Bytes, value: Bytes, options?: ConditionalWriteOptions): Promise<void> {
    try {
      this.#assertOpen();
      const stored = this.#scope.keys.toStored(checkedKey(key));
      return this.#database.write(KIND_PUT, stored, checkedValue(value), options, this.#scope);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Deletes an entry, whether it exists or not, or under a condition as {@link put}. */
  delete(key: Bytes, options?: ConditionalWriteOptions): Promise<void> {
    try {
      this.#assertOpen();
      const stored = this.#scope.keys.toStored(checkedKey(key));
      return this.#database.write(KIND_TOMBSTONE, stored, NO_VALUE, options, this.#scope);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Deletes all keys of a range. Costs the same whatever the range holds: the space comes back as tables are compacted, those that lie
   * wholly in the range first and without being read. To delete everything say so: `{ gte: '' }`.
   * @throws LsmError `LSM_INVALID_ARGUMENT` if no bound is given
   */
  deleteRange(range: KeyBounds, options?: WriteOptions): Promise<void> {
    return this.batch([{ ...range, type: 'deleteRange' }], options);
  }

  /**
   * Writes several operations that happen together or not at all, each in the keyspace that it names (default: this one); on one key, the
   * last wins.
   * @throws LsmError `LSM_CONDITION_FAILED` if the condition of any of them did not hold before the batch: then nothing was written;
   * `LSM_UNKNOWN_KEYSPACE`
   */
  batch(operations: readonly BatchOperation[], options?: WriteOptions): Promise<void> {
    try {
      this.#assertOpen();
      return this.#database.writeBatch(operations, options, this.#scope);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  // --- Whole tables.

  /**
   * Takes tables in without writing their entries anew: tables of {@link exportTables}, or of `SSTableWriter` (each key
   * once, tombstones allowed). They become visible and durable together, as if all their entries had been written in this moment. Files
   * are linked, and copied where they cannot be: do not change them afterwards; they may be removed. (For a named keyspace, whose keys
   * are stored in another form, they are written anew, in a thread of its own.)
   * @throws LsmError, and nothing has changed: `LSM_NOT_FOUND`, `LSM_INVALID_TABLE` (no table, or several versions of a key),
   * `LSM_CORRUPT_TABLE`, `LSM_UNSUPPORTED_VERSION`, `LSM_TABLES_OVERLAP` (each other, or older ones at the level asked for),
   * `LSM_KEY_TOO_LARGE`, `LSM_INVALID_ARGUMENT`, `LSM_NO_SPACE`, `LSM_IO_FAILED`. (If it was the manifest that could not be written, a crash
   * before it is written the next time may yet bring the tables about, all or none.)
   */
  async ingest(paths: readonly string[], options: IngestOptions = {}): Promise<IngestReport> {
    this.#assertOpen();
    return this.#database.ingest(paths, options, this.#scope);
  }

  /**
   * Writes what a range of keys holds as tables of `dir`, which must not exist or be empty: each key once, nothing that is deleted. Works in
   * a thread of its own, while the database is in use.
   * @throws LsmError `LSM_EXISTS` if there is something in `dir`; `LSM_NO_SPACE`, `LSM_IO_FAILED`: what was written is removed again
   */
  async exportTables(dir: string, options: ExportOptions = {}): Promise<ExportReport> {
    this.#assertOpen();
    const { keys } = this.#scope;
    return this.#database.exportTables(dir, keys.toStoredRange(rangeOf(options)), keys, options);
  }

  #assertOpen(): void {
    this.#database.assertOpen();
    this.#database.keyspaces.assertKnown(this.#scope);
  }
}
