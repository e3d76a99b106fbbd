// The driven port to the state of all shards of a store: an ordered map per group, with versions, expiry and marks.
// It has no log of its own: the replicated log is (design decision 3). Writes are staged and then committed
// together; what is committed is in memory, and becomes durable with the next flush, together with the marks.

/** A stored key. */
export interface StoredValue {
  /** Valid for ever; must not be changed. */
  readonly value: Uint8Array;
  readonly term: number;
  readonly index: number;
  /** Absolute, on the shard's time; 0: never. */
  readonly expiresAtMs: number;
}

/**
 * Walks the keys of one group at a time, in one direction, over the state at the moment it was opened. Expired keys are
 * shown: who reads decides by `expiresAtMs`.
 */
export interface StorageCursor {
  /**
   * Places the cursor on the group's first key at or after `key` (reverse: its last at or before it);
   * without a key on its first (reverse: its last). The keys end before `before`, which is not among them, until the next seek.
   * Keys that were given must not be changed while the cursor is open.
   */
  seek(group: number, key: Uint8Array | undefined, before?: Uint8Array): void;
  /** Moves on. */
  next(): void;
  /** False once the group has no further key, or none before the end that the seek named. */
  readonly valid: boolean;
  /** The user key under the cursor; stays valid, must not be changed. */
  key(): Uint8Array;
  /** When the entry under the cursor expires; 0: never. */
  readonly expiresAtMs: number;
  /** The value and version under the cursor; stays valid. */
  entry(): StoredValue;
  close(): void;
}

/** What the store owes its storage, given when it is opened. */
export interface StorageHooks {
  /** The applied time of a group's shard: what expired by then is hidden. */
  shardTimeMs(group: number): number;
  /** The applied times that are durable, for compaction to drop what expired by then. Indexed by group. */
  durableShardTimesMs(): Float64Array;
  /** The marks of all groups that changed since the last call, describing exactly what is committed now. */
  collectMarks(seal: number): Iterable<readonly [group: number, mark: Uint8Array]>;
  /** All marks collected for seals up to `seal` are durable, with everything they describe. */
  onDurable(seal: number): void;
}

/** Everything of one group, as it was committed at one moment. */
export interface GroupCopy {
  /** The same bytes each time, from `offset` on, in chunks. */
  read(offset: number): AsyncIterable<Uint8Array>;
  release(): void;
}

/** A copy of a group that has arrived and is not in its place yet. */
export interface ReceivedGroup {
  /** Replaces the group's keys and mark by it: durably, and as one. */
  install(mark: Uint8Array): Promise<void>;
  discard(): Promise<void>;
}

/** Sizes for status and metrics. */
export interface StorageStats {
  readonly memtableBytes: number;
  readonly memtables: number;
  readonly tableBytes: number;
  readonly levelTables: readonly number[];
  readonly levelBytes: readonly number[];
  readonly blockCacheBytes: number;
}

/** The state of a store. */
export interface Storage {
  /** Durable marks found when the storage was opened. */
  marks(): ReadonlyMap<number, Uint8Array>;
  /** The applied value of a key; undefined if there is none or it has expired by its shard's applied time. */
  get(group: number, key: Uint8Array): StoredValue | undefined;
  /** Stages a put. Arguments are copied. */
  stagePut(group: number, key: Uint8Array, value: Uint8Array, term: number, index: number, expiresAtMs: number): void;
  /** Stages a delete. */
  stageDelete(group: number, key: Uint8Array): void;
  /** Applies what is staged, atomically. */
  commit(): void;
  /** True while committing more would outrun flushing and compaction. */
  readonly stalled: boolean;
  /** Resolves once the storage is not stalled. */
  whenWritable(): Promise<void>;
  /** Why writes must be refused now (for instance: no space left); undefined when all is well. */
  readonly refusal: string | undefined;
  /** Memory cannot be written to tables for want of space, though writes may still be taken. */
  readonly isFull: boolean;
  cursor(reverse: boolean): StorageCursor;
  /** Copies a group as it is committed now; reading it may come later. */
  copyGroup(group: number): GroupCopy;
  /** Receives what {@link GroupCopy.read} of another node gave, without touching the group. @throws if the chunks end too early */
  receiveGroup(group: number, chunks: AsyncIterable<Uint8Array>): Promise<ReceivedGroup>;
  /** Makes everything committed durable, marks included, and resolves after `onDurable`. */
  flush(): Promise<void>;
  stats(): StorageStats;
  close(): Promise<void>;
}
