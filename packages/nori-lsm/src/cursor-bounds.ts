// The range of a cursor or scan, made of bounds, prefix and direction: from `lower` (included) to `upper` (excluded).
import { compareKeys, keyAfter, prefixEnd, toBytes } from './bytes.js';
import type { RangeOptions } from './types.js';

/** A half-open range of keys. */
export interface KeyRange {
  /** Included; empty: from the first key. */
  readonly lower: Uint8Array;
  /** Excluded; undefined: to the last key. */
  readonly upper: Uint8Array | undefined;
}

const NO_BYTES = new Uint8Array(0);

/** The range that options mean; a string is its UTF-8. */
export const rangeOf = (options: RangeOptions): KeyRange => {
  let lower = NO_BYTES;
  let upper: Uint8Array | undefined;
  if (options.gte !== undefined) lower = copyOf(toBytes(options.gte));
  else if (options.gt !== undefined) lower = keyAfter(toBytes(options.gt)) as Uint8Array<ArrayBuffer>;
  if (options.lte !== undefined) upper = keyAfter(toBytes(options.lte));
  else if (options.lt !== undefined) upper = copyOf(toBytes(options.lt));
  if (options.prefix !== undefined) {
    const prefix = toBytes(options.prefix);
    if (compareKeys(prefix, lower) > 0) lower = copyOf(prefix);
    const end = prefixEnd(prefix);
    if (end !== undefined && (upper === undefined || compareKeys(end, upper) < 0)) upper = end;
  }
  return { lower, upper };
};

const copyOf = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);
