// Limits of the engine and the kinds of entries. Everything has a limit; these are the ones users can meet.
import { compareKeys, prefixEnd } from './bytes.js';
import { LsmError } from './errors.js';

/** Longest key in bytes. */
export const KEY_BYTES_MAX = 65_535;
/** Longest value in bytes. */
export const VALUE_BYTES_MAX = 64 * 1024 * 1024;
/** Largest batch: sum of its keys and values in bytes. */
export const BATCH_BYTES_MAX = 512 * 1024 * 1024;
/** Most operations in a batch. */
export const BATCH_OPERATIONS_MAX = 4_000_000;
/** Largest record of the own log in bytes. */
export const LOG_RECORD_BYTES_MAX = 2 ** 30;
/** Levels of tables, L0 included. */
export const LEVELS = 7;

/** Kinds of entries, as in tables and log records. */
export const KIND_PUT = 1;
export const KIND_TOMBSTONE = 2;
/** Of log records only: the key is the first of a range, the value the key behind its last one (empty: there is no end). */
export const KIND_RANGE_TOMBSTONE = 3;

/**
 * The bound of a range (empty `end`: there is none) as keys can be long: what lies behind the largest key with the bound's first bytes
 * begins with the next larger bytes. Undefined if the range is empty.
 */
export const fittedRange = (
  start: Uint8Array,
  end: Uint8Array,
): readonly [start: Uint8Array, end: Uint8Array] | undefined => {
  const fittedStart = fitted(start);
  const fittedEnd = fitted(end) ?? new Uint8Array(0);
  if (fittedStart === undefined) return undefined;
  return fittedEnd.length === 0 || compareKeys(fittedStart, fittedEnd) < 0 ? [fittedStart, fittedEnd] : undefined;
};

const fitted = (bound: Uint8Array): Uint8Array | undefined =>
  bound.length <= KEY_BYTES_MAX ? bound : prefixEnd(bound.subarray(0, KEY_BYTES_MAX));

/** Throws if a key or value is larger than the engine takes. */
export const checkEntrySize = (keyBytes: number, valueBytes: number): void => {
  if (keyBytes > KEY_BYTES_MAX) {
    throw new LsmError('LSM_KEY_TOO_LARGE', `A key may have at most ${KEY_BYTES_MAX} bytes, this one has ${keyBytes}.`);
  }
  if (valueBytes > VALUE_BYTES_MAX) {
    throw new LsmError(
      'LSM_VALUE_TOO_LARGE',
      `A value may have at most ${VALUE_BYTES_MAX} bytes, this one has ${valueBytes}.`,
    );
  }
};
