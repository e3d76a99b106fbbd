// Options of a log, their defaults and their check.
import { type Clock, type Compression, type FileSystem, nodeFileSystem, systemClock } from 'nori-io';
import { type Meter, noopMeter } from 'nori-observe';
import type { WalRecord } from './log-reader.js';
import { writingCodec } from './record-compression.js';
import { HEADER_BYTES } from './segment-format.js';
import { WalError } from './wal-error.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * When an append is acknowledged.
 * - `sync`: after a data sync that is started at once
 * - `batch`: after a data sync, shared with whatever else is appended meanwhile
 * - `os`: once the operating system has it; survives a crash of the process, not of the machine
 */
export type Durability = 'sync' | 'batch' | 'os';

/** The durability of appends that do not choose their own: `always` stands for `sync`. */
export type FsyncPolicy = 'always' | 'batch' | 'os';

/** Options of `Wal.open`. */
export interface WalOptions {
  /** The log's directory, for it alone; created if missing. */
  readonly dir: string;
  /** Default: the real one. */
  readonly fs?: FileSystem;
  /** Default: the real one. */
  readonly clock?: Clock;
  /** Default: none. */
  readonly meter?: Meter;
  /** A segment that would grow beyond this many bytes is followed by a new one. Default 128 MiB, at least 4 KiB. */
  readonly segmentBytesMax?: number;
  /** Default `batch`. */
  readonly fsync?: FsyncPolicy;
  /** Largest record, and largest sum of the records of a batch, in bytes. Default 64 MiB. */
  readonly recordBytesMax?: number;
  /** Bytes appended and not yet written above which further appends wait. Default 16 MiB. */
  readonly stagingBytesMax?: number;
  /**
   * How records are compressed, one by one, on the calling thread: `none` (default), `lz4`, `deflate`, or `zstd` where the runtime
   * has it. A log may hold records of all kinds; what saves less than an eighth is stored as it is.
   */
  readonly compression?: Compression;
  /**
   * Most bytes of zeros that are written ahead of the records, so that data syncs of small groups are cheap. Default 256 KiB;
   * 0 for none. Never beyond `segmentBytesMax`, and given up when the disk is full.
   */
  readonly preallocateBytes?: number;
  /** Most files of dropped segments to keep for new ones while the log is open. Default 1; 0 for none. */
  readonly spareSegmentsMax?: number;
  /** How long what was appended with durability `os` may stay unsynced, in milliseconds. Default 200. */
  readonly syncIntervalMs?: number;
  /**
   * When so many bytes are written and not synced (of appends with durability `os`), a data sync is begun that goes on beside further
   * writes, lest all of it be waited for when the segment is full. Default 4 MiB.
   */
  readonly syncBehindBytes?: number;
  /** Data syncs that take longer than this are reported as `wal.slow_sync` events, in milliseconds. Default 250. */
  readonly slowSyncMs?: number;
  /**
   * Gets the records that the log holds while it is opened, so that they need not be read a second time: in order, many at a time,
   * each once it is certain to be kept. What it returns is waited for; what it throws makes `open` fail. If `open` refuses the
   * log in the end, what was handed over is to be forgotten.
   */
  readonly onRecords?: (records: WalRecord[]) => void | Promise<void>;
  /** Position of the first record that {@link WalOptions.onRecords} gets. Default: the log's beginning. */
  readonly onRecordsFrom?: number;
  /** Whether to take the file `LOCK` in the directory. Default true; false if the caller holds a lock of its own. */
  readonly lock?: boolean;
}

/** Options with every default filled in. */
export type ResolvedWalOptions = Readonly<Required<Omit<WalOptions, 'fsync' | 'onRecords'>>> & {
  readonly onRecords: WalOptions['onRecords'] | undefined;
  readonly durability: Durability;
};

const DURABILITIES: Readonly<Record<FsyncPolicy, Durability>> = { always: 'sync', batch: 'batch', os: 'os' };

const COMPRESSIONS: readonly Compression[] = ['none', 'lz4', 'deflate', 'zstd'];

/** Checks options and fills in the defaults. @throws WalError `WAL_INVALID_OPTION`, `WAL_UNSUPPORTED_COMPRESSION` */
export function resolveOptions(options: WalOptions): ResolvedWalOptions {
  const resolved = {
    dir: options.dir,
    fs: options.fs ?? nodeFileSystem,
    clock: options.clock ?? systemClock,
    meter: options.meter ?? noopMeter,
    segmentBytesMax: options.segmentBytesMax ?? 128 * MIB,
    durability: DURABILITIES[options.fsync ?? 'batch'],
    recordBytesMax: options.recordBytesMax ?? 64 * MIB,
    stagingBytesMax: options.stagingBytesMax ?? 16 * MIB,
    compression: options.compression ?? 'none',
    preallocateBytes: options.preallocateBytes ?? 256 * KIB,
    spareSegmentsMax: options.spareSegmentsMax ?? 1,
    syncIntervalMs: options.syncIntervalMs ?? 200,
    syncBehindBytes: options.syncBehindBytes ?? 4 * MIB,
    slowSyncMs: options.slowSyncMs ?? 250,
    onRecords: options.onRecords,
    onRecordsFrom: options.onRecordsFrom ?? 0,
    lock: options.lock ?? true,
  };
  if (typeof resolved.dir !== 'string' || resolved.dir === '') refuse('dir must be a path');
  if (resolved.durability === undefined) refuse('fsync must be "always", "batch" or "os"');
  checkRange('segmentBytesMax', resolved.segmentBytesMax, 4 * KIB, 2 ** 40);
  checkRange('recordBytesMax', resolved.recordBytesMax, 1, 2 ** 30);
  checkRange('stagingBytesMax', resolved.stagingBytesMax, HEADER_BYTES, 2 ** 40);
  checkRange('preallocateBytes', resolved.preallocateBytes, 0, 2 ** 30);
  checkRange('spareSegmentsMax', resolved.spareSegmentsMax, 0, 64);
  checkRange('syncIntervalMs', resolved.syncIntervalMs, 1, 2 ** 31 - 1);
  checkRange('syncBehindBytes', resolved.syncBehindBytes, 1, 2 ** 40);
  checkRange('slowSyncMs', resolved.slowSyncMs, 0, 2 ** 31 - 1);
  if (!COMPRESSIONS.includes(resolved.compression)) refuse(`compression must be one of ${COMPRESSIONS.join(', ')}`);
  writingCodec(resolved.compression);
  return Object.freeze(resolved);
}

function checkRange(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    refuse(`${name} must be an integer from ${min} to ${max}, not ${value}`);
  }
}

function refuse(what: string): never {
  throw new WalError('WAL_INVALID_OPTION', `Cannot open the log: ${what}`);
}
