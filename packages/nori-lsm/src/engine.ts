// Memtables and tables together: applies, looks up, opens cursors, seals, flushes, compacts. Knows nothing of a log.
//
//   active memtable ─ full: sealed ─ flushed: L0 ─ compacted: L1 … L6         reads ask them in this order
import type { BlockCache, TableEntry } from 'nori-sstable';
import { ArenaPool } from './arena-pool.js';
import { Background } from './background.js';
import { compareKeys, compareRange } from './bytes.js';
import { Compactor } from './compactor.js';
import { CursorHold, RangeCursor } from './cursor.js';
import type { KeyRange } from './cursor-bounds.js';

import { callbackError, LsmError, toLsmError } from './errors.js';
import { Flusher, type SealedMemtable } from './flusher.js';
import { HoldList } from './holds.js';
import { type KeyMap, keyMapOf, keyspaceOf } from './key-map.js';
import { BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, KIND_PUT, KIND_RANGE_TOMBSTONE, LEVELS } from './limits.js';
import { applyLogRecord, type LogRecordHeader, rangesOf, readLogHeader, takeBackLogRecord } from './log-record.js';
import { batchFootprint, Memtable } from './memtable.js';
import { MemtableSource } from './memtable-source.js';
import { EMPTY_BYTES } from './memtable-tree.js';
import { MergingCursor } from './merging-cursor.js';
import type { LsmMetrics } from './metrics.js';
import type { ResolvedOptions } from './options.js';
import { findInTables } from './point-read.js';
import { RangeBook } from './range-book.js';
import type { RangeTombstone } from './range-tombstones.js';
import { SnapshotList } from './snapshots.js';
import type { Source } from './source.js';
import { Stall } from './stall.js';
import { treeStats } from './stats.js';
import type { Table } from './table.js';
import { firstEndingAtOrAfter, type SourceTable, TableSource } from './table-source.js';
import type { Tree } from './tree.js';
import type { Cursor, CursorOptions, LsmStats, Snapshot } from './types.js';
import type { Version } from './version.js';
import type { WriteBatch } from './write-batch.js';

/** What an engine is made of. */
export interface EngineParts {
  readonly options: ResolvedOptions;
  readonly tree: Tree;
  readonly cache: BlockCache;
  readonly metrics: LsmMetrics;
}

/** What a reader sees of a key. */
type SeenEntry = Pick<TableEntry, 'value' | 'expiresAtMs' | 'seq'>;

/** How often the pace of background work is looked at while a memtable fills. */
const REPACED_TIMES = 16;

/** See the top of the file. */
export class Engine {
  readonly background: Background;
  readonly flusher: Flusher;
  readonly compactor: Compactor;
  readonly stall: Stall;
  readonly #options: ResolvedOptions;
  readonly #tree: Tree;
  readonly #cache: BlockCache;
  readonly #metrics: LsmMetrics;
  readonly #holds: HoldList;
  readonly #snapshots: SnapshotList;
  readonly #ranges: RangeBook;
  readonly #pool: ArenaPool;
  /** Size of a memtable's memory. */
  readonly #arenaBytes: number;
  readonly #readNowMs: (key: Uint8Array) => number;
  #active: Memtable;
  /** Sealed memtables, newest first; replaced, never changed. */
  #sealed: readonly Memtable[] = [];
  /** What readers see ends here: the active memtable may hold more, see {@link Engine.insertAhead}. */
  #lastSeq: number;
  /** Records in the active memtable that are not applied yet, oldest first. */
  #ahead: Uint8Array[] = [];
  #logPosition: number | undefined;
  #hasPrepared = false;
  /** Bytes of the active memtable at which the pace of background work is looked at again. */
  #repaceBytes = 0;

  constructor({ options, tree, cache, metrics }: EngineParts) {
    this.#options = options;
    this.#tree = tree;
    this.#cache = cache;
    this.#metrics = metrics;
    this.#holds = new HoldList(options.clock, (hold, openMs) => metrics.leaked(hold, openMs, options.clock.now()));
    this.#snapshots = new SnapshotList(this.#holds);
    this.#lastSeq = tree.flushedSeq;
    this.#hasPrepared = options.readOnly;
    this.#readNowMs = readNowOf(options, tree.manifest.state.mappedKeys);
    this.#arenaBytes = EMPTY_BYTES + options.memtableBytes;
    this.#pool = new ArenaPool(this.#arenaBytes, options.memtablesMax);
    this.#active = new Memtable(1, this.#pool, this.#arenaBytes);
    this.#ranges = new RangeBook(tree.ranges.values(), this.#snapshots);
    this.background = new Background(options, tree, this.#snapshots, metrics, this.#ranges);
    this.flusher = new Flusher(this.background, () => this.#dropFlushed());
    this.compactor = new Compactor(this.background);
    this.stall = new Stall(this.background, () => this.flusher.sealed.length);
    this.background.changed = () => this.#backgroundChanged();
    this.#snapshots.closed = () => this.compactor.snapshotClosed();
    metrics.showVersion(tree.current);
  }

  /** Sequence number of the last operation applied. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Number of the active memtable. */
  get sealSequence(): number {
    return this.#active.number;
  }

  /** After the log was replayed: goes on behind all sequence numbers that were ever used. */
  replayed(): void {
    this.#lastSeq = Math.max(this.#lastSeq, this.#tree.manifest.state.usedSeq);
  }

  /** Applies a batch, giving its operations the next sequence numbers. */
  apply(batch: WriteBatch): void {
    const { keys, values, kinds, expiries, count, bytes } = batch;
    if (count === 0) return;
    checkBatchSize(count, bytes);
    const memtable = this.#memtableFor(batchFootprint(count, bytes));
    const firstSeq = this.#lastSeq + 1;
    const ranges: RangeTombstone[] = [];
    for (let i = 0; i < count; i++) {
      const seq = firstSeq + i;
      if (kinds[i] !== KIND_RANGE_TOMBSTONE) {
        memtable.entries.insert(keys[i]!, seq, kinds[i]!, expiries[i]!, values[i]!);
      } else ranges.push({ seq, start: keys[i]!.slice(), end: values[i]!.slice() });
    }
    if (ranges.length > 0) this.#addRanges(memtable, ranges);
    this.#lastSeq = firstSeq + count - 1;
    this.#applied(bytes);
  }

  /** Applies a record of the log, whose operations have their sequence numbers. */
  applyRecord(record: Uint8Array, header: LogRecordHeader, position: number | undefined): void {
    if (this.#ahead[0] === record) this.#ahead.shift();
    else applyLogRecord(record, header, this.#memtableFor(header.footprint));
    if (header.hasRanges) this.#addRanges(this.#active, rangesOf(record, header));
    this.#lastSeq = header.lastSeq;
    if (position !== undefined) this.#logPosition = position;
    this.#applied(record.length);
  }

  /**
   * Inserts a record whose sequence numbers follow those of all that was applied or inserted: nobody sees it until it is
   * applied. Does nothing if the active memtable has no room: what is not applied must not be in a sealed one.
   */
  insertAhead(record: Uint8Array): void {
    const header = readLogHeader(record);
    if (this.#ahead.includes(record) || !this.#active.hasRoom(header.footprint)) return;
    this.#reserve(header.footprint);
    this.#ahead.push(record);
    applyLogRecord(record, header, this.#active);
  }

  /** Takes out a record that was inserted ahead, if it is still there. */
  takeBack(record: Uint8Array): void {
    const index = this.#ahead.indexOf(record);
    if (index < 0) return;
    this.#ahead.splice(index, 1);
    takeBackLogRecord(record, readLogHeader(record), this.#active);
  }

  /** What a reader at `seq` sees of `key`; its version is the sequence number. */
  lookUp(key: Uint8Array, seq = this.#lastSeq): SeenEntry | undefined {
    let { entries } = this.#active;
    let entry = entries.find(key, seq);
    for (let i = 0; entry === 0 && i < this.#sealed.length; i++) {
      entries = this.#sealed[i]!.entries;
      entry = entries.find(key, seq);
    }
    if (entry === 0) return this.#lookUpInTables(key, seq);
    if (entries.kindOf(entry) !== KIND_PUT) return undefined;
    const ranges = this.#ranges.set;
    if (ranges.newestSeq !== 0 && ranges.hides(key, entries.seqOf(entry), seq)) return undefined;
    const expiresAtMs = entries.expiresAtOf(entry);
    if (this.isExpired(key, expiresAtMs)) return undefined;
    return { value: entries.copyValue(entry), expiresAtMs, seq: entries.seqOf(entry) };
  }

  /** Version of what a reader of `key` sees now; 0 if that is nothing. */
  versionOf(key: Uint8Array): number {
    return this.lookUp(key)?.seq ?? 0;
  }

  /** Whether an entry with this expiry is hidden from readers of `key`. */
  isExpired(key: Uint8Array, expiresAtMs: number): boolean {
    return expiresAtMs !== 0 && expiresAtMs <= this.#readNowMs(key);
  }

  /** Opens a cursor over what there is now in a range of stored keys, which it shows as the keyspace's callers have them. */
  cursor(options: CursorOptions, range: KeyRange, keys: KeyMap): Cursor {
    const version = this.#tree.current;
    const memtables = [this.#active, ...this.#sealed].filter((memtable) => !memtable.isEmpty);
    const seq = this.seqOf(options.snapshot) ?? this.#lastSeq;
    version.retain();
    for (const memtable of memtables) memtable.retain();
    const hold = new CursorHold(this.#holds, seq, [version, ...memtables]);
    const ranges = this.#ranges.set;
    const merge = new MergingCursor(
      sourcesOf(memtables, version, range, (table) => ranges.hidesAllOf(table.meta, seq)),
    );
    const failed = (error: unknown): Error => toLsmError(error, 'Cannot read');
    const cursor = new RangeCursor(merge, range, options.reverse ?? false, seq, {
      keys,
      ranges: ranges.isEmpty ? undefined : ranges,
      readNowMs: options.showExpired ? undefined : this.#readNowMs,
      failed,
      hold,
    });
    this.#holds.add(hold, cursor);
    if (options.unpositioned) return cursor;
    try {
      cursor.first();
    } catch (error) {
      cursor.close();
      throw error;
    }
    return cursor;
  }

  /** True if a memtable has a key of the range, both ends included; an empty `end` stands for all keys from `start` on. */
  memtablesHold(start: Uint8Array, end: Uint8Array): boolean {
    return [this.#active, ...this.#sealed].some((memtable) => {
      const source = new MemtableSource(memtable.entries);
      source.seek(start, Number.MAX_SAFE_INTEGER);
      if (!source.valid) return false;
      return (
        end.length === 0 || compareRange(source.keyBytes, source.keyStart, source.keyLength, end, 0, end.length, 0) <= 0
      );
    });
  }

  /** True if all that was applied is in tables. */
  get isFlushed(): boolean {
    return this.#active.isEmpty && this.#sealed.length === 0;
  }

  /** In the moment in which the tree changed by more than a flush or compaction: takes note of what came with it. */
  ingested(seq: number, ranges: readonly RangeTombstone[]): void {
    this.#lastSeq = seq;
    if (ranges.length > 0) this.#ranges.add(ranges);
  }

  /** The sequence number of a snapshot. @throws LsmError `LSM_INVALID_ARGUMENT` if it is closed, or of another database */
  seqOf(snapshot: Snapshot | undefined): number | undefined {
    return snapshot === undefined ? undefined : this.#snapshots.seqOf(snapshot);
  }

  snapshot(): Snapshot {
    return this.#snapshots.open(this.#lastSeq);
  }

  /**
   * Ends the active memtable and hands it to the flusher. Without entries it is handed on only if there are marks.
   * @throws LsmError `LSM_INTERNAL` if `collectMarks` throws; nothing has changed then
   */
  seal(): void {
    const memtable = this.#active;
    // All that can fail comes before the first change, and collectMarks last: its owner takes what it gave as kept.
    const next = new Memtable(memtable.number + 1, this.#pool, this.#arenaBytes);
    let marks: SealedMemtable['marks'];
    try {
      marks = this.#collectMarks();
    } catch (error) {
      next.release();
      throw error;
    }
    // What is not logged yet must not come into a table: it is inserted anew when it is applied.
    for (const record of this.#ahead.splice(0)) takeBackLogRecord(record, readLogHeader(record), memtable);
    if (memtable.isEmpty && marks.length === 0) {
      next.release();
      if (!memtable.isUnused) this.#renewActive();
      return;
    }
    this.#active = next;
    if (!memtable.isEmpty) this.#sealed = [memtable, ...this.#sealed];
    this.flusher.add({
      memtable,
      sealedAtMs: this.#options.clock.monotonic(),
      lastSeq: this.#lastSeq,
      logPosition: this.#logPosition,
      marks,
    });
    this.#metrics.sealedMemtables.set(this.flusher.sealed.length);
    this.#metrics.memtableBytes.set(0);
    this.stall.update();
    this.#repace();
  }

  /** Makes everything applied so far durable in tables. Fails with the first try that fails; tries go on. */
  async flush(): Promise<void> {
    // While flushes fail, calls of this must not pile up memtables without entries.
    const isStuck = this.background.flushError !== undefined && this.flusher.sealed.length > 0;
    if (!isStuck || !this.#active.isEmpty) this.seal();
    return this.flusher.whenDurable(this.#active.number - 1);
  }

  stats(): LsmStats {
    const version = this.#tree.current;
    const { counts } = this.#metrics;
    const { hits, misses, bytes } = this.#cache.stats();
    return {
      ...counts,
      ...treeStats(version, this.#options, counts),
      memtableBytes: this.#active.isEmpty ? 0 : this.#active.entries.usedBytes,
      memtableEntries: this.#active.entries.count,
      sealedMemtables: this.#sealed.length,
      sealedBytes: this.#sealed.reduce((sum, { entries }) => sum + entries.usedBytes, 0),
      cache: { hits, misses, bytes },
      stalled: this.stall.reason,
      snapshots: this.#snapshots.size,
      rangeTombstones: this.#ranges.set.list.length,
      oldestSnapshotMs: this.#snapshots.oldestMs,
      lastSequence: this.#lastSeq,
      backgroundError: this.background.error,
    };
  }

  /** Stops background work and closes cursors; the tree is the caller's. */
  async stop(): Promise<void> {
    this.background.stop();
    this.stall.fail(new LsmError('LSM_CLOSED', 'The database is closed.'));
    await Promise.all([this.flusher.stopped(), this.compactor.stopped()]);
    this.#holds.stop();
    for (const hold of this.#holds) if (hold.kind === 'cursor') hold.close();
    if (this.#snapshots.size > 0) this.#metrics.closedWith(this.#snapshots.size, this.#options.clock.now());
  }

  #collectMarks(): SealedMemtable['marks'] {
    const { collectMarks } = this.#options;
    if (collectMarks === undefined) return [];
    try {
      return Array.from(collectMarks(), ([id, mark]) => {
        if (!Number.isSafeInteger(id) || id < 0) throw new RangeError(`the id ${id} is not a whole number`);
        return [id, mark.slice()] as const;
      });
    } catch (thrown) {
      throw callbackError('collectMarks', thrown);
    }
  }

  /** Takes note of range tombstones that are applied now. */
  #addRanges(memtable: Memtable, ranges: readonly RangeTombstone[]): void {
    memtable.addRanges(ranges, this.#snapshots.sequences());
    this.#ranges.add(ranges);
  }

  #memtableFor(footprint: number): Memtable {
    if (!this.#active.hasRoom(footprint)) this.seal();
    this.#reserve(footprint);
    return this.#active;
  }

  #reserve(footprint: number): void {
    if (this.#active.reserve(footprint) && !this.#hasPrepared) this.#prepare();
  }

  /** Begins the active memtable anew, after all that was inserted was taken back. */
  #renewActive(): void {
    const { number } = this.#active;
    const renewed = new Memtable(number, this.#pool, this.#arenaBytes);
    this.#active.release();
    this.#active = renewed;
  }

  /** The memtable is growing: starts the thread of the flush to come, between the writes rather than in one. */
  #prepare(): void {
    this.#hasPrepared = true;
    const { clock, executor } = this.#options;
    clock.nextTurn(() => {
      try {
        executor.prepare?.();
      } catch {
        // Nobody asked for it. The flush is going to fail as well, and tells.
      }
    });
  }

  #applied(bytes: number): void {
    this.#metrics.counts.writtenBytes += bytes;
    this.#metrics.writtenBytes.inc(bytes);
    const { usedBytes } = this.#active.entries;
    this.#metrics.memtableBytes.set(usedBytes);
    if (usedBytes >= this.#repaceBytes) this.#repace();
  }

  /** Tells the threads of flushes and compactions how much presses, if they are paced. */
  #repace(): void {
    const { pace } = this.background;
    if (pace === undefined) {
      this.#repaceBytes = Number.POSITIVE_INFINITY;
      return;
    }
    const { memtableBytes, l0Trigger, l0Stop } = this.#options;
    const { usedBytes } = this.#active.entries;
    this.#repaceBytes = usedBytes + memtableBytes / REPACED_TIMES;
    pace.set({
      filled: usedBytes / memtableBytes,
      sealed: this.flusher.sealed.length,
      l0Tables: this.#tree.current.tablesIn(0).length,
      l0Trigger,
      l0Stop,
      isAwaited: this.flusher.isAwaited,
    });
  }

  #lookUpInTables(key: Uint8Array, seq: number): SeenEntry | undefined {
    let entry: TableEntry | undefined;
    try {
      entry = findInTables(this.#tree.current, key, seq);
    } catch (error) {
      throw toLsmError(error, 'Cannot read');
    }
    if (entry === undefined || entry.kind !== KIND_PUT) return undefined;
    const ranges = this.#ranges.set;
    if (ranges.newestSeq !== 0 && ranges.hides(key, entry.seq, seq)) return undefined;
    return this.isExpired(key, entry.expiresAtMs) ? undefined : entry;
  }

  /** In the turn in which a flush became visible. */
  #dropFlushed(): void {
    const waiting = new Set(this.flusher.sealed.map(({ memtable }) => memtable));
    this.#sealed = this.#sealed.filter((memtable) => waiting.has(memtable));
  }

  #backgroundChanged(): void {
    this.#metrics.showVersion(this.#tree.current);
    this.#metrics.sealedMemtables.set(this.flusher.sealed.length);
    this.stall.update();
    this.#repace();
    this.compactor.poke();
  }
}

/** @throws LsmError `LSM_BATCH_TOO_LARGE` */
export const checkBatchSize = (count: number, bytes: number): void => {
  if (count <= BATCH_OPERATIONS_MAX && bytes <= BATCH_BYTES_MAX) return;
  throw new LsmError(
    'LSM_BATCH_TOO_LARGE',
    `A batch may have ${BATCH_OPERATIONS_MAX} operations and ${BATCH_BYTES_MAX} bytes, this one has ${count} and ${bytes}.`,
  );
};

/** Everything that may hold entries in a range that are not all hidden, as sources of a merge. */
const sourcesOf = (
  memtables: readonly Memtable[],
  version: Version,
  { lower, upper }: KeyRange,
  isHidden: (table: Table) => boolean,
): Source[] => {
  const sources: Source[] = memtables.map((memtable) => new MemtableSource(memtable.entries));
  const mayHold = ({ smallestKey, largestKey }: SourceTable): boolean =>
    compareKeys(largestKey, lower) >= 0 && (upper === undefined || compareKeys(smallestKey, upper) < 0);
  for (const table of version.tablesIn(0))
    if (mayHold(table) && !isHidden(table)) sources.push(new TableSource([table]));
  for (let level = 1; level < LEVELS; level++) {
    const tables = version.tablesIn(level);
    const first = firstEndingAtOrAfter(tables, lower);
    let end = upper === undefined ? tables.length : firstEndingAtOrAfter(tables, upper);
    if (end < tables.length && mayHold(tables[end]!)) end++;
    const shown = tables.slice(first, end).filter((table) => !isHidden(table));
    if (shown.length > 0) sources.push(new TableSource(shown));
  }
  return sources;
};

/** The time by which a stored key is read. */
const readNowOf = ({ expiry }: ResolvedOptions, hasMappedKeys: boolean): ((stored: Uint8Array) => number) =>
  hasMappedKeys
    ? (stored) => {
        if (stored[0] !== 0xff) return expiry.readNowMs(stored);
        return expiry.readNowMs(keyMapOf(keyspaceOf(stored, 0, stored.length)).toKey(stored, stored.length));
      }
    : (stored) => expiry.readNowMs(stored);
