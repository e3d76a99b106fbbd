// Chooses what to compact next: the level that is most over its target, and in it the table that costs least to move down.
//
// L0 counts tables, because every read asks each of them; other levels count bytes against a target that grows by the
// level ratio. A score of 1 means full. Compaction of L0 takes all its tables, since they overlap each other.
import { compareKeys } from './bytes.js';
import { LEVELS } from './limits.js';
import type { Table } from './table.js';
import type { Version } from './version.js';

/** Shape of the tree. */
export interface TreeShape {
  readonly l0Trigger: number;
  readonly levelBytesBase: number;
  readonly levelRatio: number;
}

/** Tables to merge into the level below (or to rewrite in place, if both levels are the same). */
export interface CompactionPick {
  readonly level: number;
  readonly outputLevel: number;
  /** Tables of `level`. */
  readonly upper: readonly Table[];
  /** Tables of `outputLevel` that overlap them. */
  readonly lower: readonly Table[];
  /** Nothing to merge and nothing to drop: the tables just change their level. */
  readonly isMove: boolean;
}

/** How many bytes a level should hold at most. */
const levelTarget = (shape: TreeShape, level: number): number => shape.levelBytesBase * shape.levelRatio ** (level - 1);

/** How full a level is; from 1 on it is to be compacted. */
const levelScore = (version: Version, shape: TreeShape, level: number): number => {
  if (level === 0) return version.tablesIn(0).length / shape.l0Trigger;
  if (level >= LEVELS - 1) return 0;
  return version.bytesIn(level) / levelTarget(shape, level);
};

/** The compaction that is most needed; undefined if none is. */
export const pickCompaction = (version: Version, shape: TreeShape): CompactionPick | undefined => {
  let best = -1;
  let bestScore = 1;
  for (let level = 0; level < LEVELS - 1; level++) {
    const score = levelScore(version, shape, level);
    if (score >= bestScore && (best < 0 || score > bestScore)) {
      best = level;
      bestScore = score;
    }
  }
  if (best < 0) return undefined;
  return pickFrom(version, best, best === 0 ? version.tablesIn(0) : [leastOverlap(version, best)]);
};

/** The compaction that moves these tables of a level down; undefined if there are none. */
export const pickFrom = (version: Version, level: number, upper: readonly Table[]): CompactionPick | undefined => {
  if (upper.length === 0) return undefined;
  const [smallest, largest] = keyRange(upper);
  const lower = version.overlapping(level + 1, smallest, largest);
  const isMove =
    lower.length === 0 && areDisjoint(upper) && upper.every((table) => !hasGarbage(version, level + 1, table));
  return { level, outputLevel: level + 1, upper, lower, isMove };
};

/** Rewrites one table where it is, to drop what it need not hold. */
export const pickRewrite = (level: number, table: Table): CompactionPick => ({
  level,
  outputLevel: level,
  upper: [table],
  lower: [],
  isMove: false,
});

/** Key ranges of all tables below `level` that overlap these keys. */
export const rangesBelow = (
  version: Version,
  level: number,
  smallest: Uint8Array,
  largest: Uint8Array,
): (readonly [Uint8Array, Uint8Array])[] => {
  const ranges: (readonly [Uint8Array, Uint8Array])[] = [];
  for (let below = level + 1; below < LEVELS; below++) {
    for (const table of version.overlapping(below, smallest, largest)) {
      ranges.push([table.smallestKey, table.largestKey]);
    }
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

/** The table of a level that drags along the fewest bytes of the next for each byte of its own. */
const leastOverlap = (version: Version, level: number): Table => {
  let best: Table | undefined;
  let bestRatio = Infinity;
  for (const table of version.tablesIn(level)) {
    let below = 0;
    for (const other of version.overlapping(level + 1, table.smallestKey, table.largestKey))
      below += other.meta.fileBytes;
    const ratio = below / table.meta.fileBytes;
    if (ratio < bestRatio) {
      best = table;
      bestRatio = ratio;
    }
  }
  return best!;
};

/** True if a merge at the bottom would leave something of the table out. */
const hasGarbage = (version: Version, outputLevel: number, table: Table): boolean => {
  const { tombstones, shadowed } = table.meta;
  if (tombstones === 0 && shadowed === 0) return false;
  return shadowed > 0 || rangesBelow(version, outputLevel, table.smallestKey, table.largestKey).length === 0;
};

const areDisjoint = (tables: readonly Table[]): boolean => {
  const sorted = [...tables].sort((a, b) => compareKeys(a.smallestKey, b.smallestKey));
  return sorted.every((table, i) => i === 0 || compareKeys(sorted[i - 1]!.largestKey, table.smallestKey) < 0);
};
