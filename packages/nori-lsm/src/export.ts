// Writes what a range of keys holds as tables of a directory: each key once, nothing that is deleted or has expired. The work is a task of
// the executor, like a compaction that reads everything and leaves the tree as it is.
import { type FileSystem, syncParents } from 'nori-io';
import type { Background } from './background.js';
import { makeEmptyDirectory } from './checkpoint.js';
import type { KeyRange } from './cursor-bounds.js';
import { type KeyMap, PLAIN_KEYS } from './key-map.js';
import { LAST_LEVEL } from './level-targets.js';
import { LEVELS } from './limits.js';
import type { RangeTombstone } from './range-tombstones.js';
import { tableName } from './table-meta.js';
import type { ExportTask, TaskInput } from './task.js';
import type { ExportReport } from './types.js';
import type { Version } from './version.js';

/** What is to be exported. */
export interface ExportSource {
  readonly background: Background;
  /** Held by the caller. */
  readonly version: Version;
  /** The range tombstones that belong to the version. */
  readonly ranges: readonly RangeTombstone[];
  /** Of stored keys. */
  readonly range: KeyRange;
  /** The keyspace: its keys are written as callers have them. */
  readonly keys: KeyMap;
  /** As a reader at this sequence number sees it. */
  readonly seq: number;
  readonly tableBytes: number;
}

/** @throws LsmError `LSM_EXISTS` if there is something in `dir`; `LSM_NO_SPACE`, `LSM_IO_FAILED`: what was written is removed again */
export const exportTables = async (fs: FileSystem, source: ExportSource, dir: string): Promise<ExportReport> => {
  await makeEmptyDirectory(fs, dir);
  const task = exportTask(source, dir);
  const { tables } = await source.background.options.executor.run(task);
  try {
    await fs.syncDir(dir);
    await syncParents(fs, dir);
  } catch (error) {
    for (const { number } of tables) await fs.unlink(`${dir}/${tableName(number)}`).catch(() => {});
    throw error;
  }
  return {
    sequence: source.seq,
    entries: tables.reduce((sum, { entries }) => sum + entries, 0),
    bytes: tables.reduce((sum, { fileBytes }) => sum + fileBytes, 0),
    tables: tables.map(({ number, entries, fileBytes, smallestKey, largestKey }) => ({
      path: `${dir}/${tableName(number)}`,
      entries,
      bytes: fileBytes,
      smallestKey,
      largestKey,
    })),
  };
};

const exportTask = (
  { background, version, ranges, range, keys, seq, tableBytes }: ExportSource,
  outputDir: string,
): ExportTask => {
  const inputs: TaskInput[] = [];
  const end = range.upper ?? new Uint8Array(0);
  for (let level = 0; level < LEVELS; level++) {
    for (const { meta } of version.overlappingRange(level, range.lower, end)) {
      inputs.push({ number: meta.number, sequence: meta.sequence, run: level === 0 ? -1 : level });
    }
  }
  return {
    kind: 'export',
    ...background.taskSettings(LAST_LEVEL, ranges, seq),
    inputs,
    outputDir,
    firstNumber: 1,
    fromKeys: keys.id,
    toKeys: PLAIN_KEYS.id,
    withTombstones: false,
    lower: range.lower,
    upper: range.upper,
    seq,
    tableBytes,
  };
};
