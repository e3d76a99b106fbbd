// The work of a flush or compaction, on whatever thread it runs: walk the input in order, judge each version, write tables.
import type { FileSystem } from 'nori-io';
import { SSTableReader } from 'nori-sstable';
import { compareRange, prefixHigh } from './bytes.js';
import { type CompactionFilterDecision, loadFilter } from './compaction-filter.js';
import { LsmError } from './errors.js';
import { keyMapOf, keyspaceOf } from './key-map.js';
import { KeyRanges } from './key-ranges.js';
import { checkEntrySize, KIND_TOMBSTONE } from './limits.js';
import { MemtableSource } from './memtable-source.js';
import { MemtableTree } from './memtable-tree.js';
import { MergingCursor } from './merging-cursor.js';
import { PACED } from './pace.js';
import { RangeSweeper } from './range-sweeper.js';
import { RangeProbe, RangeTombstones } from './range-tombstones.js';
import type { Source } from './source.js';
import { withSyncSteps } from './sync-steps.js';
import { type TableMeta, tableName } from './table-meta.js';
import { type OutputSettings, TableOutput } from './table-output.js';
import { type SourceTable, TableSource } from './table-source.js';
import type { CompactTask, ExpiryHorizon, ExportTask, FlushTask, Task, TaskResult } from './task.js';
import { type Pacer, Rests, Throttle } from './throttle.js';
import { VERDICT, VersionFilter } from './version-filter.js';

const READ_AHEAD_BYTES = 256 * 1024;
/** Entries between two looks at the cancel flag and the caller's clock. */
const STRIDE = 512;
/** Up to here a loop copies faster than the call that does. */
const SHORT_KEY_BYTES = 24;

/** What the thread lends to a task. */
export interface TaskHost {
  /** Called now and then: a promise makes the task wait. Absent: it holds the thread. */
  readonly pause?: (() => Promise<void> | undefined) | undefined;
  /** For tasks with a budget; absent: budgets do not hold. */
  readonly pacer?: Pacer | undefined;
}

/** Runs a task to its end; what it began is removed if it fails. */
export const runTask = async (fs: FileSystem, task: Task, host: TaskHost = {}): Promise<TaskResult> => {
  const target = task.syncStepBytes === undefined ? fs : withSyncSteps(fs, task.syncStepBytes);
  if (task.kind === 'flush') return runFlush(target, task, host);
  return withInputs(target, task, (merge, bytesRead) =>
    task.kind === 'compact'
      ? runCompaction(target, task, host, merge, bytesRead)
      : runExport(target, task, host, merge, bytesRead),
  );
};

const runFlush = async (fs: FileSystem, task: FlushTask, host: TaskHost): Promise<TaskResult> => {
  const source = new MemtableSource(MemtableTree.attach(task.arena));
  const merge = new MergingCursor([source]);
  const settings = { ...outputSettings(task), level: 0, firstNumber: task.number, numbers: 1, tableBytes: Infinity };
  // Older tables may hold any key: nothing that hides may go.
  const tables = await writeMerged(new TableOutput(fs, settings), merge, task, () => false, host);
  return { tables, bytesRead: 0, bytesWritten: sumBytes(tables) };
};

/** Opens the tables of a task for the time of `work`. */
const withInputs = async (
  fs: FileSystem,
  task: CompactTask | ExportTask,
  work: (merge: MergingCursor, bytesRead: number) => Promise<TaskResult>,
): Promise<TaskResult> => {
  const readers: SSTableReader[] = [];
  try {
    const runs = new Map<number, SourceTable[]>();
    let bytesRead = 0;
    for (const { number, run, sequence } of task.inputs) {
      const reader = SSTableReader.openSync({ fs, path: `${task.dir}/${tableName(number)}` });
      readers.push(reader);
      bytesRead += reader.properties.fileBytes;
      const table = asSourceTable(reader, sequence);
      const key = run < 0 ? -number : run;
      const together = runs.get(key);
      if (together === undefined) runs.set(key, [table]);
      else together.push(table);
    }
    return await work(new MergingCursor([...runs.values()].map((tables) => new TableSource(tables))), bytesRead);
  } finally {
    for (const reader of readers) reader.closeSync();
  }
};

const runCompaction = async (
  fs: FileSystem,
  task: CompactTask,
  host: TaskHost,
  merge: MergingCursor,
  bytesRead: number,
): Promise<TaskResult> => {
  const deeper = new KeyRanges(task.deeper);
  const output = new TableOutput(fs, { ...outputSettings(task), ...task, level: task.outputLevel });
  const tables = await writeMerged(output, merge, task, (source) => !deeper.mayHold(keyOf(source)), host);
  return { tables, bytesRead, bytesWritten: sumBytes(tables) };
};

const runExport = async (
  fs: FileSystem,
  task: ExportTask,
  host: TaskHost,
  merge: MergingCursor,
  bytesRead: number,
): Promise<TaskResult> => {
  const { outputDir: dir, firstNumber, tableBytes, lower, upper, seq, horizon, withTombstones } = task;
  const [from, to] = [keyMapOf(task.fromKeys), keyMapOf(task.toKeys)];
  const output = new TableOutput(fs, {
    ...outputSettings(task),
    dir,
    tableBytes,
    level: 0,
    firstNumber,
    numbers: Infinity,
  });
  try {
    const ranges = new RangeProbe(
      RangeTombstones.of(
        task.ranges.filter((range) => range.seq <= task.seq),
        [],
      ),
    );
    const previous = new PreviousKey();
    const breather = new Breather(output, task, host);
    let untilLook = STRIDE;
    for (merge.seek(lower, Number.MAX_SAFE_INTEGER); merge.valid; merge.advance()) {
      if (--untilLook === 0) {
        untilLook = STRIDE;
        const wait = breather.breathe();
        if (wait !== undefined) await wait;
      }
      const source = merge.top;
      const { keyBytes, keyStart, keyLength } = source;
      if (upper !== undefined && compareRange(keyBytes, keyStart, keyLength, upper, 0, upper.length, 0) >= 0) break;
      // The first version that the reader sees is the only one that counts.
      if (source.seq > seq || previous.equals(source)) continue;
      previous.set(source);
      const { expiresAtMs } = source;
      const isTombstone = source.kind === KIND_TOMBSTONE;
      if (isTombstone && !withTombstones) continue;
      if (!isTombstone && expiresAtMs !== 0 && hasExpired(source, expiresAtMs, horizon, task.hasMappedKeys)) continue;
      if (ranges.hides(keyBytes, keyStart, keyLength, source.seq, seq)) continue;
      const key = to.toStored(from.toKey(previous.key, keyLength));
      checkEntrySize(key.length, 0);
      output.beginKey(prefixHigh(key, 0, key.length), key, 0, key.length);
      if (isTombstone) output.addTombstone(key, source.seq);
      else output.addPut(key, source, expiresAtMs);
    }
    const tables = output.finish();
    return { tables, bytesRead, bytesWritten: sumBytes(tables) };
  } catch (error) {
    await output.abandon();
    throw error;
  }
};

const writeMerged = async (
  output: TableOutput,
  merge: MergingCursor,
  task: Task,
  isBottom: (source: Source) => boolean,
  host: TaskHost,
): Promise<readonly TableMeta[]> => {
  try {
    const decide = await deciderOf(task);
    const sweeper = new RangeSweeper(task.ranges, task.rangesSeq, task.snapshots);
    const filter = new VersionFilter(task.snapshots);
    const previous = new PreviousKey();
    const breather = new Breather(output, task, host);
    const { horizon } = task;
    let untilLook = STRIDE;
    for (merge.first(); merge.valid; merge.advance()) {
      if (--untilLook === 0) {
        untilLook = STRIDE;
        const wait = breather.breathe();
        if (wait !== undefined) await wait;
      }
      const source = merge.top;
      if (sweeper.drops(source)) continue;
      if (!previous.equals(source)) {
        previous.set(source);
        filter.nextKey();
        output.beginKey(source.high, source.keyBytes, source.keyStart, source.keyLength);
      }
      const { seq } = source;
      const isTombstone = source.kind === KIND_TOMBSTONE;
      const expiresAtMs = isTombstone ? 0 : source.expiresAtMs;
      const isExpired = expiresAtMs !== 0 && hasExpired(source, expiresAtMs, horizon, task.hasMappedKeys);
      const isAsked = decide !== undefined && !isTombstone && !isExpired && filter.isPresent(seq);
      const decision = isAsked ? decide(source) : 'keep';
      const isGone = isExpired || decision === 'drop';
      const verdict = filter.judge(seq, isTombstone, isGone, (isTombstone || isGone) && isBottom(source));
      if (verdict === VERDICT.drop) continue;
      if (verdict !== VERDICT.keep || isTombstone) output.addTombstone(previous.key, seq);
      else if (typeof decision === 'string') output.addPut(previous.key, source, expiresAtMs);
      else output.addValue(previous.key, seq, expiresAtMs, checkedValue(decision));
    }
    const { cleanSeq } = sweeper;
    return output.finish().map((meta) => ({ ...meta, cleanSeq }));
  } catch (error) {
    await output.abandon();
    throw error;
  }
};

/** Asks the caller's filter about an entry; undefined: there is none. */
const deciderOf = async (task: Task): Promise<((source: Source) => CompactionFilterDecision) | undefined> => {
  if (task.kind !== 'compact' || task.filter === undefined) return undefined;
  const filter = await loadFilter(task.filter, task.outputLevel);
  const { hasMappedKeys } = task;
  const { keyspaces } = task.filter;
  return (source) => {
    const stored = keyOf(source);
    const id = hasMappedKeys ? keyspaceOf(stored, 0, stored.length) : 0;
    const keyspace = id === 0 ? '' : keyspaces.get(id);
    // Left from a keyspace that was dropped.
    if (keyspace === undefined) return 'drop';
    const key = keyMapOf(hasMappedKeys ? id : -1).toKey(stored, stored.length);
    return filter({ key, value: source.value(), expiresAtMs: source.expiresAtMs, keyspace });
  };
};

const checkedValue = (value: Uint8Array): Uint8Array => {
  checkEntrySize(0, value.length);
  return value;
};

/** What a running task does every few hundred entries: looks whether to stop, to give others their turn, or to wait. */
class Breather {
  readonly #output: TableOutput;
  readonly #task: Task;
  readonly #host: TaskHost;
  readonly #throttle: Throttle | undefined;
  readonly #rests: Rests | undefined;

  constructor(output: TableOutput, task: Task, host: TaskHost) {
    this.#output = output;
    this.#task = task;
    this.#host = host;
    if (task.kind === 'compact' && task.bytesPerSecond !== undefined && host.pacer !== undefined) {
      this.#throttle = new Throttle(task.bytesPerSecond, task.hurry, host.pacer);
    }
    if (task.kind !== 'export' && task.shares !== undefined && host.pacer !== undefined) {
      this.#rests = new Rests(task.shares, PACED[task.kind], host.pacer);
    }
  }

  /** @throws LsmError `LSM_CANCELLED` */
  breathe(): Promise<void> | undefined {
    this.#checkCancelled();
    const dueMs = this.#dueMs();
    return dueMs === 0 ? this.#host.pause?.() : this.#wait(dueMs);
  }

  #dueMs(): number {
    const budgetMs = this.#throttle?.dueMs(this.#output.bytes) ?? 0;
    return Math.max(budgetMs, this.#rests?.dueMs() ?? 0);
  }

  async #wait(firstMs: number): Promise<void> {
    for (let dueMs = firstMs; dueMs > 0; dueMs = this.#dueMs()) {
      await this.#host.pacer!.wait(dueMs, this.#task.cancel);
      this.#checkCancelled();
    }
  }

  #checkCancelled(): void {
    if (Atomics.load(this.#task.cancel, 0) !== 0) throw new LsmError('LSM_CANCELLED', 'The task was cancelled.');
  }
}

/** True if the entry expired at or before the horizon of its key. */
const hasExpired = (source: Source, expiresAtMs: number, horizon: ExpiryHorizon, hasMappedKeys: boolean): boolean => {
  if (typeof horizon === 'number') return expiresAtMs <= horizon;
  let key = source.keyBytes;
  let start = source.keyStart;
  let length = source.keyLength;
  if (hasMappedKeys && key[start] === 0xff && length > 1) {
    // The prefix is one of the key as the caller has it.
    key = keyMapOf(keyspaceOf(key, start, length)).toKey(keyOf(source), length);
    start = 0;
    length = key.length;
  }
  if (length < 2) return false;
  const prefix = (key[start]! << 8) | key[start + 1]!;
  return prefix < horizon.length && expiresAtMs <= horizon[prefix]!;
};

const keyOf = ({ keyBytes, keyStart, keyLength }: Source): Uint8Array =>
  keyStart === 0 && keyLength === keyBytes.length ? keyBytes : keyBytes.subarray(keyStart, keyStart + keyLength);

const asSourceTable = (reader: SSTableReader, sequence: number): SourceTable => ({
  sequence,
  largestSeq: sequence === 0 ? reader.properties.largestSeq : sequence,
  smallestKey: reader.properties.smallestKey,
  largestKey: reader.properties.largestKey,
  openCursor: () => reader.cursor({ fillCache: false, readAheadBytes: READ_AHEAD_BYTES }),
});

const outputSettings = ({ dir, tables }: Task): Pick<OutputSettings, 'dir' | 'tables'> => ({ dir, tables });

const sumBytes = (tables: readonly { readonly fileBytes: number }[]): number =>
  tables.reduce((sum, { fileBytes }) => sum + fileBytes, 0);

/** Remembers the key last seen. */
class PreviousKey {
  #bytes = new Uint8Array(256);
  /** A view of the key, good until the next one is set. */
  key = this.#bytes.subarray(0, 0);
  #length = -1;
  #high = 0;
  #low = 0;

  equals(source: Source): boolean {
    if (source.high !== this.#high || source.low !== this.#low || source.keyLength !== this.#length) return false;
    const { keyBytes, keyStart, keyLength } = source;
    const bytes = this.#bytes;
    // Neighbours differ at the end first.
    for (let i = keyLength - 1; i >= 0; i--) if (bytes[i] !== keyBytes[keyStart + i]) return false;
    return true;
  }

  set(source: Source): void {
    const { keyBytes, keyStart, keyLength } = source;
    if (keyLength > this.#bytes.length) this.#bytes = new Uint8Array(keyLength * 2);
    const bytes = this.#bytes;
    if (this.#length !== keyLength) this.key = bytes.subarray(0, keyLength);
    if (keyLength > SHORT_KEY_BYTES) bytes.set(keyOf(source));
    else for (let i = 0; i < keyLength; i++) bytes[i] = keyBytes[keyStart + i]!;
    this.#length = keyLength;
    this.#high = source.high;
    this.#low = source.low;
  }
}
