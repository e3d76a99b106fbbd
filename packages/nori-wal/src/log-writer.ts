// Group commit. Appends are staged into the last group of a queue; one group at a time is written and, if any of its appends asks
// for it, synced. Whatever arrives meanwhile is the next group. No timers: an idle log begins to write at the end of the
// current turn (for `sync`: of the current microtasks), a busy one as soon as it can.
//
//   append ─► [too much pending? wait in line] ─► stage into the last group ─► queue ─► write ─► datasync ─► acknowledge
//
// What must happen with no append under way, as a cut, waits in the same line, and lets nobody pass until it is done.
//
// A group that fails for lack of space leaves no trace, and its successors are tried all the same. Any other failure, and
// every failed sync, poisons the log for good.
import type { Clock, Codec, TimerHandle } from 'nori-io';
import { type RecordParts, writingCodec } from './record-compression.js';
import { BATCH_CONTINUES, BATCH_ENDS, KIND_DATA, MARKER_BYTES, RECORD_OVERHEAD_MAX } from './record-format.js';
import { HEADER_BYTES } from './segment-format.js';
import type { SegmentStore } from './segment-store.js';
import { StagingPool } from './staging-pool.js';
import { asWalError, WalError } from './wal-error.js';
import type { WalMetrics } from './wal-metrics.js';
import type { Durability, ResolvedWalOptions } from './wal-options.js';
import { recordBytes, WriteGroup } from './write-group.js';

/**
 * Microtasks between the end of a group and the start of the next. They let callers whose appends were just acknowledged join
 * with their next ones. Measured with closed-loop callers and 1 KiB records: 64 callers 99,000/s without, 140,000/s with;
 * 256 callers 190,000/s and 249,000/s; one caller alike. A full turn of the event loop in its place gains nothing more.
 */
const GATHER_MICROTASKS = 8;

/**
 * Synced groups up to this size have room made ahead of them. Larger ones gain less from it than the zeros cost: they make the
 * disk write everything twice. Measured on ext4 (2 busy cores, Node 20), room of 256 KiB against none: one caller 6,200/s and
 * 4,250/s; 64 callers with records of 120 bytes 390,000/s and 235,000/s; 64 with 1 KiB 190,000/s and 170,000/s, at half the
 * system time; 1,000 with 1 KiB alike, since their groups get none. Room of 1 or 4 MiB is no better.
 */
const PREALLOCATED_GROUP_BYTES_MAX = 128 * 1024;

/** An append that waits for room, or a task that waits until nothing is under way. */
interface Waiting {
  readonly bytes: number;
  readonly exclusive: boolean;
  start(): void;
  reject(error: unknown): void;
}

/** See the top of this file. */
export class LogWriter {
  readonly #store: SegmentStore;
  readonly #options: ResolvedWalOptions;
  readonly #clock: Clock;
  readonly #metrics: WalMetrics;
  readonly #codec: Codec | undefined;
  readonly #pool = new StagingPool();
  /** Groups not yet begun to be written; appends go to the last one. */
  readonly #queue: WriteGroup[] = [];
  readonly #waiting: Waiting[] = [];
  /** An exclusive task is under way. */
  #exclusive = false;
  /** Bytes staged and not yet settled. */
  #pendingBytes = 0;
  /** The segment that the last group of the queue goes to, and the file offset at which it begins there, if none fails. */
  #plannedId: number;
  #plannedOffset: number;
  #running = false;
  #turnRequested = false;
  #syncTimer: TimerHandle | undefined;
  #isSyncingBehind = false;
  #closing = false;
  #failure: WalError | undefined;
  /** Resolved when the writer has nothing to do. */
  #idle: Promise<void> = Promise.resolve();
  #groups = 0;
  /** Position up to which readers may read: everything acknowledged. */
  visibleEnd: number;

  constructor(store: SegmentStore, options: ResolvedWalOptions, metrics: WalMetrics) {
    this.#store = store;
    this.#options = options;
    this.#clock = options.clock;
    this.#metrics = metrics;
    this.#codec = writingCodec(options.compression);
    this.#plannedId = store.writableId;
    this.#plannedOffset = store.writeOffset;
    this.visibleEnd = store.end;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get groups(): number {
    return this.#groups;
  }

  /** Why the log can no longer be written. */
  get failure(): WalError | undefined {
    return this.#failure;
  }

  /** Appends one record; resolves to its position as `durability` promises. */
  append(record: RecordParts, durability: Durability): Promise<number> {
    if (this.#failure) return Promise.reject(this.#poisoned());
    const bytes = recordBytes(record);
    if (bytes > this.#options.recordBytesMax) return Promise.reject(this.#tooLarge('record', bytes));
    if (this.#isFull(bytes)) return this.#wait(bytes, false, () => this.#appendNow(record, bytes, durability));
    return this.#appendNow(record, bytes, durability);
  }

  /** Appends records of which all or none survive. */
  appendBatch(records: readonly RecordParts[], durability: Durability): Promise<number[]> {
    if (this.#failure) return Promise.reject(this.#poisoned());
    if (records.length === 0) return Promise.resolve([]);
    let bytes = 0;
    for (const record of records) bytes += recordBytes(record);
    if (bytes > this.#options.recordBytesMax) return Promise.reject(this.#tooLarge('batch', bytes));
    if (this.#isFull(bytes)) return this.#wait(bytes, false, () => this.#appendBatchNow(records, bytes, durability));
    return this.#appendBatchNow(records, bytes, durability);
  }

  /** Resolves when everything appended before is durable. */
  sync(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#poisoned());
    const mustWait = this.#waiting.length > 0 || this.#exclusive;
    return mustWait ? this.#wait(0, false, () => this.#syncNow()) : this.#syncNow();
  }

  /**
   * Runs `task` when everything appended before is settled; what is appended after the call waits until it is done. A failure of
   * it that is no WalError poisons the log.
   */
  alone<T>(task: () => Promise<T>): Promise<T> {
    if (this.#failure) return Promise.reject(this.#poisoned());
    const done = this.#wait(0, true, () => this.#runAlone(task));
    this.#admit();
    return done;
  }

  /** Waits for everything appended, then writes a marker that states that all of it is synced. Never rejects. */
  async finish(): Promise<void> {
    this.#closing = true;
    this.#syncTimer?.cancel();
    try {
      await this.sync();
      if (this.#groups > 0) {
        const group = this.#groupFor(0);
        group.closing = true;
        const synced = group.whenSynced();
        this.#request('sync');
        await synced;
      }
    } catch {
      // Those who appended have been told; recovery does without the marker.
    }
    await this.#idle;
  }

  #appendNow(record: RecordParts, bytes: number, durability: Durability): Promise<number> {
    const group = this.#groupFor(bytes + RECORD_OVERHEAD_MAX);
    const relative = group.add(record, bytes, KIND_DATA);
    return this.#staged(group, relative, durability).then(() => group.position + relative);
  }

  async #runAlone<T>(task: () => Promise<T>): Promise<T> {
    this.#exclusive = true;
    try {
      const result = await task();
      // What goes on beside may have failed.
      if (this.#failure) throw this.#poisoned();
      return result;
    } catch (error) {
      if (!(error instanceof WalError)) this.#poison(error);
      throw this.#failure ? this.#poisoned() : error;
    } finally {
      this.#exclusive = false;
      this.#plannedId = this.#store.writableId;
      this.#plannedOffset = this.#store.writeOffset;
      this.visibleEnd = this.#store.end;
      if (this.#failure) this.#failAll();
      else this.#admit();
    }
  }

  async #appendBatchNow(records: readonly RecordParts[], bytes: number, durability: Durability): Promise<number[]> {
    const group = this.#groupFor(bytes + records.length * RECORD_OVERHEAD_MAX);
    const last = records.length - 1;
    const positions: number[] = new Array(records.length);
    for (let index = 0; index <= last; index++) {
      const record = records[index]!;
      const flags = last === 0 ? 0 : index === last ? BATCH_ENDS : BATCH_CONTINUES;
      positions[index] = group.add(record, recordBytes(record), KIND_DATA | flags);
    }
    await this.#staged(group, positions[0]!, durability);
    for (let index = 0; index <= last; index++) positions[index]! += group.position;
    return positions;
  }

  async #syncNow(): Promise<void> {
    while (this.#queue.length > 0 || this.#running || this.#store.synced !== this.#store.end) {
      const synced = this.#groupFor(0).whenSynced();
      this.#request('sync');
      try {
        return await synced;
      } catch (error) {
        // The appends that shared the group have failed for want of space; what came before them may be durable or not.
        if (this.#failure) throw error;
        if (this.#store.synced === this.#store.end) return;
      }
    }
  }

  /** Books what was just added to a group from `relative` on, and has it written. */
  #staged(group: WriteGroup, relative: number, durability: Durability): Promise<void> {
    this.#pendingBytes += group.bytes - relative;
    const done = durability === 'os' ? group.whenWritten() : group.whenSynced();
    this.#request(durability);
    return done;
  }

  /** The group to add `bytes` to: the last one, or a new one, in a new segment if this one would get too large. */
  #groupFor(bytes: number): WriteGroup {
    const last = this.#queue.at(-1);
    const used = this.#plannedOffset + (last ? last.bytes : MARKER_BYTES);
    const fits = bytes === 0 || used + bytes <= this.#options.segmentBytesMax || used === HEADER_BYTES + MARKER_BYTES;
    if (last && fits) return last;
    if (!fits) {
      this.#plannedId += 1;
      this.#plannedOffset = HEADER_BYTES;
    }
    const group = new WriteGroup(this.#plannedId, this.#pool, this.#codec);
    this.#queue.push(group);
    return group;
  }

  #request(durability: Durability): void {
    if (this.#running) return;
    if (durability === 'sync') {
      queueMicrotask(this.#startNow);
    } else if (!this.#turnRequested) {
      this.#turnRequested = true;
      this.#clock.nextTurn(this.#startAtTurn);
    }
  }

  readonly #startNow = (): void => this.#start();

  readonly #startAtTurn = (): void => {
    this.#turnRequested = false;
    this.#start();
  };

  #start(): void {
    if (this.#running || this.#queue.length === 0) return;
    this.#running = true;
    this.#idle = this.#run();
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#queue.shift()!;
      if (this.#queue.length === 0) this.#plannedOffset += group.bytes;
      await this.#write(group);
      this.#done(group);
      if (this.#failure) this.#failAll();
      else this.#admit();
      for (let passed = 0; passed < GATHER_MICROTASKS; passed++) await undefined;
    }
    this.#running = false;
    // What waits until nothing is under way can go ahead.
    if (this.#failure) this.#failAll();
    else this.#admit();
  }

  async #write(group: WriteGroup): Promise<void> {
    const store = this.#store;
    try {
      if (this.#failure) throw this.#poisoned();
      if (group.records > 0 || group.closing) {
        if (!store.isOpen(group.segmentId)) await store.open(group.segmentId, this.#clock.now());
        group.seal(store.end, store.synced);
        await store.write(group.pieces(), group.bytes);
        this.#groups += 1;
        this.#metrics.wrote(group.records, group.bytes, group.payloadBytes);
      }
      if (group.closing) await store.trim();
      if (group.wantsSync) await this.#sync(group);
      else this.#syncLater();
      // What goes on beside may have failed.
      if (this.#failure) throw this.#poisoned();
      this.visibleEnd = store.end;
      group.settle();
      if (group.wantsSync && !group.closing && group.bytes <= PREALLOCATED_GROUP_BYTES_MAX) store.preallocate();
    } catch (error) {
      if (!(error instanceof WalError)) this.#poison(error);
      group.fail(this.#failure ? this.#poisoned() : error);
    }
  }

  async #sync(group: WriteGroup): Promise<void> {
    group.settleWritten();
    const started = this.#clock.monotonic();
    await this.#store.sync();
    this.#metrics.synced(this.#clock.monotonic() - started);
  }

  /**
   * Has what was only written synced: after a while, or at once if it is much. Measured on ext4 (2 cores, Node 20) with records of 1 KiB,
   * 1,000 in flight: 345,000/s if a segment of 128 MiB is synced when it is full, 545,000/s with 4 MiB at once, 505,000/s with 16 MiB.
   */
  #syncLater(): void {
    const { synced, end } = this.#store;
    if (synced === end || this.#closing) return;
    if (end - synced >= this.#options.syncBehindBytes) this.#syncBehind();
    this.#syncTimer ??= this.#clock.setTimer(
      this.#options.syncIntervalMs,
      () => {
        this.#syncTimer = undefined;
        this.#syncBehind();
      },
      { unref: true },
    );
  }

  #syncBehind(): void {
    if (this.#failure || this.#isSyncingBehind) return;
    this.#isSyncingBehind = true;
    const started = this.#clock.monotonic();
    this.#store.syncBehind().then(
      () => {
        this.#isSyncingBehind = false;
        this.#metrics.synced(this.#clock.monotonic() - started);
        this.#syncLater();
      },
      (error: unknown) => {
        this.#isSyncingBehind = false;
        this.#poison(error);
        if (!this.#running && !this.#exclusive) this.#failAll();
      },
    );
  }

  /** Takes a settled group off the books. */
  #done(group: WriteGroup): void {
    this.#pendingBytes -= group.bytes - MARKER_BYTES;
    group.release();
    if (this.#queue.length > 0) return;
    this.#plannedOffset = this.#plannedId === this.#store.writableId ? this.#store.writeOffset : HEADER_BYTES;
  }

  #isFull(bytes: number): boolean {
    if (this.#waiting.length > 0 || this.#exclusive) return true;
    return this.#pendingBytes > 0 && this.#pendingBytes + bytes > this.#options.stagingBytesMax;
  }

  /** Lets `start` run when its turn has come and there is room. */
  #wait<T>(bytes: number, exclusive: boolean, start: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, exclusive, start: () => void start().then(resolve, reject), reject });
    });
  }

  /** Starts those who wait, in order, as far as there is room. */
  #admit(): void {
    const { stagingBytesMax } = this.#options;
    while (this.#waiting.length > 0 && !this.#exclusive) {
      const { bytes, exclusive } = this.#waiting[0]!;
      if (exclusive && (this.#running || this.#queue.length > 0)) return;
      if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > stagingBytesMax) return;
      this.#waiting.shift()!.start();
    }
  }

  #poison(cause: unknown): void {
    if (this.#failure) return;
    const { code, file } = asWalError(cause);
    this.#failure = new WalError(
      code,
      `The log failed: ${messageOf(cause)}`,
      file === undefined ? { cause } : { cause, file },
    );
    this.#metrics.poisoned(this.#failure.message);
  }

  #failAll(): void {
    for (const group of this.#queue.splice(0)) {
      group.fail(this.#poisoned());
      this.#done(group);
    }
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#poisoned());
  }

  /** A fresh error for each caller, with the stack of the call. */
  #poisoned(): WalError {
    return new WalError(
      'WAL_POISONED',
      `The log is no longer written, because what it holds on disk is unknown. ${this.#failure?.message}. Close it, see to the disk, and open it again`,
      { cause: this.#failure },
    );
  }

  #tooLarge(what: string, bytes: number): WalError {
    return new WalError(
      'WAL_RECORD_TOO_LARGE',
      `The ${what} has ${bytes} bytes; the limit is ${this.#options.recordBytesMax} (recordBytesMax). Split it`,
    );
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
