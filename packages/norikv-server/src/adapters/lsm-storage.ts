// The storage port over nori-lsm without its own log. A key is stored as its group (2 bytes, big-endian) and the user key;
// a value as the term and index that wrote it (two varints) and the user's bytes. Expiry is the LSM's, judged by
// each shard's own time. Seals are named by the number of the memtable they close.
import type { Clock, FileSystem } from 'nori-io';
import { type Cursor, Lsm, LsmError, type TaskExecutor, WriteBatch } from 'nori-lsm';
import type { Meter } from 'nori-observe';
import { ByteReader } from '../domain/byte-reader.js';
import { ByteWriter } from '../domain/byte-writer.js';
import { NodeError } from '../domain/node-error.js';
import type {
  GroupCopy,
  ReceivedGroup,
  Storage,
  StorageCursor,
  StorageHooks,
  StorageStats,
  StoredValue,
} from '../ports/storage.js';
import { GroupCopies } from './group-copies.js';

const GROUP_BYTES = 2;
const SCRATCH_KEEP_BYTES_MAX = 4 * 1024 * 1024;

/** How the storage is opened. */
export interface LsmStorageOptions {
  readonly dir: string;
  /** For copies of groups on their way. */
  readonly snapshotsDir: string;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly meter: Meter;
  readonly memtableBytes: number;
  readonly blockCacheBytes: number;
  /** Default: nori-lsm's own (worker threads on the real file system). */
  readonly executor?: TaskExecutor;
}

/** {@link Storage} over one nori-lsm. */
export class LsmStorage implements Storage {
  readonly #lsm: Lsm;
  readonly #copies: GroupCopies;
  readonly #batch = new WriteBatch();
  /** Keys and values of the staged batch. */
  readonly #staging = new ByteWriter(64 * 1024);
  #lookup = new Uint8Array(GROUP_BYTES + 1024);

  private constructor(lsm: Lsm, copies: GroupCopies) {
    this.#lsm = lsm;
    this.#copies = copies;
  }

  /** Opens the storage; its lock is the caller's. */
  static async open(options: LsmStorageOptions, hooks: StorageHooks): Promise<LsmStorage> {
    let opened: Lsm | undefined;
    const lsm = await Lsm.open({
      dir: options.dir,
      fs: options.fs,
      clock: options.clock,
      meter: options.meter,
      memtableBytes: options.memtableBytes,
      paceBackground: true,
      blockCacheBytes: options.blockCacheBytes,
      ...(options.executor === undefined ? {} : { executor: options.executor }),
      wal: false,
      lock: false,
      collectMarks: () => (opened === undefined ? [] : hooks.collectMarks(opened.sealSequence)),
      onDurable: (seal) => hooks.onDurable(seal),
      expiry: {
        readNowMs: (key) => hooks.shardTimeMs((key[0]! << 8) | key[1]!),
        durableNowMs: () => ({ prefixBytes: 2, nowMs: hooks.durableShardTimesMs() }),
      },
    });
    opened = lsm;
    return new LsmStorage(lsm, await GroupCopies.open(lsm, options.fs, options.snapshotsDir));
  }

  marks(): ReadonlyMap<number, Uint8Array> {
    return this.#lsm.durableMarks();
  }

  get(group: number, key: Uint8Array): StoredValue | undefined {
    const lookup = this.#lookup;
    const length = GROUP_BYTES + key.length;
    if (length > lookup.length) return undefined; // longer than any stored key
    lookup[0] = group >>> 8;
    lookup[1] = group & 0xff;
    lookup.set(key, GROUP_BYTES);
    let found: { readonly value: Uint8Array; readonly expiresAtMs: number } | undefined;
    try {
      found = this.#lsm.getEntry(lookup.subarray(0, length));
    } catch (error) {
      throw readFailure(error);
    }
    return found === undefined ? undefined : decodeStored(found.value, found.expiresAtMs);
  }

  stagePut(group: number, key: Uint8Array, value: Uint8Array, term: number, index: number, expiresAtMs: number): void {
    const to = this.#staging;
    const storedKey = this.#stageKey(group, key);
    const start = to.length;
    to.varint(term);
    to.varint(index);
    to.bytes(value);
    this.#batch.put(storedKey, to.view(start), expiresAtMs);
  }

  stageDelete(group: number, key: Uint8Array): void {
    this.#batch.delete(this.#stageKey(group, key));
  }

  #stageKey(group: number, key: Uint8Array): Uint8Array {
    const to = this.#staging;
    const start = to.length;
    to.u8(group >>> 8);
    to.u8(group & 0xff);
    to.bytes(key);
    return to.view(start);
  }

  commit(): void {
    try {
      if (this.#batch.count > 0) this.#lsm.apply(this.#batch);
    } finally {
      this.#batch.clear();
      this.#staging.reset(SCRATCH_KEEP_BYTES_MAX);
    }
  }

  get stalled(): boolean {
    return this.#lsm.stalled;
  }

  whenWritable(): Promise<void> {
    return this.#lsm.whenWritable();
  }

  get refusal(): string | undefined {
    const error = this.#lsm.stalled ? this.#lsm.backgroundError : undefined;
    if (error === undefined) return undefined;
    return error.code === 'LSM_NO_SPACE'
      ? 'The disk of the tables is full; nothing was written. Free some space: writes resume by themselves.'
      : `Tables cannot be written: ${error.message}`;
  }

  get isFull(): boolean {
    return this.#lsm.backgroundError?.code === 'LSM_NO_SPACE';
  }

  cursor(reverse: boolean): StorageCursor {
    return new GroupCursor(this.#lsm.cursor({ reverse, showExpired: true, unpositioned: true }), reverse);
  }

  copyGroup(group: number): GroupCopy {
    return this.#copies.copy(group);
  }

  receiveGroup(group: number, chunks: AsyncIterable<Uint8Array>): Promise<ReceivedGroup> {
    return this.#copies.receive(group, chunks);
  }

  flush(): Promise<void> {
    return this.#lsm.flush();
  }

  stats(): StorageStats {
    const stats = this.#lsm.stats();
    const levelTables: number[] = [];
    const levelBytes: number[] = [];
    for (const { level, tables, bytes } of stats.levels) {
      levelTables[level] = tables;
      levelBytes[level] = bytes;
    }
    return {
      memtableBytes: stats.memtableBytes + stats.sealedBytes,
      memtables: stats.sealedMemtables + 1,
      tableBytes: levelBytes.reduce((sum, bytes) => sum + bytes, 0),
      levelTables: Array.from(levelTables, (tables) => tables ?? 0),
      levelBytes: Array.from(levelBytes, (bytes) => bytes ?? 0),
      blockCacheBytes: stats.cache.bytes,
    };
  }

  close(): Promise<void> {
    return this.#lsm.close();
  }
}

/** A key of one group after another, in memory that is used again. */
class KeyInGroups {
  #stored = new Uint8Array(0);
  #key: Uint8Array | undefined;

  /** The key as it is stored in a group; none: what lies before all keys of the group. Good until the next call. */
  in(group: number, key: Uint8Array | undefined): Uint8Array {
    if (key !== this.#key || this.#stored.length === 0) {
      this.#key = key;
      this.#stored = new Uint8Array(GROUP_BYTES + (key?.length ?? 0));
      if (key !== undefined) this.#stored.set(key, GROUP_BYTES);
    }
    this.#stored[0] = group >>> 8;
    this.#stored[1] = group & 0xff;
    return this.#stored;
  }
}

class GroupCursor implements StorageCursor {
  readonly #cursor: Cursor;
  readonly #reverse: boolean;
  readonly #from = new KeyInGroups();
  readonly #before = new KeyInGroups();
  /** The key under the cursor, once it was asked for: each asking would copy it. */
  #key: Uint8Array | undefined;

  constructor(cursor: Cursor, reverse: boolean) {
    this.#cursor = cursor;
    this.#reverse = reverse;
  }

  seek(group: number, key: Uint8Array | undefined, before?: Uint8Array): void {
    this.#key = undefined;
    // No user key is empty: the bare prefix of a group lies before its first key, and after the last one of the group before.
    const first = this.#reverse && key === undefined ? group + 1 : group;
    const last = this.#reverse || before !== undefined ? group : group + 1;
    try {
      this.#cursor.seek(this.#from.in(first, key), this.#before.in(last, before));
    } catch (error) {
      throw readFailure(error);
    }
  }

  next(): void {
    this.#key = undefined;
    try {
      this.#cursor.next();
    } catch (error) {
      throw readFailure(error);
    }
  }

  get valid(): boolean {
    return this.#cursor.valid;
  }

  key(): Uint8Array {
    this.#key ??= this.#cursor.key.subarray(GROUP_BYTES);
    return this.#key;
  }

  get expiresAtMs(): number {
    return this.#cursor.expiresAtMs;
  }

  entry(): StoredValue {
    return decodeStored(this.#cursor.value, this.#cursor.expiresAtMs);
  }

  close(): void {
    this.#cursor.close();
  }
}

const decodeStored = (stored: Uint8Array, expiresAtMs: number): StoredValue => {
  const reader = new ByteReader(stored);
  const term = reader.varint();
  const index = reader.varint();
  return { value: stored.subarray(stored.length - reader.remaining), term, index, expiresAtMs };
};

const readFailure = (error: unknown): unknown =>
  error instanceof LsmError && error.code.includes('CORRUPT')
    ? new NodeError('CORRUPTION', error.message, { cause: error })
    : error;
