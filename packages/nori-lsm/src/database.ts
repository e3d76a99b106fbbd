// An open database, beneath its public surface: writes on their way through the log or straight into the memtable, the work that callers
// ask for, and closing. Keys are as they are stored (key-map.ts).
import type { Clock } from 'nori-io';
import type { Wal } from 'nori-wal';
import { writeCheckpoint } from './checkpoint.js';
import { type Condition, conditionOf, Judge } from './conditions.js';
import type { KeyRange } from './cursor-bounds.js';
import type { Engine } from './engine.js';
import { invalid, LsmError, toLsmError } from './errors.js';
import { exportTables } from './export.js';
import { gathererOf, gatherOperations, refuseConditions } from './gather.js';
import { type IngestTarget, ingest } from './ingest.js';
import { DEFAULT_KEYS, type KeyMap, PLAIN_KEYS } from './key-map.js';
import { KeyspaceList, type Scope } from './keyspace-list.js';
import { checkEntrySize, KIND_PUT } from './limits.js';
import { readLogHeader } from './log-record.js';
import type { ManifestEdit } from './manifest-edit.js';
import { checkDurability, type ResolvedOptions } from './options.js';
import type { Tree } from './tree.js';
import type {
  BatchOperation,
  ConditionalWriteOptions,
  Durability,
  ExportReport,
  IngestOptions,
  IngestReport,
  KeyspaceSettings,
  Snapshot,
  WriteOptions,
} from './types.js';
import { WriteBatch } from './write-batch.js';
import { closedError, WriteQueue, type WriteTarget } from './write-queue.js';

/** Calls of one turn go to the log together, up to so many bytes. */
const GROUP_BYTES_MAX = 1024 * 1024;

/** What a database is made of. */
export interface DatabaseParts {
  readonly options: ResolvedOptions;
  readonly engine: Engine;
  readonly tree: Tree;
  /** The own log, if there is one and it may be written. */
  readonly wal: Wal | undefined;
  readonly unlock: () => Promise<void>;
}

/** See the top of the file. */
export class Database {
  readonly options: ResolvedOptions;
  readonly engine: Engine;
  readonly tree: Tree;
  /** The keyspaces, and the default one. */
  readonly keyspaces: KeyspaceList;
  readonly #wal: Wal | undefined;
  readonly #queue: WriteQueue | undefined;
  readonly #unlock: () => Promise<void>;
  /** The next sequence number of a write that goes through the log. */
  #nextSeq: number;
  /** Writes without log that wait for room, in order. */
  #waiting: Promise<void> = Promise.resolve();
  #waitingCount = 0;
  #closing: Promise<void> | undefined;
  /** What is under way beside flushes and compactions: closing waits for it. */
  readonly #works = new Set<Promise<unknown>>();

  constructor({ options, engine, tree, wal, unlock }: DatabaseParts) {
    this.options = options;
    this.engine = engine;
    this.tree = tree;
    this.#wal = wal;
    this.#unlock = unlock;
    this.#nextSeq = engine.lastSeq + 1;
    this.#queue = wal && new WriteQueue(wal, this.#writeTarget(), Math.min(GROUP_BYTES_MAX, options.memtableBytes / 8));
    const { mappedKeys, keyspaces } = tree.manifest.state;
    this.keyspaces = new KeyspaceList(mappedKeys ? DEFAULT_KEYS : PLAIN_KEYS, keyspaces.values());
  }

  get clock(): Clock {
    return this.options.clock;
  }

  /** @throws LsmError `LSM_CLOSED` */
  assertOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  /** @throws LsmError `LSM_CLOSED`, `LSM_READ_ONLY` */
  assertWritable(): void {
    if (this.#closing !== undefined) throw closedError();
    if (!this.options.readOnly) return;
    const { dir } = this.options;
    throw new LsmError('LSM_READ_ONLY', `${dir} is open with readOnly: open it without that to write to it.`);
  }

  snapshot(): Snapshot {
    this.assertOpen();
    return this.engine.snapshot();
  }

  /** Resolves as soon as writers need not wait. */
  whenWritable(): Promise<void> {
    try {
      this.assertWritable();
      return this.engine.stall.wait();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Writes one entry or tombstone of a keyspace, under its stored key. */
  write(
    kind: number,
    key: Uint8Array,
    value: Uint8Array,
    options: ConditionalWriteOptions | undefined,
    { keys, settings }: Scope,
  ): Promise<void> {
    this.assertWritable();
    checkEntrySize(key.length, value.length);
    const durability = this.#durability(options);
    const expiresAtMs = kind === KIND_PUT ? this.#expiryOf(options?.ttlMs ?? settings.ttlMs) : 0;
    const condition = options === undefined ? undefined : conditionOf(key, options, keys);
    const queue = this.#queue;
    if (queue === undefined) {
      const batch = new WriteBatch();
      gathererOf(batch).add(kind, key, value, expiresAtMs);
      return this.#applyWhenWritable(batch, condition && [condition]);
    }
    if (condition === undefined) return queue.add(durability, kind, key, value, expiresAtMs);
    const record = queue.takeRecord();
    record.add(kind, key, value, expiresAtMs);
    return queue.addConditional(durability, record, [condition]);
  }

  /** Writes operations that happen together or not at all. @param scope of those that name no keyspace */
  writeBatch(operations: readonly BatchOperation[], options: WriteOptions | undefined, scope: Scope): Promise<void> {
    this.assertWritable();
    if (options !== undefined) refuseConditions(options, 'A batch');
    const durability = this.#durability(options);
    const queue = this.#queue;
    const context = {
      expiryOf: (ttlMs: number | undefined, settings: KeyspaceSettings) =>
        this.#expiryOf(ttlMs ?? options?.ttlMs ?? settings.ttlMs),
      scopeOf: (keyspace: BatchOperation['keyspace']) =>
        keyspace === undefined ? scope : this.keyspaces.find(keyspace),
    };
    if (queue === undefined) {
      const batch = new WriteBatch();
      const conditions = gatherOperations(operations, gathererOf(batch), context);
      const isEmpty = batch.count === 0 && conditions === undefined;
      return isEmpty ? Promise.resolve() : this.#applyWhenWritable(batch, conditions);
    }
    // Into a record of its own, that becomes the group's if no group is open: an operation that is refused leaves nothing.
    const record = queue.takeRecord();
    try {
      const conditions = gatherOperations(operations, record, context);
      if (conditions !== undefined) return queue.addConditional(durability, record, conditions);
      if (record.count > 0) return queue.addRecord(durability, record);
    } catch (error) {
      queue.dropRecord(record);
      throw error;
    }
    queue.dropRecord(record);
    return Promise.resolve();
  }

  /** Applies a batch of stored keys at once. @throws LsmError `LSM_BUSY`, `LSM_INVALID_ARGUMENT` if the database has its own log */
  apply(batch: WriteBatch): void {
    this.assertWritable();
    if (this.#queue !== undefined) {
      throw new LsmError('LSM_INVALID_ARGUMENT', 'apply is for databases opened with wal: false. Use batch.');
    }
    if (this.engine.stall.isHeld) {
      throw new LsmError('LSM_BUSY', 'Tables are being taken in at this moment. Await whenWritable, then apply again.');
    }
    this.engine.apply(batch);
  }

  async flush(): Promise<void> {
    this.assertWritable();
    await this.#queue?.settled();
    await this.engine.flush();
  }

  async checkpoint(dir: string): Promise<void> {
    await this.flush();
    this.assertOpen();
    const { current } = this.tree;
    const { logPosition: _, ...edit } = this.tree.manifestEdit();
    current.retain();
    try {
      await this.#atWork(writeCheckpoint(this.options.fs, { dir: this.options.dir, edit }, dir));
    } catch (error) {
      throw toLsmError(error, `Cannot make a checkpoint in ${dir}`);
    } finally {
      current.release();
    }
  }

  /** Takes tables in. @param also what else changes in the manifest in the same moment */
  async ingest(
    paths: readonly string[],
    options: IngestOptions,
    scope: Scope,
    also?: ManifestEdit,
  ): Promise<IngestReport> {
    this.assertWritable();
    const { tree, engine } = this;
    const takeSequence = (count: number): number => this.#takeSequence(count);
    const wal = this.#wal;
    const parts = { options: this.options, tree, engine, wal, queue: this.#queue, takeSequence };
    const assertWanted = (): void => this.keyspaces.assertKnown(scope);
    const target: IngestTarget = { ...parts, keys: scope.keys, ...(also ? { also } : { assertWanted }) };
    try {
      return await this.#atWork(ingest(target, paths, options));
    } catch (error) {
      throw toLsmError(error, 'Cannot take tables');
    }
  }

  /** Writes a range of stored keys as tables with the keys that callers have. */
  async exportTables(
    dir: string,
    range: KeyRange,
    keys: KeyMap,
    { snapshot: given, tableBytes = this.options.tableBytes }: { snapshot?: Snapshot | undefined; tableBytes?: number },
  ): Promise<ExportReport> {
    this.assertWritable();
    this.engine.seqOf(given);
    const snapshot = given ?? this.snapshot();
    try {
      await this.flush();
      this.assertOpen();
      const version = this.tree.current;
      version.retain();
      try {
        const { background } = this.engine;
        const ranges = [...this.tree.ranges.values()];
        const source = { background, version, ranges, range, keys, seq: snapshot.seq, tableBytes };
        return await this.#atWork(exportTables(this.options.fs, source, dir));
      } finally {
        version.release();
      }
    } catch (error) {
      throw toLsmError(error, `Cannot export to ${dir}`);
    } finally {
      if (given === undefined) snapshot.close();
    }
  }

  /** Makes a change of the manifest durable. If it fails, a crash before the next change may yet bring it about. */
  async changeManifest(edit: ManifestEdit): Promise<void> {
    this.assertWritable();
    try {
      await this.#atWork(this.tree.install(edit));
    } catch (error) {
      throw toLsmError(error, 'Cannot write the manifest');
    }
  }

  /** Resolves once everything written so far is settled, whether it succeeded or not. */
  async settled(): Promise<void> {
    await this.#queue?.settled();
    await this.#waiting;
  }

  /**
   * Closes the database; again gives the same promise. In order: new calls are refused, writes in flight are settled,
   * background work stops, the log is synced and closed, cursors and tables are closed, the lock is given up.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#queue?.close();
      await this.engine.stop();
      await Promise.allSettled(this.#works);
      await this.#wal?.close();
    } catch (error) {
      throw toLsmError(error, `Cannot close ${this.options.dir} in order`);
    } finally {
      await this.tree.close();
      this.options.executor.release();
      await this.#unlock();
    }
  }

  async #atWork<T>(work: Promise<T>): Promise<T> {
    this.#works.add(work);
    try {
      return await work;
    } finally {
      this.#works.delete(work);
    }
  }

  #writeTarget(): WriteTarget {
    const engine = this.engine;
    const next = (): number => this.#nextSeq;
    return {
      get nextSequence() {
        return next();
      },
      versionOf: (key) => engine.versionOf(key),
      isExpired: (key, expiresAtMs) => engine.isExpired(key, expiresAtMs),
      takeSequence: (count) => this.#takeSequence(count),
      nextTurn: (callback) => void this.clock.nextTurn(callback),
      insertAhead: (record) => engine.insertAhead(record),
      takeBack: (record) => engine.takeBack(record),
      applyRecord: (record, position) => engine.applyRecord(record, readLogHeader(record), position),
      waitWritable: () => (engine.stall.isStalled ? engine.stall.wait() : undefined),
      flushApplied: () => engine.flush(),
    };
  }

  /** Takes the next sequence numbers and tells the first. */
  #takeSequence(count: number): number {
    if (this.#wal === undefined) return this.engine.lastSeq + 1;
    const first = this.#nextSeq;
    this.#nextSeq += count;
    return first;
  }

  /** Applies at once if writes go on and nobody waits before, else in turn; in either case if the conditions hold then. */
  #applyWhenWritable(batch: WriteBatch, conditions: readonly Condition[] | undefined): Promise<void> {
    if (this.#waitingCount === 0 && !this.engine.stall.isStalled) {
      this.#applyIf(batch, conditions);
      return Promise.resolve();
    }
    this.#waitingCount++;
    const done = this.#waiting.then(async () => {
      try {
        do await this.whenWritable();
        while (this.engine.stall.isHeld);
        this.#applyIf(batch, conditions);
      } finally {
        this.#waitingCount--;
      }
    });
    this.#waiting = done.catch(() => {});
    return done;
  }

  #applyIf(batch: WriteBatch, conditions: readonly Condition[] | undefined): void {
    if (conditions !== undefined) new Judge(this.engine).check(conditions);
    this.apply(batch);
  }

  #durability(options: WriteOptions | undefined): Durability {
    const durability = options?.durability;
    return durability === undefined ? this.options.durability : checkDurability(durability, this.options.wal);
  }

  #expiryOf(ttlMs: number | undefined): number {
    if (ttlMs === undefined) return 0;
    if (!(ttlMs > 0 && ttlMs <= Number.MAX_SAFE_INTEGER)) throw invalid(`ttlMs must be above 0, not ${ttlMs}`);
    return Math.min(Math.ceil(this.clock.now() + ttlMs), Number.MAX_SAFE_INTEGER);
  }
}
