// The range of a cursor or scan, made of bounds, prefix and direction: from `lower` (included) to `upper` (excluded).
import { compareKeys, keyAfter, prefixEnd, toBytes } from './bytes.js';
import { LsmError } from './errors.js';
import type { Bytes, KeyBounds } from './types.js';

/** A half-open range of keys. */
export interface KeyRange {
  /** Included; empty: from the first key. */
  readonly lower: Uint8Array;
  /** Excluded; undefined: to the last key. */
  readonly upper: Uint8Array | undefined;
}

const NO_BYTES = new Uint8Array(0);

/** The range that options mean; a string is its UTF-8. @throws LsmError `LSM_INVALID_ARGUMENT` */
export const rangeOf = (options: KeyBounds): KeyRange => {
  let lower = NO_BYTES;
  let upper: Uint8Array | undefined;
  if (options.gte !== undefined) lower = copyOf(boundOf(options.gte));
  else if (options.gt !== undefined) lower = keyAfter(boundOf(options.gt)) as Uint8Array<ArrayBuffer>;
  if (options.lte !== undefined) upper = keyAfter(boundOf(options.lte));
  else if (options.lt !== undefined) upper = copyOf(boundOf(options.lt));
  if (options.prefix !== undefined) {
    const prefix = boundOf(options.prefix);
    if (compareKeys(prefix, lower) > 0) lower = copyOf(prefix);
    const end = prefixEnd(prefix);
    if (end !== undefined && (upper === undefined || compareKeys(end, upper) < 0)) upper = end;
  }
  return { lower, upper };
};

const boundOf = (bound: Bytes): Uint8Array => {
  const bytes = toBytes(bound);
  if (bytes instanceof Uint8Array) return bytes;
  throw new LsmError('LSM_INVALID_ARGUMENT', 'A bound of a range must be a Uint8Array or a string.');
};

const copyOf = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);
