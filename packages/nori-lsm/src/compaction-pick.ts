// What a compaction is, before it runs: which tables are merged (or just moved, or dropped) to where, and why. The
// functions here make correct picks of tables that others chose: compaction-picker.ts by size, garbage-picker.ts by
// what can be reclaimed, compactor.ts for callers.
import { compareKeys } from './bytes.js';
import { LAST_LEVEL } from './level-targets.js';
import { LEVELS } from './limits.js';
import type { Table } from './table.js';
import type { Version } from './version.js';

/** Why a compaction runs. */
export type CompactionReason = 'size' | 'l0' | 'intra-l0' | 'drain' | 'tombstones' | 'ranges' | 'expired' | 'manual';

/** Tables to merge into a level below, or to rewrite in place, if both levels are the same. */
export interface CompactionPick {
  readonly reason: CompactionReason;
  /**
   * `merge`: entries are read, judged and written; `move`: nothing to merge and nothing to drop, the tables just change
   * their level; `drop`: nothing in the tables is needed any more, they just go.
   */
  readonly kind: 'merge' | 'move' | 'drop';
  readonly level: number;
  readonly outputLevel: number;
  /** Tables of `level`. */
  readonly upper: readonly Table[];
  /** Tables of `outputLevel` that overlap them. */
  readonly lower: readonly Table[];
}

/** Merges tables of a level into `outputLevel`; no level between may hold tables in their range. */
export const pickInto = (
  version: Version,
  reason: CompactionReason,
  level: number,
  upper: readonly Table[],
  outputLevel: number,
): CompactionPick => {
  const [smallest, largest] = keyRange(upper);
  const lower = version.overlapping(outputLevel, smallest, largest);
  const isMove =
    lower.length === 0 && areDisjoint(upper) && upper.every((table) => !hasGarbage(version, outputLevel, table));
  return { reason, kind: isMove ? 'move' : 'merge', level, outputLevel, upper, lower };
};

/** Rewrites one table where it is, to drop what it need not hold. */
export const pickRewrite = (reason: CompactionReason, level: number, table: Table): CompactionPick => ({
  reason,
  kind: 'merge',
  level,
  outputLevel: level,
  upper: [table],
  lower: [],
});

/** Lets tables go that hold nothing of use. */
export const pickDrop = (reason: CompactionReason, level: number, upper: readonly Table[]): CompactionPick => ({
  reason,
  kind: 'drop',
  level,
  outputLevel: level,
  upper,
  lower: [],
});

/** The first level below `level` that holds tables in the range of `tables`; the last level if there is none. */
export const nextLevelWith = (version: Version, level: number, tables: readonly Table[]): number => {
  const [smallest, largest] = keyRange(tables);
  let next = level + 1;
  while (next < LAST_LEVEL && version.overlapping(next, smallest, largest).length === 0) next++;
  return next;
};

/** Key ranges of all tables that may hold older versions of what a pick writes. */
export const rangesBelow = (version: Version, pick: CompactionPick): (readonly [Uint8Array, Uint8Array])[] => {
  const [smallest, largest] = keyRange([...pick.upper, ...pick.lower]);
  const ranges: (readonly [Uint8Array, Uint8Array])[] = [];
  const add = ({ smallestKey, largestKey }: Table): unknown => ranges.push([smallestKey, largestKey]);
  if (pick.outputLevel === 0) {
    // Sequence numbers do not tell which of the others are older: those of a table that was ingested lie among those of another.
    version
      .overlapping(0, smallest, largest)
      .filter((table) => !pick.upper.includes(table))
      .forEach(add);
  }
  for (let below = pick.outputLevel + 1; below < LEVELS; below++) {
    version.overlapping(below, smallest, largest).forEach(add);
  }
  return ranges;
};

/** Smallest and largest key of at least one table. */
export const keyRange = (tables: readonly Table[]): readonly [Uint8Array, Uint8Array] => {
  let { smallestKey, largestKey } = tables[0]!;
  for (const table of tables) {
    if (compareKeys(table.smallestKey, smallestKey) < 0) smallestKey = table.smallestKey;
    if (compareKeys(table.largestKey, largestKey) > 0) largestKey = table.largestKey;
  }
  return [smallestKey, largestKey];
};

/** True if nothing below `level` (and, for L0, nothing older in it) overlaps the table. */
export const isBottom = (version: Version, level: number, table: Table): boolean => {
  const { smallestKey, largestKey, meta } = table;
  for (let below = level + 1; below < LEVELS; below++) {
    if (version.overlapping(below, smallestKey, largestKey).length > 0) return false;
  }
  if (level > 0) return true;
  const others = version.overlapping(0, smallestKey, largestKey).filter((other) => other !== table);
  return others.every((other) => other.meta.smallestSeq >= meta.largestSeq);
};

/** True if a merge at the bottom would leave something of the table out. */
const hasGarbage = (version: Version, outputLevel: number, table: Table): boolean => {
  const { tombstones, shadowed } = table.meta;
  return shadowed > 0 || (tombstones > 0 && isBottom(version, outputLevel, table));
};

const areDisjoint = (tables: readonly Table[]): boolean => {
  const sorted = [...tables].sort((a, b) => compareKeys(a.smallestKey, b.smallestKey));
  return sorted.every((table, i) => i === 0 || compareKeys(sorted[i - 1]!.largestKey, table.smallestKey) < 0);
};
