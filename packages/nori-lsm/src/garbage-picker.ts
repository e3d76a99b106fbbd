// Chooses what to compact for what can be reclaimed, when no level is over its target: tables in which much is deleted,
// hidden or expired. What range tombstones hide goes first, wherever it is: the table goes, or is rewritten where it is (range-garbage.ts).
// Each other table is judged by its payoff: the entries that would go, for each entry that has to be rewritten. A
// table with nothing below it is rewritten where it is; any other is merged into the first level that has something below
// it, where its tombstones meet what they hide; one in which all has expired, with nothing below, just goes.
//
// It comes to rest. What an open snapshot may still see is left alone until the snapshot is closed. A compaction that
// reclaimed less than it promised leaves tables of which more is asked (`Rest`); what has not expired is looked at again
// when the clock says so (`nextLookMs`).
import {
  type CompactionPick,
  isBottom,
  keyRange,
  nextLevelWith,
  pickDrop,
  pickInto,
  pickRewrite,
} from './compaction-pick.js';
import { LAST_LEVEL } from './level-targets.js';
import { LEVELS } from './limits.js';
import { rangeGarbage } from './range-garbage.js';
import type { RangeTombstones } from './range-tombstones.js';
import type { Table } from './table.js';
import type { ExpiryHorizon } from './task.js';
import type { Version } from './version.js';

/** From this payoff on a table is worth a compaction. */
export const PAYOFF_MIN = 0.25;
const PAYOFF_MAX = 0.95;

/** What a compaction for reclaiming left behind, for a table that it wrote. */
export interface Rest {
  /** Until the oldest snapshot is beyond, nothing hidden can go. */
  readonly oldestSnapshot: number;
  readonly payoffMin: number;
}

/** What the picker looks at. */
export interface GarbageView {
  readonly version: Version;
  /** Sequence number of the oldest open snapshot; infinite if there is none. */
  readonly oldestSnapshot: number;
  readonly horizon: ExpiryHorizon;
  /** See `TaskSettings`. */
  readonly hasMappedKeys: boolean;
  readonly ranges: RangeTombstones;
  /** Sequence numbers of the open snapshots, ascending. */
  readonly snapshots: readonly number[];
  readonly isBlocked: (table: Table) => boolean;
  readonly restOf: (table: Table) => Rest | undefined;
}

/** What {@link pickGarbage} finds. */
export interface GarbageFound {
  readonly pick?: CompactionPick;
  /** Something would be worth it but for an open snapshot. */
  readonly isHeldBySnapshot: boolean;
}

/** The compaction that reclaims enough to be worth its cost, from the last level up. */
export const pickGarbage = (view: GarbageView, base: number): GarbageFound => {
  let isHeldBySnapshot = false;
  for (let level = LAST_LEVEL; level >= 0; level--) {
    for (const table of view.version.tablesIn(level)) {
      const range = rangeGarbage(view.ranges, view.snapshots, table);
      if (range === 'held') isHeldBySnapshot = true;
      else if (range !== 'none' && !view.isBlocked(table)) {
        const pick = range === 'all' ? pickDrop('ranges', level, [table]) : pickRewrite('ranges', level, table);
        return { pick, isHeldBySnapshot };
      }
      const { tombstones, shadowed, expiring } = table.meta;
      if (tombstones + shadowed + expiring === 0 || view.isBlocked(table)) continue;
      if (isWhollyExpired(view, level, table)) return { pick: pickDrop('expired', level, [table]), isHeldBySnapshot };
      // L0 overlaps itself: what is judged there is all of it, with its newest table.
      const upper = level === 0 ? view.version.tablesIn(0) : [table];
      if (!isWorthIt(view, level, upper, base)) continue;
      if (isHeld(view, upper)) isHeldBySnapshot = true;
      else if (!upper.some(view.isBlocked)) {
        const pick = pickDown(view, level, upper, base);
        if (!pick.lower.some(view.isBlocked)) return { pick, isHeldBySnapshot };
      }
    }
  }
  return { isHeldBySnapshot };
};

/**
 * When the next table will be worth a look for what expires in it, as wall time; undefined: none will. Times that have
 * passed without {@link pickGarbage} finding anything are passed over, up to the moment when all in the table has expired.
 */
export const nextLookMs = (version: Version, nowMs: number): number | undefined => {
  let next = Number.POSITIVE_INFINITY;
  for (let level = 0; level < LEVELS; level++) {
    for (const table of version.tablesIn(level)) {
      const { entries, expiring, earliestExpiryMs } = table.meta;
      if (expiring === 0) continue;
      const share = (PAYOFF_MIN * entries) / expiring;
      const latest = table.latestExpiryMs;
      if (share <= 1) {
        const due = earliestExpiryMs + share * (latest - earliestExpiryMs);
        if (due > nowMs) next = Math.min(next, due);
      }
      if (latest > nowMs) next = Math.min(next, latest);
    }
  }
  return Number.isFinite(next) ? Math.ceil(next) : undefined;
};

const pickDown = ({ version }: GarbageView, level: number, upper: readonly Table[], base: number): CompactionPick => {
  const reason = upper.some(({ meta }) => meta.tombstones + meta.shadowed > 0) ? 'tombstones' : 'expired';
  if (level === 0) return { ...pickInto(version, reason, 0, upper, base), kind: 'merge' };
  if (isBottom(version, level, upper[0]!)) return pickRewrite(reason, level, upper[0]!);
  return pickInto(version, reason, level, upper, nextLevelWith(version, level, upper));
};

/** Every put in the table has expired for good, and its tombstones and expired entries hide nothing. */
const isWhollyExpired = (view: GarbageView, level: number, table: Table): boolean => {
  const { entries, tombstones, expiring } = table.meta;
  if (expiring === 0 || expiring + tombstones < entries) return false;
  return table.latestExpiryMs <= horizonOf(view, table, 'strict') && isBottom(view.version, level, table);
};

/** True if a snapshot may see what would go. */
const isHeld = ({ oldestSnapshot }: GarbageView, upper: readonly Table[]): boolean =>
  upper.some(({ meta }) => meta.largestSeq > oldestSnapshot);

const isWorthIt = (view: GarbageView, level: number, upper: readonly Table[], base: number): boolean => {
  const { version } = view;
  const next = level === 0 ? base : level < LAST_LEVEL ? nextLevelWith(version, level, upper) : LAST_LEVEL;
  const [smallest, largest] = keyRange(upper);
  const lower = level === LAST_LEVEL ? [] : version.overlapping(next, smallest, largest);
  let rewritten = 0;
  let gone = 0;
  let payoffMin = PAYOFF_MIN;
  for (const table of [...upper, ...lower]) {
    rewritten += table.meta.entries;
    gone += table.meta.shadowed + expiredIn(view, table);
    const rest = view.restOf(table);
    const isAtRest = rest !== undefined && view.oldestSnapshot <= rest.oldestSnapshot;
    if (isAtRest) payoffMin = Math.max(payoffMin, rest.payoffMin);
  }
  // A tombstone takes what it hides with it, here or on its way down, and goes itself once there is nothing below.
  let tombstones = 0;
  for (const { meta } of upper) tombstones += meta.tombstones;
  gone += Math.min(tombstones, entriesBelow(version, next, smallest, largest, level === LAST_LEVEL));
  if (entriesBelow(version, next, smallest, largest, true) === 0) gone += tombstones;
  return gone > 0 && gone >= payoffMin * rewritten;
};

/** Entries of the tables from level `first` on (or below it) that overlap the range. */
const entriesBelow = (
  version: Version,
  first: number,
  smallest: Uint8Array,
  largest: Uint8Array,
  isExclusive: boolean,
): number => {
  let entries = 0;
  for (let level = isExclusive ? first + 1 : first; level < LEVELS; level++) {
    for (const { meta } of version.overlapping(level, smallest, largest)) entries += meta.entries;
  }
  return entries;
};

/** How many entries of a table have probably expired: expiries are taken to be spread evenly. */
const expiredIn = (view: GarbageView, table: Table): number => {
  const { expiring, earliestExpiryMs } = table.meta;
  if (expiring === 0) return 0;
  const nowMs = horizonOf(view, table, 'likely');
  const latest = table.latestExpiryMs;
  if (nowMs < earliestExpiryMs) return 0;
  return nowMs >= latest ? expiring : (expiring * (nowMs - earliestExpiryMs + 1)) / (latest - earliestExpiryMs + 1);
};

/**
 * The time up to which all keys of a table may have expired. By prefix, the least of its range; `likely` leaves out
 * prefixes without a time, which as a rule have no keys.
 */
const horizonOf = (
  { horizon, hasMappedKeys }: GarbageView,
  { smallestKey, largestKey }: Table,
  mode: 'strict' | 'likely',
): number => {
  if (typeof horizon === 'number') return horizon;
  // What prefixes such keys have is not told by where they lie.
  if (hasMappedKeys && largestKey[0] === 0xff) return 0;
  if (smallestKey.length < 2 || largestKey.length < 2) return 0;
  const last = (largestKey[0]! << 8) | largestKey[1]!;
  if (last >= horizon.length) return 0;
  let least = Number.POSITIVE_INFINITY;
  for (let prefix = (smallestKey[0]! << 8) | smallestKey[1]!; prefix <= last; prefix++) {
    const nowMs = horizon[prefix]!;
    if (nowMs > 0 || mode === 'strict') least = Math.min(least, nowMs);
  }
  return Number.isFinite(least) ? least : 0;
};

/** What is to be asked of the tables that a compaction wrote, if it reclaimed less than it promised. */
export const restAfter = (
  entriesBefore: number,
  entriesAfter: number,
  oldestSnapshot: number,
  before: number,
): Rest | undefined => {
  if (entriesBefore - entriesAfter >= (PAYOFF_MIN / 2) * entriesBefore) return undefined;
  return { oldestSnapshot, payoffMin: before >= 0.5 ? Number.POSITIVE_INFINITY : Math.min(PAYOFF_MAX, before * 2) };
};
