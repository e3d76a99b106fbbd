// Merges sources into one run: key ascending, then sequence number descending, in either direction. A binary heap of
// source numbers; while one source keeps winning, a step costs one or two comparisons.
import { compareRange, prefixHigh, prefixLow } from './bytes.js';
import type { Source } from './source.js';

/** Order of the current entries of two valid sources. */
const compareSources = (a: Source, b: Source): number => {
  const order = compareSourceKeys(a, b);
  // Sequence numbers are unique, so that two entries are never equal.
  return order !== 0 ? order : b.seq - a.seq;
};

const compareSourceKeys = (a: Source, b: Source): number => {
  if (a.high !== b.high) return a.high < b.high ? -1 : 1;
  if (a.low !== b.low) return a.low < b.low ? -1 : 1;
  if (a.keyLength <= 8 || b.keyLength <= 8) return a.keyLength - b.keyLength;
  return compareRange(a.keyBytes, a.keyStart, a.keyLength, b.keyBytes, b.keyStart, b.keyLength, 8);
};

/** Whether the current entry of a valid source lies below a key with these prefix words. */
const isBelow = (source: Source, key: Uint8Array, high: number, low: number): boolean => {
  if (source.high !== high) return source.high < high;
  if (source.low !== low) return source.low < low;
  if (source.keyLength <= 8 || key.length <= 8) return source.keyLength < key.length;
  return compareRange(source.keyBytes, source.keyStart, source.keyLength, key, 0, key.length, 8) < 0;
};

/** The merge. `top` is the source that holds the current entry. */
export class MergingCursor {
  readonly #sources: readonly Source[];
  /** The valid sources as a heap, the current one first. */
  readonly #heap: Source[] = [];
  /** 1 going up, -1 going down. */
  #direction = 1;

  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  get valid(): boolean {
    return this.#heap.length > 0;
  }

  /** The source that holds the current entry; only while {@link MergingCursor.valid}. */
  get top(): Source {
    return this.#heap[0]!;
  }

  first(): void {
    for (const source of this.#sources) source.first();
    this.#build(1);
  }

  last(): void {
    for (const source of this.#sources) source.last();
    this.#build(-1);
  }

  /**
   * Moves to the first entry at or after (`key`, `seq`), going up. With an `end`, what lies at or behind it may or may not be shown:
   * sources that stand there are left out.
   */
  seek(key: Uint8Array, seq: number, end?: Uint8Array): void {
    const sources = this.#sources;
    if (end === undefined) {
      for (const source of sources) source.seek(key, seq);
      this.#build(1);
      return;
    }
    this.#direction = 1;
    const heap = this.#heap;
    heap.length = 0;
    const high = prefixHigh(end, 0, end.length);
    const low = prefixLow(end, 0, end.length);
    for (const source of sources) {
      source.seek(key, seq);
      if (source.valid && isBelow(source, end, high, low)) heap.push(source);
    }
    this.#order();
  }

  /** Moves to the last entry whose key is below `key`, going down. */
  seekBefore(key: Uint8Array): void {
    for (const source of this.#sources) {
      source.seek(key, Number.MAX_SAFE_INTEGER);
      if (source.valid) source.previous();
      else source.last();
    }
    this.#build(-1);
  }

  /**
   * Moves the current source to its first entry at or behind `key` in the direction of the merge, which must lie ahead: going
   * down, to the last entry whose key is below `key`.
   */
  skipTop(key: Uint8Array): void {
    const top = this.#heap[0]!;
    top.seek(key, Number.MAX_SAFE_INTEGER);
    if (this.#direction < 0) {
      if (top.valid) top.previous();
      else top.last();
    }
    this.#settleTop(top);
  }

  /** One entry on in the direction of the last positioning: up after `first` and `seek`, else down. */
  advance(): void {
    const top = this.#heap[0]!;
    if (this.#direction > 0) top.next();
    else top.previous();
    this.#settleTop(top);
  }

  #settleTop(top: Source): void {
    if (!top.valid) {
      const last = this.#heap.pop()!;
      if (this.#heap.length === 0) return;
      this.#heap[0] = last;
    }
    this.#sink(0);
  }

  #build(direction: number): void {
    this.#direction = direction;
    const heap = this.#heap;
    heap.length = 0;
    for (const source of this.#sources) if (source.valid) heap.push(source);
    this.#order();
  }

  #order(): void {
    const heap = this.#heap;
    for (let at = (heap.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const size = heap.length;
    const direction = this.#direction;
    const moved = heap[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && compareSources(heap[child + 1]!, heap[child]!) * direction < 0) child++;
      if (compareSources(moved, heap[child]!) * direction <= 0) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moved;
  }
}
