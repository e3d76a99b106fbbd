// Scans: cursors as iterators. The asynchronous one works in slices and gives up the thread between them.
import type { Clock } from 'nori-io';
import { LsmError } from './errors.js';
import { Slice } from './slice.js';
import type { Cursor, RangeOptions, ScanOptions } from './types.js';

interface CursorSource {
  cursor(options: RangeOptions): Cursor;
}

type Entry = [key: Uint8Array, value: Uint8Array];

/** See `Lsm.scanSync`. */
export function* scanEntriesSync(db: CursorSource, options: ScanOptions): Generator<Entry, void, undefined> {
  let left = limitOf(options);
  if (left === 0) return;
  const cursor = db.cursor(options);
  try {
    while (cursor.valid) {
      yield [cursor.key, cursor.value];
      if (--left === 0) return;
      cursor.next();
    }
  } finally {
    cursor.close();
  }
}

/** See `Lsm.scan`. */
export async function* scanEntries(
  db: CursorSource,
  clock: Clock,
  options: ScanOptions,
): AsyncGenerator<Entry, void, undefined> {
  let left = limitOf(options);
  if (left === 0) return;
  const cursor = db.cursor(options);
  try {
    const slice = new Slice(clock);
    while (cursor.valid) {
      yield [cursor.key, cursor.value];
      if (--left === 0) return;
      if (slice.isOver()) await slice.next();
      cursor.next();
    }
  } finally {
    cursor.close();
  }
}

const limitOf = ({ limit }: ScanOptions): number => {
  if (limit === undefined || limit === -1) return Infinity;
  if (Number.isInteger(limit) && limit >= 0) return limit;
  if (limit === Infinity) return limit;
  throw new LsmError('LSM_INVALID_ARGUMENT', `limit must be a whole number, or -1 for no limit, not ${limit}.`);
};
