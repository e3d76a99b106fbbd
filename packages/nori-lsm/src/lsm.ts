// The database: the public surface over the engine, with its own log or without.
import { BlockCache } from 'nori-sstable';
import { Wal } from 'nori-wal';
import { toBytes } from './bytes.js';
import { writeCheckpoint } from './checkpoint.js';
import { LOG_DIR } from './directory.js';
import { openDirectory, removeOrphans } from './directory-open.js';
import { checkBatchSize, Engine } from './engine.js';
import { LsmError, toLsmError } from './errors.js';
import { checkEntrySize, KIND_PUT, KIND_TOMBSTONE, LOG_RECORD_BYTES_MAX } from './limits.js';
import { readLogHeader } from './log-record.js';
import type { Manifest } from './manifest.js';
import { LsmMetrics } from './metrics.js';
import { checkDurability, type ResolvedOptions, resolveOptions } from './options.js';
import { checkLogMeetsTables, LogReplay } from './replay.js';
import { scanEntries, scanEntriesSync } from './scan.js';
import { Slice } from './slice.js';
import { Tree } from './tree.js';
import type {
  BatchOperation,
  Bytes,
  Cursor,
  CursorOptions,
  Durability,
  FoundEntry,
  LsmOptions,
  LsmStats,
  ReadOptions,
  ScanOptions,
  Snapshot,
  VerifyReport,
  WriteOptions,
} from './types.js';
import { verifyTree } from './verify.js';
import { WriteBatch } from './write-batch.js';
import { closedError, WriteQueue, type WriteTarget } from './write-queue.js';

/** Calls of one turn go to the log together, up to so many bytes. */
const GROUP_BYTES_MAX = 1024 * 1024;
const NO_VALUE = new Uint8Array(0);

/** What the operations of a batch are gathered in. */
interface Gatherer {
  readonly count: number;
  /** Sum of the lengths of keys and values. */
  readonly dataBytes: number;
  add(kind: number, key: Uint8Array, value: Uint8Array, expiresAtMs: number): void;
}

/** An open database. All methods may be called at any time and concurrently; after `close` they fail with `LSM_CLOSED`. */
export class Lsm {
  readonly #options: ResolvedOptions;
  readonly #engine: Engine;
  readonly #tree: Tree;
  readonly #wal: Wal | undefined;
  readonly #queue: WriteQueue | undefined;
  readonly #unlock: () => Promise<void>;
  /** The next sequence number of a write that goes through the log. */
  #nextSeq: number;
  /** Writes without log that wait for room, in order. */
  #waiting: Promise<void> = Promise.resolve();
  #waitingCount = 0;
  #closing: Promise<void> | undefined;

  private constructor(
    options: ResolvedOptions,
    engine: Engine,
    tree: Tree,
    wal: Wal | undefined,
    unlock: () => Promise<void>,
  ) {
    this.#options = options;
    this.#engine = engine;
    this.#tree = tree;
    this.#wal = wal;
    this.#unlock = unlock;
    this.#nextSeq = engine.lastSeq + 1;
    this.#queue = wal && new WriteQueue(wal, this.#writeTarget(), Math.min(GROUP_BYTES_MAX, options.memtableBytes / 8));
  }

  /**
   * Opens the database in `options.dir`, and replays its log.
   * @throws LsmError `LSM_INVALID_OPTIONS`, `LSM_LOCKED`, `LSM_NOT_A_DATABASE`, `LSM_NOT_FOUND`, `LSM_EXISTS`,
   * `LSM_UNSUPPORTED_VERSION`, `LSM_CORRUPT_MANIFEST`, `LSM_CORRUPT_LOG`, `LSM_MISSING_TABLE`, `LSM_NO_SPACE`, `LSM_IO_FAILED`
   */
  static async open(options: LsmOptions): Promise<Lsm> {
    const resolved = resolveOptions(options);
    try {
      const { manifest, unlock } = await openDirectory(resolved);
      resolved.executor.acquire();
      try {
        return await Lsm.#openParts(resolved, manifest, unlock);
      } catch (error) {
        resolved.executor.release();
        await manifest.close();
        await unlock();
        throw error;
      }
    } catch (error) {
      throw toLsmError(error, `Cannot open ${resolved.dir}`);
    }
  }

  static async #openParts(options: ResolvedOptions, manifest: Manifest, unlock: () => Promise<void>): Promise<Lsm> {
    const { fs, dir, clock, meter, blockCacheBytes, walSegmentBytesMax, autoCompact } = options;
    const cache = new BlockCache({ bytesMax: blockCacheBytes });
    const damaged = (error: LsmError): void => {
      if (meter.wantsEvents) meter.event({ type: 'lsm.background_error', atMs: clock.now(), message: error.message });
    };
    let wal: Wal | undefined;
    let tree: Tree | undefined;
    let engine: Engine | undefined;
    try {
      tree = await Tree.open(manifest, { fs, dir, cache, meter, damaged });
      engine = new Engine({ options, tree, cache, metrics: new LsmMetrics(meter) });
      if (options.wal) {
        const replay = new LogReplay(manifest.state, engine, clock);
        wal = await Wal.open({
          dir: `${dir}/${LOG_DIR}`,
          fs,
          clock,
          meter,
          lock: false,
          segmentBytesMax: walSegmentBytesMax,
          recordBytesMax: LOG_RECORD_BYTES_MAX,
          onRecords: (records) => replay.take(records),
          onRecordsFrom: manifest.state.logPosition ?? 0,
        });
        // A manifest and a log that do not meet have lost something: what is unlisted may be what is missing.
        checkLogMeetsTables(wal, manifest.state);
      }
      await removeOrphans(options, manifest);
      // Nothing was flushed before: a log that is refused must leave the directory as it is.
      engine.flusher.begin(wal);
      if (autoCompact) engine.compactor.poke();
      engine.stall.update();
      return new Lsm(options, engine, tree, wal, unlock);
    } catch (error) {
      await engine?.stop();
      await wal?.close().catch(() => {});
      await tree?.close();
      throw error;
    }
  }

  // --- The surface for state machines that have their own log (wal: false).

  /**
   * Applies a batch to the active memtable, all of it to the same one; a full memtable is sealed before. Synchronous, and
   * visible at once. Takes it even while {@link stalled}: whoever applies looks at that first.
   * @throws LsmError `LSM_CLOSED`, `LSM_BATCH_TOO_LARGE`, `LSM_INVALID_ARGUMENT` if the database has its own log
   */
  apply(batch: WriteBatch): void {
    this.#assertOpen();
    if (this.#queue !== undefined) {
      throw new LsmError('LSM_INVALID_ARGUMENT', 'apply is for databases opened with wal: false. Use batch.');
    }
    this.#engine.apply(batch);
  }

  /** True while writers should wait: too many memtables wait for their flush, or too many tables for compaction. */
  get stalled(): boolean {
    return this.#engine.stall.isStalled;
  }

  /**
   * Resolves as soon as writers need not wait.
   * @throws LsmError while flushing or compaction cannot go on: `LSM_NO_SPACE`, `LSM_BACKGROUND_ERROR`; `LSM_CLOSED`
   */
  whenWritable(): Promise<void> {
    return this.#closing === undefined ? this.#engine.stall.wait() : Promise.reject(closedError());
  }

  /** The newest durable mark of each id: describes what the tables contain. */
  durableMarks(): ReadonlyMap<number, Uint8Array> {
    return this.#tree.manifest.state.marks;
  }

  /** Number of the active memtable: grows by one with each seal, from 1 at open. */
  get sealSequence(): number {
    return this.#engine.sealSequence;
  }

  /** What keeps flushes or compactions from getting on, if anything. */
  get backgroundError(): LsmError | undefined {
    return this.#engine.background.error;
  }

  /** As {@link getSync}, with the expiry. */
  getEntry(key: Uint8Array, options?: ReadOptions): FoundEntry | undefined {
    this.#assertOpen();
    return this.#engine.lookUp(key, options?.snapshot?.seq);
  }

  /** Opens a cursor. Close it. @throws LsmError `LSM_CORRUPT_TABLE` with file and offset, here and when it moves */
  cursor(options: CursorOptions = {}): Cursor {
    this.#assertOpen();
    return this.#engine.cursor(options);
  }

  // --- Reads.

  /** The value of `key`, or undefined if there is none. It must not be changed: it may be shared with a cache. */
  async get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined> {
    return this.getSync(key, options);
  }

  /** As {@link get}, on the calling thread: from memory, or with a short read of the disk. */
  getSync(key: Bytes, options?: ReadOptions): Uint8Array | undefined {
    this.#assertOpen();
    return this.#engine.lookUp(checkedKey(key), options?.snapshot?.seq)?.value;
  }

  /** The values of many keys, in their order, all as of one moment. Gives others their turn every few milliseconds. */
  async getMany(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]> {
    const values: (Uint8Array | undefined)[] = new Array(keys.length);
    const slice = new Slice(this.#options.clock);
    let { snapshot } = options ?? {};
    const seq = snapshot?.seq ?? this.#engine.lastSeq;
    try {
      for (let i = 0; i < keys.length; i++) {
        this.#assertOpen();
        values[i] = this.#engine.lookUp(checkedKey(keys[i]!), seq)?.value;
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

  /** Entries in order, as they were when the iteration began. Gives others their turn every few milliseconds. */
  scan(options: ScanOptions = {}): AsyncIterableIterator<[key: Uint8Array, value: Uint8Array]> {
    this.#assertOpen();
    return scanEntries(this, this.#options.clock, options);
  }

  /** As {@link scan}, without giving up the thread. */
  scanSync(options: ScanOptions = {}): IterableIterator<[key: Uint8Array, value: Uint8Array]> {
    this.#assertOpen();
    return scanEntriesSync(this, options);
  }

  /** A consistent view of everything written so far. */
  snapshot(): Snapshot {
    this.#assertOpen();
    return this.#engine.snapshot();
  }

  // --- Writes.

  /** Writes one entry. Waits while writes are stalled. The bytes are copied before it returns. */
  put(key: Bytes, value: Bytes, options?: WriteOptions): Promise<void> {
    try {
      return this.#write(KIND_PUT, checkedKey(key), checkedValue(value), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Deletes an entry, whether it exists or not. */
  delete(key: Bytes, options?: WriteOptions): Promise<void> {
    try {
      return this.#write(KIND_TOMBSTONE, checkedKey(key), NO_VALUE, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Writes several operations that happen together or not at all; on one key, the last wins. */
  batch(operations: readonly BatchOperation[], options?: WriteOptions): Promise<void> {
    try {
      return this.#writeBatch(operations, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  // --- Upkeep.

  /**
   * Makes everything written so far durable in tables.
   * @throws LsmError the first failure on the way (`LSM_NO_SPACE`, `LSM_IO_FAILED`, …); nothing is lost, and it is tried
   * again in the background and by the next call
   */
  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#queue?.settled();
    await this.#engine.flush();
  }

  /** Flushes, then merges everything down to the lowest level in use; what is deleted or expired gives up its space. Fails as {@link flush} does. */
  async compact(): Promise<void> {
    await this.flush();
    await this.#engine.compactor.compactAll();
  }

  /**
   * Makes a copy of the database as it is now in `dir`, which must not exist or be empty: a database of its own, that holds
   * everything acknowledged before the call. Writes go on meanwhile. Tables are linked, so that it takes little time and space, and
   * copied where they cannot be, as on another file system.
   * @throws LsmError `LSM_EXISTS` if there is something in `dir`; `LSM_NO_SPACE`, `LSM_IO_FAILED`: what was made is removed again
   */
  async checkpoint(dir: string): Promise<void> {
    await this.flush();
    this.#assertOpen();
    const { current } = this.#tree;
    const { logPosition: _, ...edit } = this.#tree.manifestEdit();
    current.retain();
    try {
      await writeCheckpoint(this.#options.fs, { dir: this.#options.dir, edit }, dir);
    } catch (error) {
      throw toLsmError(error, `Cannot make a checkpoint in ${dir}`);
    } finally {
      current.release();
    }
  }

  /** Reads and checks every table, while the database is in use. */
  async verify(): Promise<VerifyReport> {
    this.#assertOpen();
    return verifyTree(this.#tree.current);
  }

  /** Sizes and counts. */
  stats(): LsmStats {
    return this.#engine.stats();
  }

  /**
   * Closes the database; again gives the same promise. In order: new calls are refused, writes in flight are settled,
   * background work stops, the log is synced and closed, cursors and tables are closed, the lock is given up.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    try {
      await this.#queue?.close();
      await this.#engine.stop();
      await this.#wal?.close();
    } catch (error) {
      throw toLsmError(error, `Cannot close ${this.#options.dir} in order`);
    } finally {
      await this.#tree.close();
      this.#options.executor.release();
      await this.#unlock();
    }
  }

  #writeTarget(): WriteTarget {
    const engine = this.#engine;
    return {
      takeSequence: (count) => {
        const first = this.#nextSeq;
        this.#nextSeq += count;
        return first;
      },
      nextTurn: (callback) => void this.#options.clock.nextTurn(callback),
      insertAhead: (record) => engine.insertAhead(record),
      takeBack: (record) => engine.takeBack(record),
      applyRecord: (record, position) => engine.applyRecord(record, readLogHeader(record), position),
      waitWritable: () => (engine.stall.isStalled ? engine.stall.wait() : undefined),
      flushApplied: () => engine.flush(),
    };
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  #write(kind: number, key: Uint8Array, value: Uint8Array, options: WriteOptions | undefined): Promise<void> {
    this.#assertOpen();
    checkEntrySize(key.length, value.length);
    const durability = this.#durability(options);
    const expiresAtMs = kind === KIND_PUT ? this.#expiryOf(options?.ttlMs) : 0;
    if (this.#queue !== undefined) return this.#queue.add(durability, kind, key, value, expiresAtMs);
    const batch = new WriteBatch();
    if (kind === KIND_PUT) batch.put(key, value, expiresAtMs);
    else batch.delete(key);
    return this.#applyWhenWritable(batch);
  }

  #writeBatch(operations: readonly BatchOperation[], options: WriteOptions | undefined): Promise<void> {
    this.#assertOpen();
    const durability = this.#durability(options);
    const queue = this.#queue;
    if (queue === undefined) {
      const batch = new WriteBatch();
      this.#gather(operations, options, gathererOf(batch));
      return batch.count === 0 ? Promise.resolve() : this.#applyWhenWritable(batch);
    }
    // Into a record of its own, that becomes the group's if no group is open: an operation that is refused leaves nothing.
    const record = queue.takeRecord();
    try {
      this.#gather(operations, options, record);
      if (record.count > 0) return queue.addRecord(durability, record);
    } catch (error) {
      queue.dropRecord(record);
      throw error;
    }
    queue.dropRecord(record);
    return Promise.resolve();
  }

  /** Adds operations to what is going to be applied together. */
  #gather(operations: readonly BatchOperation[], options: WriteOptions | undefined, target: Gatherer): void {
    for (const operation of operations) {
      const key = checkedKey(operation.key);
      if (operation.type === 'put') {
        const value = checkedValue(operation.value);
        checkEntrySize(key.length, value.length);
        const ttlMs = operation.ttlMs ?? options?.ttlMs;
        target.add(KIND_PUT, key, value, ttlMs === undefined ? 0 : this.#expiryOf(ttlMs));
      } else if (operation.type === 'delete') {
        checkEntrySize(key.length, 0);
        target.add(KIND_TOMBSTONE, key, NO_VALUE, 0);
      } else throw invalid(`An operation's type must be put or delete, not ${(operation as { type: unknown }).type}`);
      checkBatchSize(target.count, target.dataBytes);
    }
  }

  /** Applies at once if writes go on and nobody waits before, else in turn. */
  #applyWhenWritable(batch: WriteBatch): Promise<void> {
    if (this.#waitingCount === 0 && !this.stalled) {
      this.#engine.apply(batch);
      return Promise.resolve();
    }
    this.#waitingCount++;
    const done = this.#waiting.then(async () => {
      try {
        await this.whenWritable();
        this.apply(batch);
      } finally {
        this.#waitingCount--;
      }
    });
    this.#waiting = done.catch(() => {});
    return done;
  }

  #durability(options: WriteOptions | undefined): Durability {
    const durability = options?.durability;
    return durability === undefined ? this.#options.durability : checkDurability(durability, this.#options.wal);
  }

  #expiryOf(ttlMs: number | undefined): number {
    if (ttlMs === undefined) return 0;
    if (!(ttlMs > 0 && ttlMs <= Number.MAX_SAFE_INTEGER)) throw invalid(`ttlMs must be above 0, not ${ttlMs}`);
    return Math.min(Math.ceil(this.#options.clock.now() + ttlMs), Number.MAX_SAFE_INTEGER);
  }
}

const checkedKey = (key: Bytes): Uint8Array => {
  const bytes = toBytes(key);
  if (!(bytes instanceof Uint8Array)) throw invalid('A key must be a Uint8Array or a string');
  return bytes;
};

const checkedValue = (value: Bytes): Uint8Array => {
  const bytes = toBytes(value);
  if (!(bytes instanceof Uint8Array)) throw invalid('A value must be a Uint8Array or a string');
  return bytes;
};

const invalid = (what: string): LsmError => new LsmError('LSM_INVALID_ARGUMENT', `${what}.`);

const gathererOf = (batch: WriteBatch): Gatherer => ({
  get count() {
    return batch.count;
  },
  get dataBytes() {
    return batch.bytes;
  },
  add(kind, key, value, expiresAtMs) {
    if (kind === KIND_PUT) batch.put(key, value, expiresAtMs);
    else batch.delete(key);
  },
});
