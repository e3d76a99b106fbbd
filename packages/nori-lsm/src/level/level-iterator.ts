// An iterator of abstract-level over a cursor. It sees the database as it was when it was made, and reads in slices: long reads give
// others their turn, and look at the signal, every few milliseconds.
//
// `for await` of abstract-level goes through its `next`, which costs more than the entry it fetches. Where that has nothing to look after (a
// limit, a signal, an explicit snapshot, another read that is under way) it is left out: see `#walk`.
import { AbstractIterator } from 'abstract-level';
import type { Clock } from 'nori-io';
import { compareKeys, toBytes } from '../bytes.js';
import type { KeyRange } from '../cursor-bounds.js';
import { Slice } from '../slice.js';
import type { Cursor, RangeOptions } from '../types.js';
import { decode, decodeOwn, type Format, type Stored } from './encoding.js';
import { abortError, levelError, levelErrorOf } from './level-error.js';

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
  readonly snapshot?: object | undefined;
}

/** What an iterator reads from; the cursor is its own, and stands nowhere yet. */
export interface LevelIteratorSource {
  readonly cursor: Cursor;
  readonly range: KeyRange;
  readonly clock: Clock;
}

/** An encoding of abstract-level, as far as it is needed here. */
interface Decoder<T> {
  decode(stored: Stored): T;
}

/** Where abstract-level puts the encodings of an iterator among its options; its types do not tell. */
const { keyEncoding: KEY_ENCODING, valueEncoding: VALUE_ENCODING } = AbstractIterator as unknown as {
  readonly keyEncoding: unique symbol;
  readonly valueEncoding: unique symbol;
};

type Entry = [key: Stored | undefined, value: Stored | undefined];

/** See the top of the file. */
export class LevelIterator<TDatabase, K, V> extends AbstractIterator<TDatabase, K, V> {
  readonly #clock: Clock;
  readonly #cursor: Cursor;
  readonly #range: KeyRange;
  readonly #keyFormat: Format | undefined;
  readonly #valueFormat: Format | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #keyDecoder: Decoder<K> | undefined;
  readonly #valueDecoder: Decoder<V> | undefined;
  /** No call needs looking after: see the top of the file. */
  readonly #isPlain: boolean;
  /** Entries that `#walk` gave, which abstract-level does not know of. */
  #walked = 0;
  #isReading = false;
  #isClosing = false;
  /** The cursor has yet to go to its first entry: an iterator that seeks at once never has to. */
  #isFresh = true;
  /** The target of the last seek lies outside the range. */
  #isOutside = false;

  constructor(db: TDatabase, { cursor, range, clock }: LevelIteratorSource, options: LevelIteratorOptions) {
    super(db, options as never);
    const { keys, values, keyEncoding, valueEncoding, signal, snapshot } = options;
    this.#cursor = cursor;
    this.#range = range;
    this.#clock = clock;
    this.#keyFormat = keys ? keyEncoding : undefined;
    this.#valueFormat = values ? valueEncoding : undefined;
    this.#signal = signal ?? undefined;
    const encodings = options as unknown as { readonly [name: symbol]: Decoder<never> | undefined };
    this.#keyDecoder = encodings[KEY_ENCODING];
    this.#valueDecoder = encodings[VALUE_ENCODING];
    const hasDecoders = this.#keyDecoder !== undefined && this.#valueDecoder !== undefined;
    this.#isPlain = hasDecoders && this.limit === Infinity && (signal ?? snapshot ?? undefined) === undefined;
  }

  override get count(): number {
    return super.count + this.#walked;
  }

  override [Symbol.asyncIterator](): AsyncGenerator<[K, V], void, unknown> {
    return this.#isPlain ? this.#walk() : super[Symbol.asyncIterator]();
  }

  override close(): Promise<void> {
    this.#isClosing = true;
    return super.close();
  }

  /** @internal */
  _next(): Promise<Entry | undefined> {
    return this.#signal === undefined ? Promise.resolve(this.#take()) : this.#takeAfter(this.#signal);
  }

  /** @internal */
  async _nextv(size: number): Promise<Entry[]> {
    if (this.#signal !== undefined) await this.#checkSignal(this.#signal);
    this.#isReading = true;
    try {
      const entries: Entry[] = [];
      const slice = new Slice(this.#clock);
      while (entries.length < size) {
        const entry = this.#take();
        if (entry === undefined) break;
        entries.push(entry);
        if (!slice.isOver()) continue;
        await slice.next();
        if (this.#signal !== undefined) await this.#checkSignal(this.#signal);
      }
      return entries;
    } finally {
      this.#isReading = false;
    }
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

  /** What `for await` gives. Each step is as one of `next`, which is left what it refuses. */
  async *#walk(): AsyncGenerator<[K, V], void, unknown> {
    try {
      const slice = new Slice(this.#clock);
      for (;;) {
        const isRefused = this.#isClosing || this.#isReading;
        const entry = isRefused ? await this.next() : this.#takeDecoded();
        if (entry === undefined) return;
        yield entry;
        if (slice.isOver()) await slice.next();
      }
    } finally {
      await this.close();
    }
  }

  #takeDecoded(): [K, V] | undefined {
    const entry = this.#take();
    if (entry === undefined) return undefined;
    const [key, value] = entry;
    try {
      // Encodings give keys and values of other types than the store's: the entry is that of abstract-level from here on.
      if (key !== undefined) entry[0] = this.#keyDecoder!.decode(key) as Stored;
      if (value !== undefined) entry[1] = this.#valueDecoder!.decode(value) as Stored;
    } catch (error) {
      throw levelError('LEVEL_DECODE_ERROR', 'Iterator could not decode data', error);
    }
    this.#walked++;
    return entry as [K, V];
  }

  async #takeAfter(signal: AbortSignal): Promise<Entry | undefined> {
    await this.#checkSignal(signal);
    return this.#take();
  }

  #take(): Entry | undefined {
    const cursor = this.#cursor;
    try {
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
    } catch (error) {
      throw levelErrorOf(error);
    }
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
