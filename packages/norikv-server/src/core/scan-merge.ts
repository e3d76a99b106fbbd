// Runs of any number of sources as one sorted sequence, up to a limit of entries and bytes.
import type { Version } from '../domain/version.js';
import type { ScanRun } from './scan-heap.js';
import { RunHeap } from './scan-heap.js';
import { compareKeys } from './scan-range.js';
import type { ScanSlicer } from './scan-slicer.js';

/** A key as a scan gives it. */
export interface ScanEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: Version;
}

/** What came of a merge. */
export interface Merged {
  readonly entries: readonly ScanEntry[];
  /** The last key that was dealt with, if there may be others behind it; undefined: there are none. */
  readonly resume: Uint8Array | undefined;
}

/** How much is wanted. The first entry is given whatever its size. */
export interface MergeLimits {
  readonly entries: number;
  readonly bytes: number;
}

/**
 * @param completeTo nothing may be said of keys behind this one, which the runs do not have all; undefined: they have
 * @throws NodeError what reading a value throws, and what the slicer does
 */
export const mergeRuns = async (
  runs: readonly ScanRun[],
  reverse: boolean,
  limits: MergeLimits,
  slicer: ScanSlicer,
  completeTo?: Uint8Array,
): Promise<Merged> => {
  const isPast = (key: Uint8Array): boolean => {
    if (completeTo === undefined) return false;
    return reverse ? compareKeys(key, completeTo) < 0 : compareKeys(key, completeTo) > 0;
  };
  const heap = new RunHeap(reverse);
  for (const run of runs) if (run.items.length > 0) heap.push(run);
  const entries: ScanEntry[] = [];
  let bytes = 0;
  let last: Uint8Array | undefined;
  for (let run = heap.top(); run !== undefined; run = heap.top()) {
    const item = run.items[run.at]!;
    if (isPast(item.key)) break;
    let stored = item.stored;
    if (stored === undefined) {
      const current = run.current(item);
      stored = current instanceof Promise ? await current : current;
    }
    if (stored !== undefined) {
      const entryBytes = item.key.length + stored.value.length;
      const isFull = entries.length === limits.entries || (entries.length > 0 && bytes + entryBytes > limits.bytes);
      if (isFull) return { entries, resume: last };
      entries.push({ key: item.key, value: stored.value, version: { term: stored.term, index: stored.index } });
      bytes += entryBytes;
    }
    last = item.key;
    run.at++;
    if (run.at === run.items.length && !run.exhausted && !run.refill()) return { entries, resume: last };
    if (run.at === run.items.length) heap.pop();
    else heap.sink();
    const pause = slicer.pause();
    if (pause !== undefined) await pause;
  }
  return { entries, resume: completeTo };
};
