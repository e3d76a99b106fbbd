// What a database should hold, over a fixed set of keys: one slot for each, in key order, so that copies, ranges and
// comparisons cost next to nothing. And the history of all writes, which a crash cuts back.

import { compareKeys } from '../../src/bytes.js';
import type { RangeOptions } from '../../src/index.js';

/** A key's value, and when it expires (0: never). */
export interface ModelEntry {
  readonly value: Uint8Array;
  readonly expiresAtMs: number;
}

/** One operation; without entry a delete. */
export interface ModelWrite {
  readonly key: number;
  readonly entry: ModelEntry | undefined;
}

/** True if `entry` shows at `nowMs`. */
export const isLive = (entry: ModelEntry | undefined, nowMs: number): entry is ModelEntry =>
  entry !== undefined && (entry.expiresAtMs === 0 || entry.expiresAtMs > nowMs);

/** See the top of the file. */
export class KeyModel {
  /** In order. */
  readonly keys: readonly Uint8Array[];
  readonly entries: (ModelEntry | undefined)[];

  constructor(keys: readonly Uint8Array[], entries: (ModelEntry | undefined)[] = new Array(keys.length)) {
    this.keys = keys;
    this.entries = entries;
  }

  apply(writes: readonly ModelWrite[]): void {
    for (const { key, entry } of writes) this.entries[key] = entry;
  }

  get(key: number, nowMs: number): Uint8Array | undefined {
    const entry = this.entries[key];
    return isLive(entry, nowMs) ? entry.value : undefined;
  }

  copy(): KeyModel {
    return new KeyModel(this.keys, this.entries.slice());
  }

  /** Slots of the live keys within a range, in the direction of the range. */
  list(options: RangeOptions, nowMs: number): number[] {
    const found: number[] = [];
    for (let i = 0; i < this.keys.length; i++) {
      if (isLive(this.entries[i], nowMs) && isInRange(this.keys[i]!, options)) found.push(i);
    }
    return options.reverse ? found.reverse() : found;
  }
}

/** True if a cursor with these options shows `key`. */
export const isInRange = (key: Uint8Array, { gte, gt, lte, lt, prefix }: RangeOptions): boolean => {
  const against = (bound: RangeOptions['gte']): number => compareKeys(key, bound as Uint8Array);
  if (gte !== undefined ? against(gte) < 0 : gt !== undefined && against(gt) <= 0) return false;
  if (lte !== undefined ? against(lte) > 0 : lt !== undefined && against(lt) >= 0) return false;
  return prefix === undefined || (prefix as Uint8Array).every((byte, i) => byte === key[i]);
};

interface WriteGroup {
  /** Sequence number of its last operation. */
  readonly end: number;
  readonly writes: readonly ModelWrite[];
  /** What the counter in the other keyspace is set to. */
  readonly count: number | undefined;
}

/** The history as it was at some moment, whatever becomes of it. */
export class HistoryView {
  readonly #groups: readonly WriteGroup[];

  constructor(groups: readonly WriteGroup[]) {
    this.#groups = groups;
  }

  /** What operations up to `sequence` leave; undefined if that splits a group. */
  stateAt(sequence: number, keys: readonly Uint8Array[]): KeyModel | undefined {
    const model = new KeyModel(keys);
    let end = 0;
    for (const group of this.#groups) {
      if (group.end > sequence) break;
      model.apply(group.writes);
      end = group.end;
    }
    return end === sequence ? model : undefined;
  }

  /** The counter in the other keyspace after operations up to `sequence`; undefined: it was never written. */
  countAt(sequence: number): number | undefined {
    return this.#groups.findLast(({ end, count }) => end <= sequence && count !== undefined)?.count;
  }
}

/** All writes ever issued, in order; each group of them happens whole or not at all. */
export class History {
  /** Grows in place, is cut into a new array: views stay good. */
  #groups: WriteGroup[] = [];

  /** Operations so far: the sequence number of the last one. */
  get sequence(): number {
    return this.#groups.at(-1)?.end ?? 0;
  }

  view(): HistoryView {
    return new HistoryView(this.#groups);
  }

  /** Adds a group, of so many operations for the database, and tells the sequence number of its last operation. */
  add(writes: readonly ModelWrite[], operations = writes.length, count?: number): number {
    const end = this.sequence + operations;
    this.#groups.push({ end, writes, count });
    return end;
  }

  /** Forgets what came after operation `sequence`. */
  cut(sequence: number): void {
    this.#groups = this.#groups.filter(({ end }) => end <= sequence);
  }
}
