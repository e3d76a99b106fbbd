// How much of a table range tombstones hide from every reader, for those who choose what to compact.

import type { RangeTombstones } from './range-tombstones.js';
import type { Table } from './table.js';
import { stripeOf } from './version-filter.js';

/** From this part of its data on a table is worth being rewritten. */
const SHARE_MIN = 0.25;
/** Each range counts as so many blocks at least: tombstones that wait for tables to be rewritten cost every read a little. */
const BLOCKS_MIN = 4;

/**
 * `all`: everything in the table is hidden from everyone; `much`: enough to rewrite it; `held`: so much, but an open snapshot sees
 * some of it; `none`: little or nothing.
 * @param snapshots sequence numbers of the open snapshots, ascending
 */
export type RangeGarbage = 'all' | 'much' | 'held' | 'none';

/** See {@link RangeGarbage}. */
export const rangeGarbage = (ranges: RangeTombstones, snapshots: readonly number[], table: Table): RangeGarbage => {
  if (!mayHide(ranges, table)) return 'none';
  const { smallestSeq, largestSeq, cleanSeq, smallestKey, largestKey } = table.meta;
  const [first, last] = ranges.intervals(smallestKey, largestKey);
  const isSeen = (hiddenFrom: number): boolean => stripeOf(snapshots, smallestSeq) !== stripeOf(snapshots, hiddenFrom);
  let isWhole = true;
  let isHeld = false;
  let bytes = 0;
  for (let interval = first; interval <= last; interval++) {
    const newest = ranges.newestIn(interval, Number.MAX_SAFE_INTEGER);
    const hidesAll = ranges.oldestAbove(interval, largestSeq);
    if (hidesAll === 0 || isSeen(hidesAll)) isWhole = false;
    if (newest <= Math.max(smallestSeq, cleanSeq)) continue;
    if (isSeen(newest)) isHeld = true;
    bytes += Math.max(bytesIn(ranges, interval, table), BLOCKS_MIN * table.blockBytes);
  }
  if (isWhole) return 'all';
  if (bytes === 0 || bytes < SHARE_MIN * table.dataBytes) return 'none';
  return isHeld ? 'held' : 'much';
};

/** True if some range tombstone may hide something in the table. */
export const mayHide = (ranges: RangeTombstones, { meta }: Table): boolean => {
  const { smallestSeq, cleanSeq, smallestKey, largestKey } = meta;
  if (ranges.newestSeq <= Math.max(smallestSeq, cleanSeq)) return false;
  const [first, last] = ranges.intervals(smallestKey, largestKey);
  for (let interval = first; interval <= last; interval++) {
    if (ranges.newestIn(interval, Number.MAX_SAFE_INTEGER) > Math.max(smallestSeq, cleanSeq)) return true;
  }
  return false;
};

/** About how many bytes of the table's data lie in an interval. */
const bytesIn = (ranges: RangeTombstones, interval: number, table: Table): number => {
  const from = interval < 0 ? 0 : table.approximateOffset(ranges.startOf(interval));
  const end = ranges.endOf(interval);
  return (end === undefined ? table.dataBytes : table.approximateOffset(end)) - from;
};
