// Range tombstones: deletes of whole ranges of keys (docs/adr/0007-range-tombstones-in-the-manifest.md). One of sequence number S hides
// every entry in its range with a smaller sequence number from readers at S and later.
//
// The set cuts the keys into intervals at the bounds of all tombstones; each interval lists those that cover it, newest first, but only
// those that some reader can tell from newer ones: the newest, and one for each open snapshot at most. A
// look-up is a binary search by four bytes of the bounds, those behind what all of them share. Sets never change: cursors
// keep the one they began with.
import { compareKeys, compareRange, prefixHigh, prefixLow } from './bytes.js';
import type { TableMeta } from './table-meta.js';
import { stripeOf } from './version-filter.js';

/** One range tombstone. */
export interface RangeTombstone {
  readonly seq: number;
  /** First key. */
  readonly start: Uint8Array;
  /** The key behind the last; empty: the range has no end. */
  readonly end: Uint8Array;
}

/** Sequence numbers, descending. */
type Cover = readonly number[];

const NONE: Cover = [];

/** An immutable set; see the top of the file. */
export class RangeTombstones {
  static readonly EMPTY = new RangeTombstones([], [], [], 0);
  /** All of them, in the order in which they were added. */
  readonly list: readonly RangeTombstone[];
  /** Sequence number of the newest; 0 if there are none: nothing at or above it is hidden. */
  readonly newestSeq: number;
  /** Interval i goes from bound i to bound i + 1, the last one to the end of all keys. Before bound 0 nothing is covered. */
  readonly #bounds: readonly Uint8Array[];
  readonly #covers: readonly Cover[];
  /** Bytes that all bounds begin with, and of each bound the word behind them; made when first needed. */
  #common: Uint8Array = new Uint8Array(0);
  #words: Int32Array | undefined;
  /** The words behind these. */
  #nextWords: Int32Array = new Int32Array(0);

  private constructor(
    list: readonly RangeTombstone[],
    bounds: readonly Uint8Array[],
    covers: readonly Cover[],
    newestSeq: number,
  ) {
    this.list = list;
    this.#bounds = bounds;
    this.#covers = covers;
    this.newestSeq = newestSeq;
  }

  /**
   * The set of these tombstones, for readers at the open snapshots (ascending) and at the newest of the tombstones or later: of each
   * interval it keeps what these need.
   */
  static of(list: readonly RangeTombstone[], snapshots: readonly number[]): RangeTombstones {
    if (list.length === 0) return RangeTombstones.EMPTY;
    const bounds = distinct(list.flatMap(({ start, end }) => (end.length === 0 ? [start] : [start, end])));
    const covers: number[][] = bounds.map(() => []);
    // From the newest on: most intervals are complete with the first one, and are passed over from then on.
    const open = new Successors(bounds.length);
    const sorted = [...list].sort((a, b) => b.seq - a.seq);
    for (const { seq, start, end } of sorted) {
      const to = end.length === 0 ? bounds.length : lowerBound(bounds, end);
      for (let i = open.from(lowerBound(bounds, start)); i < to; i = open.from(i + 1)) {
        const cover = covers[i]!;
        if (cover.length === 0 || isSeenBetween(snapshots, seq, cover.at(-1)!)) cover.push(seq);
        if (stripeOf(snapshots, seq) === 0) open.remove(i);
      }
    }
    return new RangeTombstones(list, bounds, covers, sorted[0]!.seq);
  }

  /** This set with one more, which is newer than all. What it hides from everyone who could see it goes. */
  with(added: RangeTombstone, snapshots: readonly number[]): RangeTombstones {
    const bounds = this.#bounds.slice();
    const covers = this.#covers.slice();
    const split = (key: Uint8Array): number => {
      const at = lowerBound(bounds, key);
      if (at < bounds.length && compareKeys(bounds[at]!, key) === 0) return at;
      bounds.splice(at, 0, key);
      covers.splice(at, 0, covers[at - 1] ?? NONE);
      return at;
    };
    const from = split(added.start);
    const to = added.end.length === 0 ? bounds.length : split(added.end);
    const { seq } = added;
    const isAlone = snapshots.length === 0;
    const only: Cover = [seq];
    for (let i = from; i < to; i++) {
      const [newest] = covers[i]!;
      // Of the older ones at least the newest is needed by whoever can tell it from this one.
      const isKept = newest !== undefined && !isAlone && isSeenBetween(snapshots, newest, seq);
      covers[i] =
        newest === undefined || (!isKept && covers[i]!.length === 1)
          ? only
          : [seq, ...covers[i]!.slice(isKept ? 0 : 1)];
    }
    if (isAlone) removeInner(bounds, covers, from, to);
    const kept = neededBeside(added, this.list, snapshots);
    return new RangeTombstones([...kept, added], bounds, covers, seq);
  }

  get isEmpty(): boolean {
    return this.list.length === 0;
  }

  /** The interval that holds a key; -1: it lies before all of them. */
  intervalOf(bytes: Uint8Array, start: number, length: number): number {
    const words = this.#words ?? this.#index();
    const common = this.#common;
    const shared = common.length;
    for (let i = 0; i < shared; i++) {
      const difference = i < length ? bytes[start + i]! - common[i]! : -1;
      if (difference !== 0) return difference < 0 ? -1 : words.length - 1;
    }
    const word = prefixHigh(bytes, start + shared, length - shared);
    let low = firstAtOrAbove(words, word);
    if (words[low] !== word) return low - 1;
    // Among bounds with the key's word the next four bytes decide, and then the whole keys.
    let high = low + 1;
    while (words[high] === word && high - low < FEW_TIES) high++;
    if (words[high] === word) high = word === WORD_MAX ? words.length : firstAtOrAbove(words, word + 1);
    const nextWords = this.#nextWords;
    const nextWord = prefixLow(bytes, start + shared, length - shared);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = nextWords[middle]!;
      const isAfter = other === nextWord ? this.#isAfter(middle, bytes, start, length) : other > nextWord;
      if (isAfter) high = middle;
      else low = middle + 1;
    }
    return low - 1;
  }

  /** True if a bound is after the key, with which it shares what all bounds have in common. */
  #isAfter(at: number, bytes: Uint8Array, start: number, length: number): boolean {
    const bound = this.#bounds[at]!;
    return compareRange(bound, 0, bound.length, bytes, start, length, this.#common.length) > 0;
  }

  /** True if an interval holds the key, and that is plain to see: if false it may yet hold it. */
  plainlyHolds(interval: number, bytes: Uint8Array, start: number, length: number): boolean {
    const words = this.#words!;
    const common = this.#common;
    const shared = common.length;
    if (interval < 0 || length < shared) return false;
    for (let i = 0; i < shared; i++) if (bytes[start + i] !== common[i]) return false;
    const word = prefixHigh(bytes, start + shared, length - shared);
    const from = words[interval]!;
    const to = interval + 1 === words.length ? Number.POSITIVE_INFINITY : words[interval + 1]!;
    if (word > from && word < to) return true;
    if (word < from || word > to) return false;
    const nextWords = this.#nextWords;
    const nextWord = prefixLow(bytes, start + shared, length - shared);
    return (word > from || nextWord > nextWords[interval]!) && (word < to || nextWord < nextWords[interval + 1]!);
  }

  /** The newest tombstone of an interval that a reader at `readSeq` sees; 0: none. */
  newestIn(interval: number, readSeq: number): number {
    if (interval < 0) return 0;
    const cover = this.#covers[interval]!;
    for (let i = 0; i < cover.length; i++) if (cover[i]! <= readSeq) return cover[i]!;
    return 0;
  }

  /** The oldest tombstone of an interval that is newer than `entrySeq`; 0: none. */
  oldestAbove(interval: number, entrySeq: number): number {
    if (interval < 0) return 0;
    let found = 0;
    for (const seq of this.#covers[interval]!) {
      if (seq <= entrySeq) break;
      found = seq;
    }
    return found;
  }

  /** True if a reader at `readSeq` does not see the entry of `key` with sequence number `entrySeq`. */
  hides(key: Uint8Array, entrySeq: number, readSeq: number): boolean {
    if (entrySeq >= this.newestSeq) return false;
    return this.newestIn(this.intervalOf(key, 0, key.length), readSeq) > entrySeq;
  }

  /** True if a reader at `readSeq` sees nothing of a table because range tombstones cover all of it. */
  hidesAllOf({ smallestKey, largestKey, largestSeq }: TableMeta, readSeq: number): boolean {
    if (largestSeq >= this.newestSeq) return false;
    const [first, last] = this.intervals(smallestKey, largestKey);
    for (let interval = first; interval <= last; interval++) {
      if (this.newestIn(interval, readSeq) <= largestSeq) return false;
    }
    return true;
  }

  /** First key of an interval. */
  startOf(interval: number): Uint8Array {
    return this.#bounds[interval]!;
  }

  /** The key behind an interval; undefined: it has no end. */
  endOf(interval: number): Uint8Array | undefined {
    return this.#bounds[interval + 1];
  }

  /** Sequence numbers of those that hide something which no newer one hides from the same readers. */
  get needed(): Set<number> {
    return new Set(this.#covers.flat());
  }

  /** The list without what is not {@link RangeTombstones.needed}. */
  get prunedList(): RangeTombstone[] {
    const { needed } = this;
    return this.list.filter(({ seq }) => needed.has(seq));
  }

  /** The intervals that hold keys from `smallest` to `largest`, both included: first and last. */
  intervals(smallest: Uint8Array, largest: Uint8Array): readonly [first: number, last: number] {
    return [this.intervalOf(smallest, 0, smallest.length), this.intervalOf(largest, 0, largest.length)];
  }

  #index(): Int32Array {
    const bounds = this.#bounds;
    const first = bounds[0] ?? new Uint8Array(0);
    const last = bounds.at(-1) ?? first;
    let common = 0;
    while (common < first.length && common < last.length && first[common] === last[common]) common++;
    this.#common = first.subarray(0, common);
    this.#words = Int32Array.from(bounds, (bound) => prefixHigh(bound, common, bound.length - common));
    this.#nextWords = Int32Array.from(bounds, (bound) => prefixLow(bound, common, bound.length - common));
    return this.#words;
  }
}

/** Asks one set about entries that come in key order, in either direction: most lie in the interval of the one before. */
export class RangeProbe {
  readonly #set: RangeTombstones;
  #interval = -2;
  /** The newest tombstone of the interval for readers at that sequence number. */
  #newest = 0;
  #readSeq = -1;

  constructor(set: RangeTombstones) {
    this.#set = set;
  }

  /** Finds the interval of a key. */
  moveTo(bytes: Uint8Array, start: number, length: number): number {
    if (this.#interval < 0 || !this.#set.plainlyHolds(this.#interval, bytes, start, length)) {
      this.#interval = this.#set.intervalOf(bytes, start, length);
      this.#readSeq = -1;
    }
    return this.#interval;
  }

  /** As {@link RangeTombstones.hides}. */
  hides(bytes: Uint8Array, start: number, length: number, entrySeq: number, readSeq: number): boolean {
    if (entrySeq >= this.#set.newestSeq) return false;
    const interval = this.moveTo(bytes, start, length);
    if (readSeq !== this.#readSeq) {
      this.#readSeq = readSeq;
      this.#newest = this.#set.newestIn(interval, readSeq);
    }
    return this.#newest > entrySeq;
  }
}

const WORD_MAX = 0x7fff_ffff;
const FEW_TIES = 8;

/**
 * The first of these words, which are sorted, that is at or above `word`; their number if there is none. No branch depends on what is
 * compared, because none could be foretold: without their lowest bits, the sign of a difference tells which of two is smaller.
 */
const firstAtOrAbove = (words: Int32Array, word: number): number => {
  const half = word >> 1;
  let low = 0;
  for (let length = words.length; length > 1; ) {
    const step = length >>> 1;
    low += step & (((words[low + step - 1]! >> 1) - half) >> 31);
    length -= step;
  }
  while (low < words.length && words[low]! < word) low++;
  return low;
};

/** True if the tombstone covers a key from `smallest` to `largest`, both included. */
export const overlaps = ({ start, end }: RangeTombstone, smallest: Uint8Array, largest: Uint8Array): boolean =>
  compareKeys(start, largest) <= 0 && (end.length === 0 || compareKeys(smallest, end) < 0);

/** The numbers from 0 up to `count`, some of them removed: finds the next one that is left. */
class Successors {
  readonly #next: Int32Array;

  constructor(count: number) {
    this.#next = Int32Array.from({ length: count + 1 }, (_, i) => i);
  }

  /** The first that is left from `at` on; `count` if none is. */
  from(at: number): number {
    const next = this.#next;
    let found = at;
    while (next[found] !== found) found = next[found]!;
    // The next search takes the way at once.
    for (let i = at; next[i] !== found; ) {
      const after = next[i]!;
      next[i] = found;
      i = after;
    }
    return found;
  }

  remove(at: number): void {
    this.#next[at] = at + 1;
  }
}

/** True if a snapshot is at or after `older`, but before `newer`: its reader sees the older of two tombstones alone. */
const isSeenBetween = (snapshots: readonly number[], older: number, newer: number): boolean =>
  stripeOf(snapshots, older) !== stripeOf(snapshots, newer);

/** Those of a list that are needed beside one that is newer than all of them. @param snapshots ascending */
export const neededBeside = (
  added: RangeTombstone,
  list: readonly RangeTombstone[],
  snapshots: readonly number[],
): RangeTombstone[] => list.filter((old) => !coversRange(added, old) || isSeenBetween(snapshots, old.seq, added.seq));

/** True if the whole range of `inner` is in that of `outer`. */
const coversRange = (outer: RangeTombstone, inner: RangeTombstone): boolean =>
  compareKeys(outer.start, inner.start) <= 0 &&
  (outer.end.length === 0 || (inner.end.length > 0 && compareKeys(inner.end, outer.end) <= 0));

/** Makes one interval of those from `from` up to `to` (not included), which have the same cover. */
const removeInner = (bounds: Uint8Array[], covers: Cover[], from: number, to: number): void => {
  if (to - from < 2) return;
  bounds.splice(from + 1, to - from - 1);
  covers.splice(from + 1, to - from - 1);
};

const distinct = (keys: Uint8Array[]): Uint8Array[] => {
  keys.sort(compareKeys);
  return keys.filter((key, i) => i === 0 || compareKeys(keys[i - 1]!, key) !== 0);
};

/** Index of the first bound at or after `key`. */
const lowerBound = (bounds: readonly Uint8Array[], key: Uint8Array): number => {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(bounds[middle]!, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
};
