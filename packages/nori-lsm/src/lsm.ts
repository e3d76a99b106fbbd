// The database: its public surface, with its own log or without. Reads and writes: keyed-store.ts; beneath it: database.ts.
import type { Database } from './database.js';
import { LsmError } from './errors.js';
import { storedBatch } from './gather.js';
import { KeyedStore } from './keyed-store.js';
import { Keyspace } from './keyspace.js';
import { checkKeyspaceName, checkKeyspaceSettings, nextKeyspaceId } from './keyspaces.js';
import { openDatabase } from './open.js';
import type { KeyspaceOptions, LsmOptions, LsmStats, VerifyReport } from './types.js';
import { verifyTree } from './verify.js';
import type { WriteBatch } from './write-batch.js';

/** An open database. All methods may be called at any time and concurrently; after `close` they fail with `LSM_CLOSED`. */
export class Lsm extends KeyedStore {
  readonly #database: Database;
  /** Changes of the list of keyspaces come one after the other. */
  #changing: Promise<unknown> = Promise.resolve();

  private constructor(database: Database) {
    super(database, database.keyspaces.default);
    this.#database = database;
  }

  /**
   * Opens the database in `options.dir`, and replays its log. With `readOnly`: as it is at this moment, changing nothing.
   * @throws LsmError `LSM_INVALID_OPTIONS`, `LSM_LOCKED`, `LSM_NOT_A_DATABASE`, `LSM_NOT_FOUND`, `LSM_EXISTS`,
   * `LSM_UNSUPPORTED_VERSION`, `LSM_CORRUPT_MANIFEST`, `LSM_CORRUPT_LOG`, `LSM_MISSING_TABLE`, `LSM_NO_SPACE`, `LSM_IO_FAILED`,
   * `LSM_CHANGED` (with `readOnly`: its writer was too fast; try again)
   */
  static async open(options: LsmOptions): Promise<Lsm> {
    return new Lsm(await openDatabase(options));
  }

  // --- Keyspaces.

  /**
   * A keyspace by its name; created if it is not there. Settings that are given replace those it had.
   * @throws LsmError `LSM_UNKNOWN_KEYSPACE` if it is not there and `createIfMissing` is false, `LSM_INVALID_ARGUMENT` (the name, or a database
   * of an earlier version, which has no keyspaces), `LSM_INVALID_OPTIONS`
   */
  openKeyspace(name: string, options: KeyspaceOptions = {}): Promise<Keyspace> {
    return this.#inTurn(() => this.#openKeyspace(checkKeyspaceName(name), options));
  }

  /** A keyspace that is there. @throws LsmError `LSM_UNKNOWN_KEYSPACE` */
  keyspace(name: string): Keyspace {
    this.#database.assertOpen();
    return new Keyspace(this.#database, this.#database.keyspaces.find(name));
  }

  /** Names of the keyspaces, sorted; the default one has none. */
  keyspaces(): string[] {
    this.#database.assertOpen();
    return this.#database.keyspaces.names;
  }

  /**
   * Drops a keyspace with all that is in it. Costs the same whatever it holds; its space comes back as by {@link deleteRange}.
   * Snapshots taken before do not show it any more.
   * @throws LsmError `LSM_UNKNOWN_KEYSPACE`
   */
  dropKeyspace(name: string): Promise<void> {
    return this.#inTurn(() => this.#dropKeyspace(name));
  }

  // --- The surface for state machines that have their own log (wal: false).

  /**
   * Applies a batch to the active memtable, all of it to the same one; a full memtable is sealed before. Synchronous, and
   * visible at once. Takes it even while {@link stalled}, but for the moment in which tables are ingested: whoever applies looks
   * at that first.
   * @throws LsmError `LSM_CLOSED`, `LSM_BUSY`, `LSM_READ_ONLY`, `LSM_BATCH_TOO_LARGE`, `LSM_INVALID_ARGUMENT` if the database has its own log
   */
  apply(batch: WriteBatch): void {
    this.#database.apply(storedBatch(batch, this.#database.keyspaces.default.keys));
  }

  /** True while writers should wait: too many memtables wait for their flush, or too many tables for compaction. */
  get stalled(): boolean {
    return this.#database.engine.stall.isStalled;
  }

  /**
   * Resolves as soon as writers need not wait.
   * @throws LsmError while flushing or compaction cannot go on: `LSM_NO_SPACE`, `LSM_BACKGROUND_ERROR`; `LSM_CLOSED`, `LSM_READ_ONLY`
   */
  whenWritable(): Promise<void> {
    return this.#database.whenWritable();
  }

  /** The newest durable mark of each id: describes what the tables contain. */
  durableMarks(): ReadonlyMap<number, Uint8Array> {
    return this.#database.tree.marks;
  }

  /** Number of the active memtable: grows by one with each seal, from 1 at open. */
  get sealSequence(): number {
    return this.#database.engine.sealSequence;
  }

  /** What keeps flushes or compactions from getting on, if anything. */
  get backgroundError(): LsmError | undefined {
    return this.#database.engine.background.error;
  }

  // --- Upkeep.

  /**
   * Makes everything written so far durable in tables.
   * @throws LsmError the first failure on the way (`LSM_NO_SPACE`, `LSM_IO_FAILED`, …); nothing is lost, and it is tried
   * again in the background and by the next call
   */
  flush(): Promise<void> {
    return this.#database.flush();
  }

  /** Flushes, then merges everything down to the lowest level in use; what is deleted or expired gives up its space. Fails as {@link flush} does. */
  async compact(): Promise<void> {
    await this.flush();
    await this.#database.engine.compactor.compactAll();
  }

  /**
   * Makes a copy of the database as it is now in `dir`, which must not exist or be empty: a database of its own, that holds
   * everything acknowledged before the call. Writes go on meanwhile. Tables are linked, so that it takes little time and space, and
   * copied where they cannot be, as on another file system.
   * @throws LsmError `LSM_EXISTS` if there is something in `dir`; `LSM_NO_SPACE`, `LSM_IO_FAILED`: what was made is removed again
   */
  checkpoint(dir: string): Promise<void> {
    return this.#database.checkpoint(dir);
  }

  /** Reads and checks every table, while the database is in use. */
  async verify(): Promise<VerifyReport> {
    this.#database.assertOpen();
    return verifyTree(this.#database.tree.current);
  }

  /** Sizes and counts. */
  stats(): LsmStats {
    return this.#database.engine.stats();
  }

  /**
   * Closes the database; again gives the same promise. In order: new calls are refused, writes in flight are settled,
   * background work stops, the log is synced and closed, cursors and tables are closed, the lock is given up.
   */
  close(): Promise<void> {
    return this.#database.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #openKeyspace(name: string, { createIfMissing = true, ...given }: KeyspaceOptions): Promise<Keyspace> {
    const database = this.#database;
    database.assertOpen();
    const settings = checkKeyspaceSettings(given);
    const { state } = database.tree.manifest;
    const known = database.keyspaces.get(name);
    const isNew = known === undefined;
    if (isNew && !createIfMissing) return this.keyspace(name);
    if (!isNew && Object.keys(settings).length === 0) return new Keyspace(database, known);
    if (!state.mappedKeys) {
      const message = 'This database was created by a version without keyspaces. Copy its entries into a new one.';
      throw new LsmError('LSM_INVALID_ARGUMENT', message);
    }
    const id = isNew ? nextKeyspaceId(state.lastKeyspace) : known.keys.id;
    const meta = { id, name, settings };
    await database.changeManifest({ keyspaces: [meta], ...(isNew ? { lastKeyspace: id } : {}) });
    return new Keyspace(database, database.keyspaces.set(meta));
  }

  async #dropKeyspace(name: string): Promise<void> {
    const database = this.#database;
    database.assertWritable();
    const scope = database.keyspaces.find(name);
    const { id } = scope.keys;
    // What was written to it before goes with it, and nothing comes after.
    scope.isDropped = true;
    try {
      await database.settled();
      await database.ingest([], { replace: { gte: '' } }, scope, { removedKeyspaces: [id] });
    } finally {
      if (database.tree.manifest.state.keyspaces.has(id)) scope.isDropped = false;
      else database.keyspaces.forget(scope);
    }
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(change);
    this.#changing = done.catch(() => {});
    return done;
  }
}
