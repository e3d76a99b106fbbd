// How many bytes each level should hold, from the bottom up: the last level holds the data and has no target; each level
// above it is to hold a `levelRatio`-th of the one below, up to the first that fits into `levelBytesBase`. That is the
// base level, into which L0 is compacted; levels between L0 and it stay empty. So all levels above the last hold about a
// ninth of it together, and space stays near 1.11 of what the data needs, whatever its size.
//
//   small:  L0 ───────────────────────► L6          base 6
//   then:   L0 ─────────────────► L5 ─► L6          base 5, L5 = L6 / 10
//   then:   L0 ───────────► L4 ─► L5 ─► L6          base 4, L4 = L6 / 100
//
// A tree that was filled from the top (earlier versions), or has shrunk, has tables above its base. Those levels drain:
// their target is 0, and L0 is compacted into the uppermost of them until it is empty, so that newer stays above older.
import { LEVELS } from './limits.js';
import type { Version } from './version.js';

/** The lowest level. */
export const LAST_LEVEL = LEVELS - 1;

/** Shape of the tree. */
export interface TreeShape {
  readonly l0Trigger: number;
  readonly l0Stop: number;
  readonly levelBytesBase: number;
  readonly levelRatio: number;
}

/** What {@link levelTargets} finds. */
export interface LevelTargets {
  /** Where L0 is compacted to. */
  readonly base: number;
  /** The level that would be the base if nothing lay above it. */
  readonly settledBase: number;
  /** Bytes each level should hold at most; 0: it is to be empty; infinite for the last level and for L0, which counts tables. */
  readonly bytes: readonly number[];
}

/** Targets for a tree as it is now. */
export const levelTargets = (version: Version, { levelBytesBase, levelRatio }: TreeShape): LevelTargets => {
  let first = 1;
  while (first < LAST_LEVEL && version.tablesIn(first).length === 0) first++;
  let largest = 0;
  for (let level = 1; level < LEVELS; level++) largest = Math.max(largest, version.bytesIn(level));
  let settledBase = LAST_LEVEL;
  let size = largest;
  while (settledBase > 1 && size > levelBytesBase) {
    settledBase--;
    size /= levelRatio;
  }
  // A tree about to need one level less keeps it for a while: it must not fill and drain a level by turns.
  if (first === settledBase - 1 && size / levelRatio > levelBytesBase / levelRatio / 2) {
    settledBase--;
    size /= levelRatio;
  }
  const bytes = new Array<number>(LEVELS).fill(0);
  bytes[0] = bytes[LAST_LEVEL] = Number.POSITIVE_INFINITY;
  for (let level = settledBase; level < LAST_LEVEL; level++) {
    bytes[level] = size;
    size *= levelRatio;
  }
  return { base: Math.min(first, settledBase), settledBase, bytes };
};

/** How full each level is; from 1 on it is to be compacted. */
export const levelScores = (version: Version, shape: TreeShape, targets: LevelTargets): number[] => {
  const scores = targets.bytes.map((target, level) => {
    const bytes = version.bytesIn(level);
    // A level that drains is in nobody's way: it goes after everything that is.
    return target > 0 ? bytes / target : bytes > 0 ? 1 : 0;
  });
  const count = version.tablesIn(0).length;
  // Below the stop, whatever is most over its target costs most to leave. At the stop writers wait.
  scores[0] = (count / shape.l0Trigger) * (count >= shape.l0Stop ? 2 : 1);
  return scores;
};

/** About how many bytes compactions have to write until every level meets its target: what stands between now and rest. */
export const pendingCompactionBytes = (version: Version, shape: TreeShape, targets: LevelTargets): number => {
  let pending = 0;
  let arriving = 0;
  if (version.tablesIn(0).length >= shape.l0Trigger) {
    arriving = version.bytesIn(0);
    pending += arriving + version.bytesIn(targets.base);
  }
  for (let level = targets.base; level < LAST_LEVEL; level++) {
    const bytes = version.bytesIn(level) + arriving;
    const over = Math.max(0, bytes - targets.bytes[level]!);
    if (over > 0) pending += over * (1 + version.bytesIn(level + 1) / bytes);
    arriving = over;
  }
  return Math.round(pending);
};
