// Tables as sources of a merge: one table, or a run of disjoint tables in key order (a level) of which one is open at a time.
import type { TableCursor } from 'nori-sstable';
import { compareKeys, prefixHigh, prefixLow } from './bytes.js';
import type { Source } from './source.js';

const NO_BYTES = new Uint8Array(0);

/** What a source needs of a table. */
export interface SourceTable {
  readonly smallestKey: Uint8Array;
  readonly largestKey: Uint8Array;
  /** The sequence number that all of its entries have, whatever the file says; 0: each has its own. */
  readonly sequence: number;
  /** Sequence number of its newest entry. */
  readonly largestSeq: number;
  /** A new cursor, not yet positioned. */
  openCursor(): TableCursor;
}

/** {@link Source} over tables that are disjoint and in key order; opens a table when it comes to it. */
export class TableSource implements Source {
  valid = false;
  high = 0;
  low = 0;
  keyBytes: Uint8Array = NO_BYTES;
  readonly keyStart = 0;
  keyLength = 0;
  seq = 0;
  kind = 0;
  readonly #tables: readonly SourceTable[];
  #newestSeq = -1;
  #index = -1;
  #cursor: TableCursor | undefined;
  /** That of the open table, see {@link SourceTable}. */
  #sequence = 0;

  constructor(tables: readonly SourceTable[]) {
    this.#tables = tables;
  }

  get newestSeq(): number {
    if (this.#newestSeq < 0) {
      for (const { largestSeq } of this.#tables) this.#newestSeq = Math.max(this.#newestSeq, largestSeq);
    }
    return this.#newestSeq;
  }

  get expiresAtMs(): number {
    return this.#cursor!.expiresAtMs;
  }

  value(): Uint8Array {
    return this.#cursor!.value;
  }

  get valueMemory(): DataView {
    return this.#cursor!.valueMemory;
  }

  get valueStart(): number {
    return this.#cursor!.valueStart;
  }

  get valueLength(): number {
    return this.#cursor!.valueLength;
  }

  seek(key: Uint8Array, seq: number): void {
    this.valid = false;
    const index = firstEndingAtOrAfter(this.#tables, key);
    if (index >= this.#tables.length) return;
    const cursor = this.#open(index);
    if (this.#sequence === 0) cursor.seek(key, seq);
    else {
      cursor.seek(key, Number.MAX_SAFE_INTEGER);
      // The only version of the key is newer than what is sought.
      if (seq < this.#sequence && cursor.valid && compareKeys(cursor.key, key) === 0) cursor.next();
    }
    this.#skipForward();
  }

  first(): void {
    this.valid = false;
    if (this.#tables.length === 0) return;
    this.#open(0).first();
    this.#skipForward();
  }

  last(): void {
    this.valid = false;
    if (this.#tables.length === 0) return;
    this.#open(this.#tables.length - 1).last();
    this.#skipBackward();
  }

  next(): void {
    this.valid = false;
    this.#cursor!.next();
    this.#skipForward();
  }

  previous(): void {
    this.valid = false;
    this.#cursor!.prev();
    this.#skipBackward();
  }

  #open(index: number): TableCursor {
    if (this.#index !== index || this.#cursor === undefined) {
      this.#cursor = undefined;
      this.#index = index;
      const table = this.#tables[index]!;
      this.#cursor = table.openCursor();
      this.#sequence = table.sequence;
    }
    return this.#cursor;
  }

  #skipForward(): void {
    while (!this.#cursor!.valid) {
      if (this.#index + 1 >= this.#tables.length) return;
      this.#open(this.#index + 1).first();
    }
    this.#stand();
  }

  #skipBackward(): void {
    while (!this.#cursor!.valid) {
      if (this.#index === 0) return;
      this.#open(this.#index - 1).last();
    }
    this.#stand();
  }

  #stand(): void {
    const cursor = this.#cursor!;
    const key = cursor.key;
    this.valid = true;
    this.keyBytes = key;
    this.keyLength = key.length;
    this.high = prefixHigh(key, 0, key.length);
    this.low = prefixLow(key, 0, key.length);
    this.seq = this.#sequence === 0 ? cursor.seq : this.#sequence;
    this.kind = cursor.kind;
  }
}

/** Index of the first of these disjoint, ordered tables whose largest key is at or after `key`; their number if none. */
export const firstEndingAtOrAfter = (tables: readonly SourceTable[], key: Uint8Array): number => {
  let low = 0;
  let high = tables.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(tables[middle]!.largestKey, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
};
