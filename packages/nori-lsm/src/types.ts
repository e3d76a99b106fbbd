// The types of the public surface: options, results, cursors. What they mean together is told in the README.
import type { Clock, Compression, FileSystem } from 'nori-io';
import type { Meter } from 'nori-observe';
import type { CompactionFilterOptions } from './compaction-filter.js';
import type { LsmError } from './errors.js';
import type { TaskExecutor } from './executor.js';

/** Keys and values as callers may give them; strings are taken as UTF-8. */
export type Bytes = Uint8Array | string;

/**
 * When a write is acknowledged.
 * - `sync`: after an fdatasync, without waiting for company
 * - `batch`: after the fdatasync of its group (the default)
 * - `os`: once the operating system has it: survives a crash of the process, not of the machine
 * - `none`: at once; a crash of the process may lose it
 *
 * Whatever the mode, what a crash leaves is a prefix of the writes issued.
 */
export type Durability = 'sync' | 'batch' | 'os' | 'none';

/** What counts as expired. Times are milliseconds since the epoch. */
export interface ExpirySource {
  /** The time at which `key` is read: entries that expire at or before it are hidden. */
  readNowMs(key: Uint8Array): number;
  /**
   * The time up to which compaction may drop expired entries for good, sampled when a compaction or flush starts;
   * one number, or one for each 2-byte big-endian key prefix (a prefix beyond the array never expires).
   */
  durableNowMs(): number | { readonly prefixBytes: 2; readonly nowMs: Float64Array };
}

/** Options of {@link Lsm.open}; all but `dir` have defaults. */
export interface LsmOptions {
  /** Directory of the database; created if missing. It holds nothing else. */
  readonly dir: string;
  /** Default: the real file system. */
  readonly fs?: FileSystem;
  /** Default: the system's clock. */
  readonly clock?: Clock;
  /** Default: measures nothing. */
  readonly meter?: Meter;
  /** Create the database if there is none. Default true; else `LSM_NOT_FOUND`. */
  readonly createIfMissing?: boolean;
  /** Fail with `LSM_EXISTS` if there is one. Default false. */
  readonly errorIfExists?: boolean;
  /**
   * Open what is there as it is at this moment, for reading alone: nothing on disk is changed, no lock is taken, and another process may
   * have it open and write on. Writing methods fail with `LSM_READ_ONLY`, a missing database with `LSM_NOT_FOUND`. Not with
   * `errorIfExists`, `collectMarks`, `onDurable`. Default false.
   */
  readonly readOnly?: boolean;
  /** Arena of one memtable, in bytes. Default 32 MiB. */
  readonly memtableBytes?: number;
  /** Memtables in memory, the active one included, before writes stall. Default 3. */
  readonly memtablesMax?: number;
  /** Memory for blocks of tables, in bytes. Default 64 MiB. */
  readonly blockCacheBytes?: number;
  /** Tables in L0 that start a compaction. Default 8. */
  readonly l0Trigger?: number;
  /** Tables in L0 at which writes stall. Default 12. */
  readonly l0Stop?: number;
  /**
   * Most bytes in the base level, into which L0 is compacted. The last level holds the data, each level above it a
   * `levelRatio`-th of the one below, down to the first that fits here. Default: what L0 holds when it is compacted,
   * `l0Trigger` x `memtableBytes` (256 MiB).
   */
  readonly levelBytesBase?: number;
  /** How many times larger each level is than the one above. Default 10. */
  readonly levelRatio?: number;
  /** Target size of a table that compaction writes, in bytes. Default 8 MiB. */
  readonly tableBytes?: number;
  /**
   * Most bytes that compactions write a second; flushes are not counted, and while writers wait it does not hold. Default:
   * no bound.
   */
  readonly compactionBytesPerSecond?: number;
  /**
   * Flushes and compactions work only for a share of the time, a fifth and a quarter while nothing presses, all of it before writers
   * would have to wait. For whoever shares disk and processor with them and wants even latencies. Default false: they get on as
   * fast as they can.
   */
  readonly paceBackground?: boolean;
  /** Size of a table's data blocks in bytes. Default 4 KiB. */
  readonly blockBytes?: number;
  /** Bits of bloom filter for each key; 0: no filter. Default 10. */
  readonly bloomBitsPerKey?: number;
  /**
   * How blocks of tables are compressed: `none`, `lz4`, `deflate`, or `zstd` where the runtime has it (else
   * `LSM_INVALID_OPTIONS`). An array chooses for each level from L0 on, its last element for all below. Tables that are there
   * stay as they are until they are compacted. Default `none`.
   */
  readonly compression?: Compression | readonly Compression[];
  /** Compact by itself as levels fill. Default true; tests turn it off. */
  readonly autoCompact?: boolean;
  /** Keep an own write-ahead log. Default true. A database keeps the mode it was created with. */
  readonly wal?: boolean;
  /** Segment size of the own log in bytes. Default 64 MiB. */
  readonly walSegmentBytesMax?: number;
  /** Default for writes. Default `batch` (`none` without own log). */
  readonly durability?: Durability;
  /** Where flushes and compactions run. Default: worker threads on the real file system, else inline. */
  readonly executor?: TaskExecutor;
  /**
   * Only with `wal: false`: called synchronously when a memtable is sealed; gives, for each id, the mark that describes
   * exactly what all earlier applies contain. Marks are kept with the flush: newest wins for each id. Bytes are copied.
   */
  readonly collectMarks?: () => Iterable<readonly [id: number, mark: Uint8Array]>;
  /** Called once the memtable of this number, and all before it, are durable; in order. */
  readonly onDurable?: (sealSequence: number) => void;
  /** Default: the clock's `now()` for every key. */
  readonly expiry?: ExpirySource;
  /** Decides in compactions which entries stay, and with which value. Default: all, as they are. */
  readonly compactionFilter?: CompactionFilterOptions;
  /** Take the lock file in `dir`. Default true; false if the caller guards the directory. */
  readonly lock?: boolean;
}

/** Options of a single write. */
export interface WriteOptions {
  /** Default: that of the database. */
  readonly durability?: Durability;
  /** Milliseconds to live from now, above 0. Default: for ever. */
  readonly ttlMs?: number;
}

/**
 * What must be so for a write to happen, at the moment at which it happens: else it fails with `LSM_CONDITION_FAILED` and nothing is
 * written. One of the two at most. Expired entries count as absent.
 */
export interface WriteConditions {
  /** There is no entry. Default false: whether there is one does not matter. */
  readonly ifAbsent?: boolean | undefined;
  /** There is an entry, and it was made by the write with this version: see {@link FoundEntry.version}. 0: there is none. */
  readonly ifVersion?: number;
}

/** Options of `put` and `delete`. */
export interface ConditionalWriteOptions extends WriteOptions, WriteConditions {}

/** One operation of {@link Lsm.batch}, in the keyspace that it names; `check` writes nothing. Conditions are about what was there before the batch. */
export type BatchOperation = { readonly keyspace?: string | { readonly name: string } | undefined } & (
  | ({ readonly type: 'put'; readonly key: Bytes; readonly value: Bytes; readonly ttlMs?: number } & WriteConditions)
  | ({ readonly type: 'delete'; readonly key: Bytes } & WriteConditions)
  | ({ readonly type: 'check'; readonly key: Bytes } & WriteConditions)
  | ({ readonly type: 'deleteRange' } & KeyBounds)
);

/**
 * A consistent view of the database at one moment. Close it: it keeps old versions from being reclaimed. One that is garbage-collected
 * without having been closed is let go then, and reported: `lsm.snapshot_leaked`.
 */
export interface Snapshot {
  /** Everything up to this sequence number is in it. */
  readonly seq: number;
  close(): void;
  [Symbol.dispose](): void;
}

/** Options of a read. */
export interface ReadOptions {
  readonly snapshot?: Snapshot | undefined;
}

/** A range of keys. `prefix` and bounds together mean both; `gte` beats `gt`, `lte` beats `lt`. */
export interface KeyBounds {
  readonly gte?: Bytes | undefined;
  readonly gt?: Bytes | undefined;
  readonly lte?: Bytes | undefined;
  readonly lt?: Bytes | undefined;
  readonly prefix?: Bytes | undefined;
}

/** What a scan covers. */
export interface RangeOptions extends ReadOptions, KeyBounds {
  /** From the largest key to the smallest. Default false. */
  readonly reverse?: boolean | undefined;
}

/** {@link RangeOptions} and what a cursor shows. */
export interface CursorOptions extends RangeOptions {
  /**
   * Also show entries that have expired but are still there, for callers that judge expiry themselves by
   * {@link Cursor.expiresAtMs}: the time of the read then need not move while they walk. Default false.
   */
  readonly showExpired?: boolean | undefined;
  /** Open the cursor on no entry, for callers that seek at once: saves the first blocks of all tables. Default false. */
  readonly unpositioned?: boolean | undefined;
}

/** {@link RangeOptions} and how many entries at most (default and -1: all). */
export interface ScanOptions extends RangeOptions {
  readonly limit?: number | undefined;
}

/**
 * A position in a range of the database as it was when the cursor was opened. Opened on the first entry in its
 * direction (the last of the range if `reverse`), or `unpositioned`. Close it: it holds tables and memory.
 */
export interface Cursor {
  /** False past either end. Everything but moving and closing needs it to be true. */
  readonly valid: boolean;
  /** Key of the current entry; stays valid, must not be changed. Not shared memory. */
  readonly key: Uint8Array;
  /** Value of the current entry; stays valid, must not be changed. Not shared memory. */
  readonly value: Uint8Array;
  /** Absolute expiry in milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** As {@link FoundEntry.version}. */
  readonly version: number;
  /** Moves on in the cursor's direction. */
  next(): void;
  /** Moves against the cursor's direction. */
  previous(): void;
  /**
   * Moves to the first entry at or after `key` in the cursor's direction, within its range.
   * @param end where the range ends until the cursor is next positioned by `seek`, `first` or `last`: neither it nor what lies behind it in
   * the cursor's direction is found. Must not be changed meanwhile. A seek that finds nothing before its end costs less than one that has to
   * show what is there. Default: the end of the range.
   */
  seek(key: Uint8Array, end?: Uint8Array): void;
  /** Moves to the first entry in the cursor's direction. */
  first(): void;
  /** Moves to the last entry in the cursor's direction. */
  last(): void;
  /** Releases what it holds; again does nothing. */
  close(): void;
}

/** What {@link Lsm.getEntry} finds. */
export interface FoundEntry {
  /** Must not be changed. Not shared memory. */
  readonly value: Uint8Array;
  /** Absolute expiry in milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /**
   * Sequence number of the write that made the entry: no other write has it, unless a crash lost this one. Stays with the entry,
   * whatever happens to it on disk; what a later put of the same value makes is another entry.
   */
  readonly version: number;
}

/** One level in {@link LsmStats}. */
export interface LevelStats {
  readonly level: number;
  readonly tables: number;
  readonly bytes: number;
  /** Bytes it should hold at most; 0: it is to be empty; infinite for L0, which counts tables, and for the last level. */
  readonly targetBytes: number;
  /** How full it is: from 1 on it is compacted. */
  readonly score: number;
}

/** What {@link Lsm.stats} tells. Counts are since open. */
export interface LsmStats {
  /** Bytes used in the active memtable. */
  readonly memtableBytes: number;
  readonly memtableEntries: number;
  /** Sealed memtables that wait for their flush, and their bytes. */
  readonly sealedMemtables: number;
  readonly sealedBytes: number;
  readonly levels: readonly LevelStats[];
  /** The level that L0 is compacted into. */
  readonly baseLevel: number;
  /** Bytes of all tables. */
  readonly tableBytes: number;
  /** About how many bytes compactions have to write until all levels meet their targets. */
  readonly pendingCompactionBytes: number;
  /** Bytes of all tables over those of the deepest level in use: about how much more space is used than settled data needs. */
  readonly spaceAmplification: number;
  /** Memory that indexes and filters of the open tables take, beside the block cache. */
  readonly pinnedBytes: number;
  readonly cache: { readonly hits: number; readonly misses: number; readonly bytes: number };
  /** Bytes of keys and values that callers wrote. */
  readonly writtenBytes: number;
  readonly flushes: number;
  readonly flushedBytes: number;
  readonly compactions: number;
  readonly compactionReadBytes: number;
  readonly compactionWrittenBytes: number;
  /** (flushed + compacted) / flushed; 1 before any compaction, 0 before any flush. The log is not counted. */
  readonly writeAmplification: number;
  /** Compactions that only moved tables to another level, and tables that just went because all in them had expired. */
  readonly movedTables: number;
  readonly droppedTables: number;
  /** What writers wait for now, if they do. */
  readonly stalled: 'memtables' | 'l0' | 'ingest' | undefined;
  /** How often writers had to wait, and for how long in all. */
  readonly stalls: number;
  readonly stalledMs: number;
  readonly snapshots: number;
  /** Deletes of ranges whose space has not all come back yet. */
  readonly rangeTombstones: number;
  /** How long the oldest open snapshot has been open; 0 if none is. */
  readonly oldestSnapshotMs: number;
  readonly lastSequence: number;
  /** What keeps flushes or compactions from getting on, if anything. */
  readonly backgroundError: LsmError | undefined;
}

/** Settings of a keyspace, kept in the database; what is left out is as the database has it. */
export interface KeyspaceSettings {
  /** Of its tables below L0, from their next compaction on. */
  readonly compression?: Compression;
  /** Size of data blocks of its tables below L0, in bytes. */
  readonly blockBytes?: number;
  /** Bits of bloom filter for each key of its tables below L0; 0: no filter. */
  readonly bloomBitsPerKey?: number;
  /** Milliseconds to live of what is written to it without a `ttlMs` of its own. Default: for ever. */
  readonly ttlMs?: number;
}

/** Options of {@link Lsm.openKeyspace}. */
export interface KeyspaceOptions extends KeyspaceSettings {
  /** Default true; else `LSM_UNKNOWN_KEYSPACE`. */
  readonly createIfMissing?: boolean;
}

/** Options of {@link Lsm.ingest}. */
export interface IngestOptions {
  /**
   * The level that the tables are to be in, 0 to 6; `LSM_TABLES_OVERLAP` if older entries in their range are there or above. Default:
   * for each table the lowest level it can be in.
   */
  readonly level?: number;
  /** A range that is emptied in the same moment: the tables take the place of all that was there. */
  readonly replace?: KeyBounds;
  /** Only with `wal: false`: marks that become durable in the same moment. */
  readonly marks?: Iterable<readonly [id: number, mark: Uint8Array]>;
  /** Read and check every block first. Default false: index, filter and properties are checked now, blocks when they are read. */
  readonly verify?: boolean;
}

/** What {@link Lsm.ingest} did. */
export interface IngestReport {
  /** Sequence number of all entries. */
  readonly sequence: number;
  readonly tables: number;
  readonly entries: number;
  readonly bytes: number;
  /** How many tables went to each level. */
  readonly levels: readonly number[];
}

/** Options of {@link Lsm.exportTables}. */
export interface ExportOptions extends KeyBounds, ReadOptions {
  /** Size of a table, about, in bytes. Default: that of the database. */
  readonly tableBytes?: number;
}

/** One table that was exported. */
export interface ExportedTable {
  readonly path: string;
  readonly entries: number;
  readonly bytes: number;
  readonly smallestKey: Uint8Array;
  readonly largestKey: Uint8Array;
}

/** What {@link Lsm.exportTables} wrote. */
export interface ExportReport {
  /** The tables hold what a reader at this sequence number sees. */
  readonly sequence: number;
  readonly entries: number;
  readonly bytes: number;
  /** In key order, disjoint. */
  readonly tables: readonly ExportedTable[];
}

/** What {@link Lsm.verify} found. */
export interface VerifyReport {
  readonly tables: number;
  readonly entries: number;
  readonly bytes: number;
  /** Empty if all is well; each names file and offset. */
  readonly problems: readonly LsmError[];
}
