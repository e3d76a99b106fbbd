// Chooses what to compact next by size: the level that is most over its target, and in it the table that drags along least.
//
// L0 counts tables, because every read asks each of them; other levels count bytes (level-targets.ts). Tables that
// cannot be compacted for now are passed over: what does not touch them goes on.
import { compareKeys } from './bytes.js';
import { type CompactionPick, keyRange, nextLevelWith, pickInto } from './compaction-pick.js';
import { LAST_LEVEL, type LevelTargets, levelScores, levelTargets, type TreeShape } from './level-targets.js';
import { LEVELS } from './limits.js';
import type { Table } from './table.js';
import type { Version } from './version.js';

/** L0 is merged within itself while merging it into the base level would rewrite so many times its own bytes. */
const INTRA_L0_RATIO = 2;
/** Fewest tables worth merging within L0; fewer only where nothing else can be done. */
const INTRA_L0_TABLES = 4;

/** What the picker looks at. */
export interface PickerView {
  readonly version: Version;
  readonly shape: TreeShape;
  /** True for a table whose compaction failed a short while ago. */
  readonly isBlocked: (table: Table) => boolean;
}

/** The compaction that the sizes of levels ask for most; undefined if none does. */
export const pickBySize = (view: PickerView): CompactionPick | undefined => {
  const { version, shape } = view;
  const targets = levelTargets(version, shape);
  const sinking = pickSinking(view, targets);
  if (sinking !== undefined) return sinking;
  const scores = levelScores(version, shape, targets);
  const due = scores.flatMap((score, level) => (score >= 1 && level < LAST_LEVEL ? [level] : []));
  due.sort((a, b) => scores[b]! - scores[a]!);
  for (const level of due) {
    const pick = level === 0 ? pickL0(view, targets.base) : pickFrom(view, level, targets.bytes[level] === 0);
    if (pick !== undefined) return pick;
  }
  return undefined;
};

/**
 * A whole level that has nothing but empty levels between itself and where it belongs: a change of the list of tables is
 * enough. That is how a tree that an earlier version filled from the top comes to stand on the last level.
 */
const pickSinking = ({ version }: PickerView, { settledBase }: LevelTargets): CompactionPick | undefined => {
  const { deepestLevel } = version;
  for (let level = LAST_LEVEL - 1; level > 0; level--) {
    const upper = version.tablesIn(level);
    if (upper.length === 0) continue;
    const floor = level === deepestLevel ? LAST_LEVEL : settledBase;
    let outputLevel = level;
    while (outputLevel < floor && version.tablesIn(outputLevel + 1).length === 0) outputLevel++;
    if (outputLevel > level) return { reason: 'drain', kind: 'move', level, outputLevel, upper, lower: [] };
  }
  return undefined;
};

/** All of L0, which overlaps itself, into the base level; or only within itself, while that is much cheaper. */
export const pickL0 = (view: PickerView, base: number): CompactionPick | undefined => {
  const { version, isBlocked } = view;
  const tables = version.tablesIn(0);
  // What is newer than a table that must stay has to stay above it.
  const upper = tables.slice(tables.findLastIndex(isBlocked) + 1);
  const down = upper.length === 0 ? undefined : pickInto(version, 'l0', 0, upper, base);
  if (down === undefined || down.lower.some(isBlocked)) return pickIntraL0(view, 2);
  if (bytesOf(down.lower) > INTRA_L0_RATIO * bytesOf(upper)) return pickIntraL0(view, INTRA_L0_TABLES) ?? down;
  return down;
};

/** The newest tables of L0, as long as each more makes it cheaper to have one table less. */
const pickIntraL0 = ({ version, shape, isBlocked }: PickerView, tablesMin: number): CompactionPick | undefined => {
  const tables = version.tablesIn(0);
  let from = 0;
  while (from < tables.length && isBlocked(tables[from]!)) from++;
  let end = from;
  let bytes = 0;
  let costBefore = Number.POSITIVE_INFINITY;
  for (; end < tables.length && !isBlocked(tables[end]!); end++) {
    const { fileBytes } = tables[end]!.meta;
    const cost = end === from ? Number.POSITIVE_INFINITY : (bytes + fileBytes) / (end - from);
    if (cost > costBefore || bytes + fileBytes > shape.levelBytesBase) break;
    costBefore = cost;
    bytes += fileBytes;
  }
  if (end - from < tablesMin) return undefined;
  return { reason: 'intra-l0', kind: 'merge', level: 0, outputLevel: 0, upper: tables.slice(from, end), lower: [] };
};

/** The table of a level that is cheapest to move down. */
const pickFrom = (view: PickerView, level: number, isDraining: boolean): CompactionPick | undefined => {
  const { version, isBlocked } = view;
  const below = isDraining ? nextLevelWith(version, level, version.tablesIn(level)) : level + 1;
  for (const table of byOverlap(version, level, below)) {
    if (isBlocked(table)) continue;
    const pick = pickInto(version, isDraining ? 'drain' : 'size', level, [table], below);
    if (!pick.lower.some(isBlocked)) return pick;
  }
  return undefined;
};

interface Order {
  readonly below: readonly Table[];
  readonly tables: readonly Table[];
}

/** The order of a level by overlap, for as long as neither it nor the level below has changed. */
const orders = new WeakMap<readonly Table[], Order>();

/**
 * The tables of a level by how many bytes of a level below each drags along for each byte of its own, fewest first. One
 * walk along both levels; versions share the lists of levels that did not change.
 */
export const byOverlap = (version: Version, level: number, belowLevel: number): readonly Table[] => {
  const upper = version.tablesIn(level);
  const below = version.tablesIn(belowLevel);
  const known = orders.get(upper);
  if (known?.below === below) return known.tables;
  const rated: { readonly table: Table; readonly ratio: number }[] = [];
  let first = 0;
  for (const table of upper) {
    while (first < below.length && compareKeys(below[first]!.largestKey, table.smallestKey) < 0) first++;
    let bytes = 0;
    for (let i = first; i < below.length && compareKeys(below[i]!.smallestKey, table.largestKey) <= 0; i++) {
      bytes += below[i]!.meta.fileBytes;
    }
    rated.push({ table, ratio: bytes / table.meta.fileBytes });
  }
  rated.sort((a, b) => a.ratio - b.ratio);
  const tables = rated.map(({ table }) => table);
  orders.set(upper, { below, tables });
  return tables;
};

/** Keys at which a merge into `outputLevel` should cut its tables: the ends of the tables they will next be merged with. */
export const cutsFor = (version: Version, { outputLevel, upper, lower }: CompactionPick): readonly Uint8Array[] => {
  if (outputLevel === 0) return [];
  const [smallest, largest] = keyRange([...upper, ...lower]);
  for (let level = outputLevel + 1; level < LEVELS; level++) {
    if (version.tablesIn(level).length === 0) continue;
    return version.overlapping(level, smallest, largest).map((table) => table.largestKey);
  }
  return [];
};

const bytesOf = (tables: readonly Table[]): number => tables.reduce((sum, { meta }) => sum + meta.fileBytes, 0);
