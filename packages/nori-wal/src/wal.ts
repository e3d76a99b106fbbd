// A segmented, append-only write-ahead log. The format is in docs/formats/wal.md, what it promises in SPEC.md.
//
//   open ─► lock ─► inspect (reads only, may refuse) ─► repair ─► ready ─► close
//
// One process, one `Wal` per directory. All methods may be called at any time and concurrently.
import { type DirectoryLock, type FileSystem, syncParents } from 'nori-io';
import { cutPlace } from './log-cut.js';
import { type ReadSource, readBatches, readRecords, type WalRecord } from './log-reader.js';
import { LogWriter } from './log-writer.js';
import type { RecordParts } from './record-compression.js';
import { failureOf, guardedSink } from './record-sink.js';
import { type Inspection, inspect, repair } from './recovery.js';
import type { RecoveryCut } from './segment-scan.js';
import { SegmentStore } from './segment-store.js';
import { asWalError, invalidPosition, WalError } from './wal-error.js';
import { WalMetrics } from './wal-metrics.js';
import { type Durability, type ResolvedWalOptions, resolveOptions, type WalOptions } from './wal-options.js';

/** Position of a record: bytes since the log was born, strictly increasing, below 2^53. */
export type WalPosition = number;

/** What was found when the log was opened. */
export interface WalRecovery {
  readonly segments: number;
  readonly records: number;
  /** Payload bytes of these records. */
  readonly bytes: number;
  readonly start: WalPosition;
  readonly end: WalPosition;
  /** What was cut off the end because it had never been acknowledged as durable; undefined if nothing was. */
  readonly cut?: RecoveryCut;
}

/** State of a log. */
export interface WalStats {
  readonly segments: number;
  /** Bytes of the segments. */
  readonly bytes: number;
  /** Bytes allocated behind the end of the last segment. */
  readonly preallocatedBytes: number;
  /** Files of dropped segments that are kept for new ones, and their bytes. */
  readonly spareSegments: number;
  readonly spareBytes: number;
  readonly start: WalPosition;
  readonly end: WalPosition;
  /** Everything before this position is durable. */
  readonly synced: WalPosition;
  /** Bytes appended and not yet acknowledged. */
  readonly pendingBytes: number;
  /** Write groups since the log was opened. */
  readonly groups: number;
  readonly poisoned: boolean;
}

/** Options of an append. */
export interface AppendOptions {
  /** Default: as the log's `fsync` policy says. */
  readonly durability?: Durability;
}

/** See the top of this file. */
export class Wal {
  /** What was found when the log was opened. */
  readonly recovery: WalRecovery;
  readonly #options: ResolvedWalOptions;
  readonly #source: ReadSource;
  readonly #lock: DirectoryLock | undefined;
  readonly #store: SegmentStore;
  readonly #writer: LogWriter;
  readonly #metrics: WalMetrics;
  #truncating: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  private constructor(
    options: ResolvedWalOptions,
    lock: DirectoryLock | undefined,
    store: SegmentStore,
    found: Inspection,
  ) {
    this.#options = options;
    this.#source = { fs: options.fs, store, recordBytesMax: options.recordBytesMax };
    this.#lock = lock;
    this.#store = store;
    this.#metrics = new WalMetrics(options.meter, options.clock, options.slowSyncMs);
    store.observer = {
      began: (id, recycled) => this.#metrics.rotated(id, store.segments.length, recycled),
      preallocated: (bytes) => this.#metrics.preallocated(bytes),
    };
    this.#writer = new LogWriter(store, options, this.#metrics);
    const { records, bytes, cut } = found;
    const recovery = { segments: found.segments.length, records, bytes, start: this.start, end: this.end };
    this.recovery = Object.freeze(cut ? { ...recovery, cut } : recovery);
    this.#metrics.recovered(recovery.segments, records, cut?.bytes ?? 0);
  }

  /**
   * Opens the log in `options.dir`, and repairs a torn tail. When it refuses, nothing on disk has been changed.
   * @throws WalError `WAL_LOCKED`, `WAL_NOT_A_LOG`, `WAL_UNSUPPORTED_VERSION`, `WAL_CORRUPT_RECORD`, `WAL_CORRUPT_HEADER`,
   * `WAL_MISSING_SEGMENT`, `WAL_NO_SPACE`, `WAL_INVALID_OPTION`, `WAL_UNSUPPORTED_COMPRESSION`, `WAL_IO_FAILED`
   */
  static async open(options: WalOptions): Promise<Wal> {
    const resolved = resolveOptions(options);
    try {
      await makeDirectory(resolved.fs, resolved.dir);
      const lock = resolved.lock ? await resolved.fs.lock(`${resolved.dir}/LOCK`) : undefined;
      try {
        const { recordBytesMax, onRecordsFrom: sinkFrom } = resolved;
        const sink = resolved.onRecords && guardedSink(resolved.onRecords);
        const found = await inspect(resolved.fs, resolved.dir, { recordBytesMax, sink, sinkFrom });
        if (found.segments.length === 0) await syncParents(resolved.fs, resolved.dir);
        const { appendable } = await repair(resolved.fs, resolved.dir, found);
        return new Wal(resolved, lock, new SegmentStore(resolved, found.segments, appendable), found);
      } catch (error) {
        await lock?.release();
        throw error;
      }
    } catch (error) {
      throw failureOf(error);
    }
  }

  /** Position of the log's beginning: nothing before it is kept. */
  get start(): WalPosition {
    return this.#store.start;
  }

  /** Position behind the last record that readers see. */
  get end(): WalPosition {
    return this.#writer.visibleEnd;
  }

  /**
   * Appends one record, given whole or in parts; resolves to its position when it is as durable as asked. The bytes must not be
   * changed until then. Records become readable, and survive, in the order of the calls.
   * @throws WalError `WAL_RECORD_TOO_LARGE`, `WAL_NO_SPACE` (nothing was appended; try again later), `WAL_POISONED`, `WAL_CLOSED`
   */
  append(record: RecordParts, options?: AppendOptions): Promise<WalPosition> {
    if (this.#closing) return Promise.reject(closed());
    return this.#writer.append(record, options?.durability ?? this.#options.durability);
  }

  /** As {@link append}, for several records of which all or none survive a crash. Resolves to their positions. */
  appendBatch(records: readonly RecordParts[], options?: AppendOptions): Promise<WalPosition[]> {
    if (this.#closing) return Promise.reject(closed());
    return this.#writer.appendBatch(records, options?.durability ?? this.#options.durability);
  }

  /** Resolves when everything appended before is durable. @throws WalError `WAL_POISONED`, `WAL_CLOSED` */
  sync(): Promise<void> {
    return this.#closing ? Promise.reject(closed()) : this.#writer.sync();
  }

  /**
   * The records from `position` (of a record, or `next` of one; one before {@link start} means the start) up to the end
   * as it is when the iteration begins. Each `data` is the caller's to keep.
   * Any number of readers may be under way while the log is written and truncated.
   * @throws WalError `WAL_INVALID_POSITION`, `WAL_TRUNCATED` (what was to be read next was dropped meanwhile), `WAL_CORRUPT_RECORD`,
   * `WAL_UNSUPPORTED_COMPRESSION`, `WAL_IO_FAILED`, `WAL_CLOSED`
   */
  async *readFrom(position: WalPosition): AsyncGenerator<WalRecord, void, undefined> {
    this.#checkReadable(position);
    yield* readRecords(this.#source, position, this.end);
  }

  /** As {@link readFrom}, but many records at a time: several times as fast for small ones. */
  async *readBatches(position: WalPosition): AsyncGenerator<WalRecord[], void, undefined> {
    this.#checkReadable(position);
    yield* readBatches(this.#source, position, this.end);
  }

  /**
   * Drops the segments that lie wholly below `position`. The last segment is always kept.
   * @throws WalError `WAL_IO_FAILED` (try again), `WAL_CLOSED`
   */
  truncateBefore(position: WalPosition): Promise<void> {
    if (this.#closing) return Promise.reject(closed());
    const done = this.#truncating.then(() => this.#removeBefore(position));
    this.#truncating = done.catch(() => undefined);
    return done;
  }

  /**
   * Drops every record from `position` on (of a record, or `next` of one; one before {@link start} means the start), durably. What
   * was appended before the call is settled first, what is appended after it goes behind the cut. Positions of what was
   * dropped are never used again. A crash leaves the log as it was before or as it is after.
   * @throws WalError `WAL_INVALID_POSITION`, `WAL_TRUNCATED` (dropped already), `WAL_NO_SPACE` (nothing was dropped; try again),
   * `WAL_POISONED`, `WAL_CLOSED`
   */
  truncateAfter(position: WalPosition): Promise<void> {
    if (this.#closing) return Promise.reject(closed());
    return this.#writer.alone(() => {
      const done = this.#truncating.then(() => this.#cutAt(position));
      this.#truncating = done.catch(() => undefined);
      return done;
    });
  }

  stats(): WalStats {
    let bytes = 0;
    for (const segment of this.#store.segments) bytes += segment.endOffset;
    return {
      segments: this.#store.segments.length,
      bytes,
      preallocatedBytes: this.#store.preallocatedBytes,
      spareSegments: this.#store.spares.count,
      spareBytes: this.#store.spares.bytes,
      start: this.start,
      end: this.end,
      synced: this.#store.synced,
      pendingBytes: this.#writer.pendingBytes,
      groups: this.#writer.groups,
      poisoned: this.#writer.failure !== undefined,
    };
  }

  /** Makes everything appended durable, closes the files, gives up the lock, in this order. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    try {
      await this.#writer.finish();
      await this.#truncating;
      await this.#store.close();
    } catch (error) {
      throw asWalError(error);
    } finally {
      await this.#lock?.release();
    }
  }

  async #removeBefore(position: WalPosition): Promise<void> {
    try {
      const removed = await this.#store.removeBefore(position);
      this.#metrics.removed(removed, this.#store.segments.length);
    } catch (error) {
      throw asWalError(error);
    }
  }

  async #cutAt(position: WalPosition): Promise<void> {
    const { fs, store, recordBytesMax } = this.#source;
    const place = await cutPlace(fs, store.segments, position, recordBytesMax);
    if (!place) return;
    const endBefore = store.end;
    await store.cut(place.index, place.offset, this.#options.clock.now());
    this.#metrics.cut(position, endBefore - position, store.segments.length);
  }

  #checkReadable(position: WalPosition): void {
    if (this.#closing) throw closed();
    if (!(position >= 0 && position <= this.end)) throw invalidPosition(position, `the log ends at ${this.end}`);
  }
}

async function makeDirectory(fs: FileSystem, dir: string): Promise<void> {
  const found = await fs.stat(dir);
  if (found?.kind === 'directory') return;
  if (!found) return fs.mkdir(dir);
  throw new WalError('WAL_NOT_A_LOG', `${dir} is not a directory. Choose another place for the log`, { file: dir });
}

function closed(): WalError {
  return new WalError('WAL_CLOSED', 'The log is closed. Open it again');
}
