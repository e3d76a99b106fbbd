// Background tasks as plain data: what a flush or a compaction needs to know, and what it answers. Nothing here holds
// a function or a handle, so that a task can be posted to another thread as it is.
import type { Compression } from 'nori-io';
import type { CompactionFilterSpec } from './compaction-filter.js';
import type { RangeTombstone } from './range-tombstones.js';
import type { TableMeta } from './table-meta.js';

/** Settings of the tables to write. */
export interface TableSettings {
  readonly blockBytes: number;
  readonly bloomBitsPerKey: number;
  /** Default `none`. */
  readonly compression?: Compression;
}

/** Up to when expired entries may be dropped: for all keys, or by 2-byte key prefix. */
export type ExpiryHorizon = number | Float64Array;

/** What every task carries. */
export interface TaskSettings {
  readonly dir: string;
  readonly tables: TableSettings;
  /** Keys are stored so that there can be keyspaces, see key-map.ts. */
  readonly hasMappedKeys: boolean;
  /** Sequence numbers of the open snapshots, ascending. */
  readonly snapshots: readonly number[];
  readonly horizon: ExpiryHorizon;
  /** Range tombstones that may hide entries of the input. */
  readonly ranges: readonly RangeTombstone[];
  /** All range tombstones up to this sequence number were looked at. */
  readonly rangesSeq: number;
  /** One shared word: not 0 asks the task to stop with `LSM_CANCELLED`. */
  readonly cancel: Int32Array;
  /** Written bytes are synced in steps of so many, so that no sync is long; absent: at the end of each table. */
  readonly syncStepBytes?: number;
}

/** Writes one sealed memtable as one table of L0. */
export interface FlushTask extends TaskSettings {
  readonly kind: 'flush';
  /** Shares of the time by `PACED`, in percent; absent: all of it. */
  readonly shares?: Int32Array;
  /** The memtable's arena. */
  readonly arena: SharedArrayBuffer;
  readonly number: number;
}

/** A table to read. */
export interface TaskInput {
  readonly number: number;
  /** See {@link TableMeta}. */
  readonly sequence: number;
  /** Inputs of one run are disjoint and in key order, so they are read one after the other; -1: a run of its own. */
  readonly run: number;
}

/** Merges tables into new ones for one level. */
export interface CompactTask extends TaskSettings {
  readonly kind: 'compact';
  readonly inputs: readonly TaskInput[];
  readonly outputLevel: number;
  /** Numbers the outputs may take, from here on, and how many. */
  readonly firstNumber: number;
  readonly numbers: number;
  /** Tables are about so large: a little smaller or larger, where a cut is better placed. */
  readonly tableBytes: number;
  /** Keys after which to cut, if the table is large enough, ascending: the ends of tables below. */
  readonly cuts?: readonly Uint8Array[];
  /** Settings of the keyspaces whose tables differ: each keyspace then has tables of its own. */
  readonly keyspaces: readonly (readonly [id: number, tables: TableSettings])[];
  /** Absent: all entries stay as they are. */
  readonly filter?: CompactionFilterSpec & { readonly keyspaces: ReadonlyMap<number, string> };
  /** How many bytes to write a second at most; absent: no bound. */
  readonly bytesPerSecond?: number;
  /** Shares of the time by `PACED`, in percent; absent: all of it. */
  readonly shares?: Int32Array;
  /** One shared word: not 0 lifts `bytesPerSecond`, because writers wait. */
  readonly hurry?: Int32Array;
  /** Key ranges of the tables that may hold older versions and overlap the inputs: smallest, largest, in any order. */
  readonly deeper: readonly (readonly [Uint8Array, Uint8Array])[];
}

/** Writes what a reader sees of a range of keys as tables of another directory. */
export interface ExportTask extends TaskSettings {
  readonly kind: 'export';
  readonly inputs: readonly TaskInput[];
  /** Holds the new tables, numbered from `firstNumber` on. */
  readonly outputDir: string;
  readonly firstNumber: number;
  /** Numbers of the keyspaces that the keys are of (see `keyMapOf`), and in whose form they are written. */
  readonly fromKeys: number;
  readonly toKeys: number;
  /** Also write tombstones. */
  readonly withTombstones: boolean;
  /** First key. */
  readonly lower: Uint8Array;
  /** The key behind the last; undefined: there is no end. */
  readonly upper: Uint8Array | undefined;
  /** The reader's sequence number. */
  readonly seq: number;
  /** Tables are about so large. */
  readonly tableBytes: number;
}

export type Task = FlushTask | CompactTask | ExportTask;

/** What a task wrote: tables in key order, durable but for their names. None if nothing was left. */
export interface TaskResult {
  readonly tables: readonly TableMeta[];
  readonly bytesRead: number;
  readonly bytesWritten: number;
}
