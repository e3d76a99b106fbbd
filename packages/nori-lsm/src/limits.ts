// Limits of the engine and the kinds of entries. Everything has a limit; these are the ones users can meet.
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
