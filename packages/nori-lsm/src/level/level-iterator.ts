// An iterator of abstract-level over a cursor. It sees the database as it was when it was made, and reads in slices: long reads give
// others their turn, and look at the signal, every few milliseconds.
import { AbstractIterator } from 'abstract-level';
import type { Clock } from 'nori-io';
import { compareKeys, toBytes } from '../bytes.js';
import type { KeyRange } from '../cursor-bounds.js';
import { Slice } from '../slice.js';
import type { Cursor, RangeOptions } from '../types.js';
import { decode, decodeOwn, type Format, type Stored } from './encoding.js';
import { abortError, levelErrorOf } from './level-error.js';

/** Bounds, in whichever of the formats, and the direction. */
export type LevelRange = Pick<RangeOptions, 'gte' | 'gt' | 'lte' | 'lt' | 'reverse'>;

/** As abstract-level hands them over. */
export interface LevelIteratorOptions extends LevelRange {
  readonly limit: number;
  readonly keys: boolean;
  readonly values: boolean;
  readonly keyEncoding: Format;
  readonly valueEncoding: Format;
  readonly signal?: AbortSignal | undefined;
}

/** What an iterator reads from; the cursor is its own, and stands nowhere yet. */
export interface LevelIteratorSource {
  readonly cursor: Cursor;
  readonly range: KeyRange;
  readonly clock: Clock;
}

type Entry = [key: Stored | undefined, value: Stored | undefined];

/** See the top of the file. */
export class LevelIterator<TDatabase, K, V> extends AbstractIterator<TDatabase, K, V> {
  readonly #clock: Clock;
  readonly #cursor: Cursor;
  readonly #range: KeyRange;
  readonly #keyFormat: Format | undefined;
  readonly #valueFormat: Format | undefined;
  readonly #signal: AbortSignal | undefined;
  /** The cursor has yet to go to its first entry: an iterator that seeks at once never has to. */
  #isFresh = true;
  /** The target of the last seek lies outside the range. */
  #isOutside = false;

  constructor(db: TDatabase, { cursor, range, clock }: LevelIteratorSource, options: LevelIteratorOptions) {
    super(db, options as never);
    const { keys, values, keyEncoding, valueEncoding, signal } = options;
    this.#cursor = cursor;
    this.#range = range;
    this.#clock = clock;
    this.#keyFormat = keys ? keyEncoding : undefined;
    this.#valueFormat = values ? valueEncoding : undefined;
    this.#signal = signal ?? undefined;
  }

  /** @internal */
  async _next(): Promise<Entry | undefined> {
    if (this.#signal !== undefined) await this.#checkSignal(this.#signal);
    return this.#read(() => this.#take());
  }

  /** @internal */
  async _nextv(size: number): Promise<Entry[]> {
    if (this.#signal !== undefined) await this.#checkSignal(this.#signal);
    const entries: Entry[] = [];
    const slice = new Slice(this.#clock);
    while (entries.length < size) {
      const entry = this.#read(() => this.#take());
      if (entry === undefined) break;
      entries.push(entry);
      if (!slice.isOver()) continue;
      await slice.next();
      if (this.#signal !== undefined) await this.#checkSignal(this.#signal);
    }
    return entries;
  }

  /** @internal */
  _all(): Promise<Entry[]> {
    return this._nextv(this.limit - this.count);
  }

  /** @internal */
  _seek(target: Stored): void {
    const key = toBytes(target);
    const { lower, upper } = this.#range;
    this.#isFresh = false;
    this.#isOutside = compareKeys(key, lower) < 0 || (upper !== undefined && compareKeys(key, upper) >= 0);
    if (!this.#isOutside) this.#read(() => this.#cursor.seek(key));
  }

  /** @internal */
  async _close(): Promise<void> {
    this.#cursor.close();
  }

  #take(): Entry | undefined {
    const cursor = this.#cursor;
    if (this.#isFresh) {
      this.#isFresh = false;
      cursor.first();
    }
    if (this.#isOutside || !cursor.valid) return undefined;
    const keyFormat = this.#keyFormat;
    const valueFormat = this.#valueFormat;
    const entry: Entry = [
      keyFormat === undefined ? undefined : decodeOwn(cursor.key, keyFormat),
      valueFormat === undefined ? undefined : decode(cursor.value, valueFormat),
    ];
    cursor.next();
    return entry;
  }

  #read<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw levelErrorOf(error);
    }
  }

  /** Gives whoever aborts right after the call the chance to. */
  async #checkSignal(signal: AbortSignal): Promise<void> {
    await undefined;
    if (signal.aborted) throw abortError(signal);
  }
}
