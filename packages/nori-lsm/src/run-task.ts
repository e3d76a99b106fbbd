// The work of a flush or compaction, on whatever thread it runs: walk the input in order, judge each version, write tables.
import type { FileSystem } from 'nori-io';
import { SSTableReader } from 'nori-sstable';
import { LsmError } from './errors.js';
import { KeyRanges } from './key-ranges.js';
import { KIND_PUT, KIND_TOMBSTONE } from './limits.js';
import { MemtableSource } from './memtable-source.js';
import { MemtableTree } from './memtable-tree.js';
import { MergingCursor } from './merging-cursor.js';
import type { Source } from './source.js';
import { tableName } from './table-meta.js';
import { type OutputSettings, TableOutput } from './table-output.js';
import { type SourceTable, TableSource } from './table-source.js';
import type { CompactTask, ExpiryHorizon, FlushTask, Task, TaskResult } from './task.js';
import { VERDICT, VersionFilter } from './version-filter.js';

const NO_VALUE = new Uint8Array(0);
const READ_AHEAD_BYTES = 256 * 1024;
/** Entries between two looks at the cancel flag and the caller's clock. */
const STRIDE = 512;

/** Called now and then by a running task: a promise makes it wait. */
export type Pause = () => Promise<void> | undefined;

/** Runs a task to its end; what it began is removed if it fails. Without `pause` it holds the thread. */
export const runTask = async (fs: FileSystem, task: Task, pause?: Pause): Promise<TaskResult> =>
  task.kind === 'flush' ? runFlush(fs, task, pause) : runCompaction(fs, task, pause);

const runFlush = async (fs: FileSystem, task: FlushTask, pause?: Pause): Promise<TaskResult> => {
  const source = new MemtableSource(MemtableTree.attach(task.arena));
  const merge = new MergingCursor([source]);
  const settings = { ...outputSettings(task), level: 0, firstNumber: task.number, numbers: 1, tableBytes: Infinity };
  // Older tables may hold any key: nothing that hides may go.
  const tables = await writeMerged(new TableOutput(fs, settings), merge, task, () => false, pause);
  return { tables, bytesRead: 0, bytesWritten: sumBytes(tables) };
};

const runCompaction = async (fs: FileSystem, task: CompactTask, pause?: Pause): Promise<TaskResult> => {
  const readers: SSTableReader[] = [];
  try {
    const runs = new Map<number, SourceTable[]>();
    let bytesRead = 0;
    for (const { number, run } of task.inputs) {
      const reader = SSTableReader.openSync({ fs, path: `${task.dir}/${tableName(number)}` });
      readers.push(reader);
      bytesRead += reader.properties.fileBytes;
      const table = asSourceTable(reader);
      const key = run < 0 ? -number : run;
      const together = runs.get(key);
      if (together === undefined) runs.set(key, [table]);
      else together.push(table);
    }
    const merge = new MergingCursor([...runs.values()].map((tables) => new TableSource(tables)));
    const deeper = new KeyRanges(task.deeper);
    const settings = { ...outputSettings(task), ...task, level: task.outputLevel };
    const tables = await writeMerged(
      new TableOutput(fs, settings),
      merge,
      task,
      (source) => !deeper.mayHold(keyOf(source)),
      pause,
    );
    return { tables, bytesRead, bytesWritten: sumBytes(tables) };
  } finally {
    for (const reader of readers) reader.closeSync();
  }
};

const writeMerged = async (
  output: TableOutput,
  merge: MergingCursor,
  task: Task,
  isBottom: (source: Source) => boolean,
  pause?: Pause,
) => {
  try {
    const filter = new VersionFilter(task.snapshots);
    const previous = new PreviousKey();
    let untilLook = STRIDE;
    let mayCut = false;
    for (merge.first(); merge.valid; merge.advance()) {
      if (--untilLook === 0) {
        untilLook = STRIDE;
        if (Atomics.load(task.cancel, 0) !== 0) throw new LsmError('LSM_CANCELLED', 'The task was cancelled.');
        const wait = pause?.();
        if (wait !== undefined) await wait;
      }
      const source = merge.top;
      const isNewKey = !previous.equals(source);
      if (isNewKey) {
        previous.set(source);
        filter.nextKey();
        mayCut = true;
      }
      const isTombstone = source.kind === KIND_TOMBSTONE;
      const isExpired = !isTombstone && source.expiresAtMs !== 0 && hasExpired(source, task.horizon);
      const verdict = filter.judge(source.seq, isTombstone, isExpired, (isTombstone || isExpired) && isBottom(source));
      if (verdict === VERDICT.drop) continue;
      if (verdict === VERDICT.keep && !isTombstone) {
        output.add(keyOf(source), source.seq, KIND_PUT, source.expiresAtMs, source.value(), mayCut);
      } else {
        output.add(keyOf(source), source.seq, KIND_TOMBSTONE, 0, NO_VALUE, mayCut);
      }
      mayCut = false;
    }
    return output.finish();
  } catch (error) {
    await output.abandon();
    throw error;
  }
};

/** True if the entry expired at or before the horizon of its key. */
const hasExpired = (source: Source, horizon: ExpiryHorizon): boolean => {
  if (typeof horizon === 'number') return source.expiresAtMs <= horizon;
  if (source.keyLength < 2) return false;
  const { keyBytes, keyStart } = source;
  const prefix = (keyBytes[keyStart]! << 8) | keyBytes[keyStart + 1]!;
  return prefix < horizon.length && source.expiresAtMs <= horizon[prefix]!;
};

const keyOf = ({ keyBytes, keyStart, keyLength }: Source): Uint8Array =>
  keyStart === 0 && keyLength === keyBytes.length ? keyBytes : keyBytes.subarray(keyStart, keyStart + keyLength);

const asSourceTable = (reader: SSTableReader): SourceTable => ({
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
  #length = -1;

  equals({ keyBytes, keyStart, keyLength }: Source): boolean {
    if (keyLength !== this.#length) return false;
    const bytes = this.#bytes;
    // Neighbours differ at the end first.
    for (let i = keyLength - 1; i >= 0; i--) if (bytes[i] !== keyBytes[keyStart + i]) return false;
    return true;
  }

  set(source: Source): void {
    const { keyLength } = source;
    if (keyLength > this.#bytes.length) this.#bytes = new Uint8Array(keyLength * 2);
    this.#bytes.set(keyOf(source));
    this.#length = keyLength;
  }
}
