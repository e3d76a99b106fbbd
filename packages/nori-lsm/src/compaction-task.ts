// A pick as a task for the executor: everything the thread needs to know, sampled when the compaction starts.
import type { Background } from './background.js';
import { type CompactionPick, keyRange, rangesBelow } from './compaction-pick.js';
import { cutsFor } from './compaction-picker.js';
import { keyspaceTables } from './keyspaces.js';
import { overlaps, type RangeTombstone } from './range-tombstones.js';
import type { CompactTask, TaskInput } from './task.js';
import type { Tree } from './tree.js';

/** File numbers that a task may take: how much it will write is not known. What it does not take is given back. */
const NUMBERS = 1_000_000;

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
  const settings = background.taskSettings(pick.outputLevel, overlapping(tree, keyRange(tables)), tree.flushedSeq);
  return {
    kind: 'compact',
    ...settings,
    inputs,
    outputLevel: pick.outputLevel,
    firstNumber: tree.allocate(NUMBERS),
    numbers: NUMBERS,
    // In L0 keyspaces share tables, which are few.
    keyspaces: pick.outputLevel === 0 ? [] : keyspaceTables(tree.manifest.state.keyspaces.values(), settings.tables),
    ...(options.compactionFilter === undefined
      ? {}
      : { filter: { ...options.compactionFilter, keyspaces: keyspaceNames(background) } }),
    // Within L0 tables are few rather than small: every read asks each of them.
    tableBytes: pick.outputLevel === 0 ? Number.POSITIVE_INFINITY : options.tableBytes,
    cuts: cutsFor(version, pick),
    ...(options.compactionBytesPerSecond === undefined ? {} : { bytesPerSecond: options.compactionBytesPerSecond }),
    // For manual ones somebody waits.
    ...(background.pace === undefined || pick.reason === 'manual' ? {} : { shares: background.pace.shares }),
    hurry: background.hurry,
    deeper: rangesBelow(version, pick),
  };
};

const keyspaceNames = ({ tree }: Background): Map<number, string> =>
  new Map([...tree.manifest.state.keyspaces.values()].map(({ id, name }) => [id, name]));

const overlapping = (tree: Tree, [smallest, largest]: readonly [Uint8Array, Uint8Array]): RangeTombstone[] =>
  [...tree.ranges.values()].filter((range) => overlaps(range, smallest, largest));
