// A pick as a task for the executor: everything the thread needs to know, sampled when the compaction starts.
import type { Background } from './background.js';
import { type CompactionPick, keyRange, rangesBelow } from './compaction-pick.js';
import { cutsFor } from './compaction-picker.js';
import { keyspaceTables } from './keyspaces.js';
import type { CompactTask, TaskInput } from './task.js';

/** The task that merges the tables of a pick. */
export const compactTask = (background: Background, pick: CompactionPick): CompactTask => {
  const { options, tree } = background;
  const version = tree.current;
  const inputs: TaskInput[] = [
    ...pick.upper.map((table) => ({
      number: table.meta.number,
      sequence: table.meta.sequence,
      run: pick.level === 0 ? -1 : 0,
    })),
    ...pick.lower.map((table) => ({ number: table.meta.number, sequence: table.meta.sequence, run: 1 })),
  ];
  const tables = [...pick.upper, ...pick.lower];
  const bytes = tables.reduce((sum, table) => sum + table.meta.fileBytes, 0);
  // Small tables have more overhead than the estimate by bytes allows for; numbers cost nothing.
  const { keyspaces } = tree.manifest.state;
  const numbers = Math.ceil(bytes / options.tableBytes) * 4 + 16 + keyspaces.size;
  const ranges = tree.rangeSet.overlapping(...keyRange(tables));
  const settings = background.taskSettings(pick.outputLevel, ranges, tree.flushedSeq);
  return {
    kind: 'compact',
    ...settings,
    inputs,
    outputLevel: pick.outputLevel,
    firstNumber: tree.allocate(numbers),
    numbers,
    // In L0 keyspaces share tables, which are few.
    keyspaces: pick.outputLevel === 0 ? [] : keyspaceTables(keyspaces.values(), settings.tables),
    ...(options.compactionFilter === undefined ? {} : { filter: options.compactionFilter }),
    // Within L0 tables are few rather than small: every read asks each of them.
    tableBytes: pick.outputLevel === 0 ? Number.POSITIVE_INFINITY : options.tableBytes,
    cuts: cutsFor(version, pick),
    ...(options.compactionBytesPerSecond === undefined ? {} : { bytesPerSecond: options.compactionBytesPerSecond }),
    hurry: background.hurry,
    deeper: rangesBelow(version, pick),
  };
};
