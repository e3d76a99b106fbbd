// Limits of the engine and the kinds of entries. Everything has a limit; these are the ones users can meet.
import { compareKeys } from './bytes.js';
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

/** Throws if a bound is larger than keys are; false if the range is empty. An empty `end` means that it has no end. */
export const checkRange = (start: Uint8Array, end: Uint8Array): boolean => {
  // The smallest key behind the largest one has a byte more.
  checkEntrySize(Math.max(0, start.length - 1), 0);
  checkEntrySize(Math.max(0, end.length - 1), 0);
  return end.length === 0 || compareKeys(start, end) < 0;
};

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
