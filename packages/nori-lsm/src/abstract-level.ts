// nori-lsm as a member of the abstract-level family (`nori-lsm/abstract-level`): what uses classic-level can use this in its place.
//
//   NoriLevel ─ Lsm        encodings: level/encoding.ts        iterators: level/level-iterator.ts        errors: level/level-error.ts
import {
  type AbstractBatchOperation,
  type AbstractBatchOptions,
  type AbstractChainedBatch,
  type AbstractDatabaseOptions,
  type AbstractDelOptions,
  type AbstractGetOptions,
  AbstractLevel,
  type AbstractOpenOptions,
  type AbstractPutOptions,
  AbstractSnapshot,
} from 'abstract-level';
import { type Clock, systemClock } from 'nori-io';
import { rangeOf } from './cursor-bounds.js';
import type { Format, Stored } from './level/encoding.js';
import { decode } from './level/encoding.js';
import { levelError, levelErrorOf } from './level/level-error.js';
import { LevelIterator, type LevelIteratorOptions, type LevelRange } from './level/level-iterator.js';
import { arePlainOptions, plainBatch } from './level/plain-batch.js';
import { Lsm } from './lsm.js';
import type { BatchOperation, LsmOptions, Snapshot, WriteOptions } from './types.js';

const NO_SETTINGS: NoriLevelWriteOptions = {};
/** Keys deleted together by `clear`. */
const CLEAR_KEYS = 1000;
/** From so many keys on `clear` deletes their range: fewer are cheaper deleted one by one. */
const CLEAR_RANGE_KEYS = 64;

/** What the store itself understands, beside what abstract-level does. */
export interface NoriLevelOpenOptions
  extends AbstractOpenOptions,
    Omit<
      LsmOptions,
      'dir' | 'wal' | 'collectMarks' | 'onDurable' | 'createIfMissing' | 'errorIfExists' | 'compression'
    > {
  /** As {@link LsmOptions.compression}, or as classic-level has it: true for `lz4`, false for `none`. Default `none`. */
  readonly compression?: LsmOptions['compression'] | boolean | undefined;
}

/** Options of the constructor: encodings, and those of {@link NoriLevel.open}. */
export interface NoriLevelOptions<K, V> extends AbstractDatabaseOptions<K, V>, Omit<NoriLevelOpenOptions, 'passive'> {}

/** Options of `put`, `del` and `batch` beside the encodings. */
export interface NoriLevelWriteOptions {
  /**
   * When the write is acknowledged: true: after an fdatasync; false: when the operating system has it. Default: as the
   * database's `durability` says, which is after an fdatasync.
   */
  readonly sync?: boolean | undefined;
  /** Milliseconds to live from now; of `put`. Default: for ever. */
  readonly ttlMs?: number | undefined;
}

interface ReadForm {
  readonly keyEncoding: Format;
  readonly valueEncoding: Format;
  readonly snapshot?: LevelSnapshot | undefined;
}

interface PrivateOperation extends NoriLevelWriteOptions {
  readonly type: 'put' | 'del';
  readonly key: Stored;
  readonly value: Stored;
}

/** An operation of {@link NoriLevel.batch}. */
export type NoriLevelOperation<TDatabase, K, V> = AbstractBatchOperation<TDatabase, K, V> &
  Pick<NoriLevelWriteOptions, 'ttlMs'>;

/**
 * A database of abstract-level in a directory. Keys are ordered by their bytes. See the README of nori-lsm for its guarantees, and
 * that of abstract-level for its methods.
 */
export class NoriLevel<KDefault = string, VDefault = string> extends AbstractLevel<Stored, KDefault, VDefault> {
  readonly #location: string;
  #lsm: Lsm | undefined;
  #clock: Clock = systemClock;
  readonly #writes = new SharedPromises();

  /** @param location the directory; created if missing */
  constructor(location: string, options?: NoriLevelOptions<KDefault, VDefault>) {
    if (typeof location !== 'string' || location === '') {
      throw new TypeError("The first argument 'location' must be a non-empty string");
    }
    super(
      {
        encodings: { buffer: true, utf8: true, view: true },
        has: true,
        getSync: true,
        createIfMissing: true,
        errorIfExists: true,
        explicitSnapshots: true,
        signals: { iterators: true },
        additionalMethods: { compactRange: true },
        // The types of the manifest do not know getSync yet.
      } as object,
      options,
    );
    this.#location = location;
  }

  /** The directory, as it was given. */
  get location(): string {
    return this.#location;
  }

  /** The store beneath, while the database is open: for `stats`, `verify`, `checkpoint` and all else abstract-level has no name for. */
  get lsm(): Lsm {
    if (this.#lsm === undefined) throw levelError('LEVEL_DATABASE_NOT_OPEN', 'The database is not open');
    return this.#lsm;
  }

  // What may be asked beyond abstract-level: only the types are new.

  override open(options?: NoriLevelOpenOptions): Promise<void> {
    return options === undefined ? super.open() : super.open(options);
  }

  override put(key: KDefault, value: VDefault): Promise<void>;
  override put<K = KDefault, V = VDefault>(
    key: K,
    value: V,
    options: AbstractPutOptions<K, V> & NoriLevelWriteOptions,
  ): Promise<void>;
  override put(...call: unknown[]): Promise<void> {
    const done = this.#plainPut(call[0], call[1], call[2]);
    return done ?? super.put(...(call as Parameters<AbstractLevel<Stored, KDefault, VDefault>['put']>));
  }

  override del(key: KDefault): Promise<void>;
  override del<K = KDefault>(
    key: K,
    options: AbstractDelOptions<K> & Omit<NoriLevelWriteOptions, 'ttlMs'>,
  ): Promise<void>;
  override del(...call: unknown[]): Promise<void> {
    return super.del(...(call as Parameters<AbstractLevel<Stored, KDefault, VDefault>['del']>));
  }

  /** As abstract-level has it; an open database answers without the detour over a second promise, which costs as much as a cached read. */
  override get(key: KDefault): Promise<VDefault | undefined>;
  override get<K = KDefault, V = VDefault>(key: K, options: AbstractGetOptions<K, V>): Promise<V | undefined>;
  override async get(key: KDefault, options?: AbstractGetOptions<KDefault, VDefault>): Promise<never> {
    const given = options as AbstractGetOptions<KDefault, VDefault>;
    return (this.status === 'open' ? super.getSync(key, given) : super.get(key, given)) as never;
  }

  override batch(operations: NoriLevelOperation<typeof this, KDefault, VDefault>[]): Promise<void>;
  override batch<K = KDefault, V = VDefault>(
    operations: NoriLevelOperation<typeof this, K, V>[],
    options: AbstractBatchOptions<K, V> & NoriLevelWriteOptions,
  ): Promise<void>;
  override batch(): AbstractChainedBatch<typeof this, KDefault, VDefault>;
  override batch(...call: unknown[]): never {
    return (this.#plainBatch(call[0], call[1]) ?? super.batch(...(call as []))) as never;
  }

  /** A plain batch goes to the store at once; undefined: abstract-level is to see to this one. */
  #plainBatch(operations: unknown, options: unknown): Promise<void> | undefined {
    const settings = this.#plainSettings(options);
    if (settings === undefined || !Array.isArray(operations) || operations.length === 0) return undefined;
    try {
      const batch = plainBatch(operations, this.keyEncoding(), this.valueEncoding());
      return batch && this.#writes.of(this.lsm.batch(batch, writeOptions(settings)));
    } catch {
      // An encoding has thrown: abstract-level gets to see it as well.
      return undefined;
    }
  }

  /** As {@link NoriLevel.#plainBatch}. */
  #plainPut(key: unknown, value: unknown, options: unknown): Promise<void> | undefined {
    const settings = this.#plainSettings(options);
    if (settings === undefined || (key ?? undefined) === undefined || (value ?? undefined) === undefined)
      return undefined;
    try {
      const [itsKey, itsValue] = [
        this.keyEncoding().encode(key as KDefault),
        this.valueEncoding().encode(value as VDefault),
      ];
      return this.#writes.of(this.lsm.put(itsKey, itsValue, writeOptions(settings)));
    } catch {
      return undefined;
    }
  }

  /** The options of a write; undefined if they ask for more, or others than the store are to be told of it. */
  #plainSettings(options: unknown): NoriLevelWriteOptions | undefined {
    if (!this.#isPlain) return undefined;
    if (typeof options !== 'object' || options === null) return NO_SETTINGS;
    return arePlainOptions(options) ? options : undefined;
  }

  /** Nobody but the store is to be told of a write. */
  get #isPlain(): boolean {
    const { noop } = this.hooks.prewrite as unknown as { readonly noop?: boolean };
    return noop === true && this.status === 'open' && this.listenerCount('write') === 0;
  }

  /**
   * Merges everything down to the last level, so that what is deleted or expired gives up its space. The range is accepted for the sake of
   * callers of classic-level; all is compacted.
   */
  async compactRange(_start: unknown, _end: unknown): Promise<void> {
    if (this.status === 'opening') return this.deferAsync(() => this.compactRange(_start, _end));
    return asLevel(() => this.lsm.compact());
  }

  /** @internal */
  async _open(options: NoriLevelOpenOptions & Record<string, unknown>): Promise<void> {
    const { passive: _passive, compression, ...rest } = options;
    this.#clock = options.clock ?? systemClock;
    this.#lsm = await asLevel(() =>
      Lsm.open({ ...(rest as object), dir: this.#location, ...compressionOption(compression) }),
    );
  }

  /** @internal */
  async _close(): Promise<void> {
    const lsm = this.#lsm;
    // Closed it is, whatever that had to say: who is told of an error and closes again succeeds.
    this.#lsm = undefined;
    if (lsm !== undefined) await asLevel(() => lsm.close());
  }

  /** @internal */
  async _get(key: Stored, options: ReadForm): Promise<Stored | undefined> {
    return this._getSync(key, options);
  }

  /** @internal */
  _getSync(key: Stored, { valueEncoding, snapshot }: ReadForm): Stored | undefined {
    let value: Uint8Array | undefined;
    try {
      value = this.lsm.getSync(key, readOptions(snapshot));
    } catch (error) {
      throw levelErrorOf(error);
    }
    return value === undefined ? undefined : decode(value, valueEncoding);
  }

  /** @internal */
  async _getMany(keys: readonly Stored[], { valueEncoding, snapshot }: ReadForm): Promise<(Stored | undefined)[]> {
    const values: (Stored | undefined)[] = await asLevel(() => this.lsm.getMany(keys, readOptions(snapshot)));
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value !== undefined) values[i] = decode(value as Uint8Array, valueEncoding);
    }
    return values;
  }

  /** @internal */
  async _has(key: Stored, { snapshot }: ReadForm): Promise<boolean> {
    return readSync(() => this.lsm.getSync(key, readOptions(snapshot))) !== undefined;
  }

  /** @internal */
  async _hasMany(keys: readonly Stored[], { snapshot }: ReadForm): Promise<boolean[]> {
    // Of all reads, abstract-level holds the snapshot for this one only until it returns.
    snapshot?.ref();
    try {
      const values = await asLevel(() => this.lsm.getMany(keys, readOptions(snapshot)));
      return values.map((value) => value !== undefined);
    } finally {
      snapshot?.unref();
    }
  }

  /** @internal */
  _put(key: Stored, value: Stored, options: NoriLevelWriteOptions): Promise<void> {
    return this.#writes.of(this.lsm.put(key, value, writeOptions(options)));
  }

  /** @internal */
  _del(key: Stored, options: NoriLevelWriteOptions): Promise<void> {
    return this.#writes.of(this.lsm.delete(key, writeOptions(options)));
  }

  /** @internal */
  _batch(operations: readonly PrivateOperation[], options: NoriLevelWriteOptions): Promise<void> {
    // What abstract-level made of a put is one for the store as it is.
    const batch = operations.map(
      (operation): BatchOperation =>
        operation.type === 'del' ? { type: 'delete', key: operation.key } : (operation as BatchOperation),
    );
    return this.#writes.of(this.lsm.batch(batch, writeOptions(options)));
  }

  /** @internal */
  async _clear(options: LevelRange & { readonly limit: number; readonly snapshot?: LevelSnapshot }): Promise<void> {
    await asLevel(async () => {
      if (options.limit < 0 && options.snapshot === undefined && this.#holdsMany(options)) {
        const { gte, gt, lte, lt } = rangeOptions(options);
        const isBounded = (gte ?? gt ?? lte ?? lt) !== undefined;
        return this.lsm.deleteRange(isBounded ? { gte, gt, lte, lt } : { gte: '' });
      }
      const cursor = this.lsm.cursor({ ...rangeOptions(options), ...readOptions(options.snapshot) });
      try {
        let left = options.limit < 0 ? Number.POSITIVE_INFINITY : options.limit;
        while (cursor.valid && left > 0) {
          const batch: BatchOperation[] = [];
          for (; cursor.valid && left > 0 && batch.length < CLEAR_KEYS; left--) {
            batch.push({ type: 'delete', key: cursor.key });
            cursor.next();
          }
          await this.lsm.batch(batch);
        }
      } finally {
        cursor.close();
      }
    });
  }

  #holdsMany(options: LevelRange): boolean {
    const cursor = this.lsm.cursor(rangeOptions(options));
    let keys = 0;
    for (; cursor.valid && keys < CLEAR_RANGE_KEYS; cursor.next()) keys++;
    cursor.close();
    return keys === CLEAR_RANGE_KEYS;
  }

  /** @internal */
  _iterator(
    options: LevelIteratorOptions & { readonly snapshot?: LevelSnapshot },
  ): LevelIterator<this, KDefault, VDefault> {
    // Before the iterator, which is the database's from its first moment: what is refused must leave none behind.
    const range = rangeOptions(options);
    const cursor = readSync(() => this.lsm.cursor({ ...range, ...readOptions(options.snapshot), unpositioned: true }));
    return new LevelIterator(this, { cursor, range: rangeOf(range), clock: this.#clock }, options);
  }

  /** @internal */
  _snapshot(options: object): LevelSnapshot {
    return new LevelSnapshot(this.lsm.snapshot(), options);
  }
}

/** An explicit snapshot. */
class LevelSnapshot extends AbstractSnapshot {
  readonly at: Snapshot;
  isClosed = false;

  constructor(at: Snapshot, options: object) {
    // The constructor takes options that abstract-level's types do not tell of.
    super(...([options] as unknown as []));
    this.at = at;
  }

  /** @internal */
  async _close(): Promise<void> {
    this.isClosed = true;
    this.at.close();
  }
}

/** The bounds and the direction: all that callers may choose by; other names mean nothing to abstract-level, nor to sublevels. */
const rangeOptions = ({ gte, gt, lte, lt, reverse }: LevelRange): LevelRange => ({ gte, gt, lte, lt, reverse });

const compressionOption = (chosen: NoriLevelOpenOptions['compression']): Pick<LsmOptions, 'compression'> => {
  if (chosen === undefined) return {};
  return { compression: typeof chosen === 'boolean' ? (chosen ? 'lz4' : 'none') : chosen };
};

/** With a snapshot that is closed an iterator can be made, but not read: abstract-level refuses. */
const readOptions = (snapshot: LevelSnapshot | undefined): { readonly snapshot: Snapshot } | undefined =>
  snapshot === undefined || snapshot.isClosed ? undefined : { snapshot: snapshot.at };

const writeOptions = ({ sync, ttlMs }: NoriLevelWriteOptions): WriteOptions | undefined => {
  if (sync === undefined && ttlMs === undefined) return undefined;
  return {
    ...(sync === undefined ? {} : { durability: sync ? 'batch' : 'os' }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
  };
};

/** Promises with errors for users of abstract-level. The store gives all writes of a group one promise, of which this makes one as well. */
class SharedPromises {
  #given: Promise<void> | undefined;
  #made: Promise<void> = Promise.resolve();

  of(given: Promise<void>): Promise<void> {
    if (given !== this.#given) {
      this.#given = given;
      this.#made = given.catch((thrown) => {
        throw levelErrorOf(thrown);
      });
    }
    return this.#made;
  }
}

const readSync = <T>(read: () => T): T => {
  try {
    return read();
  } catch (error) {
    throw levelErrorOf(error);
  }
};

const asLevel = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw levelErrorOf(error);
  }
};
