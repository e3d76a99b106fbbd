// Sizes of entries, for every limit that counts bytes.
import type { Entry } from './types.js';

/** What an entry costs besides its data, in bytes. */
const ENTRY_OVERHEAD_BYTES = 16;

/** Bytes that an entry counts for where messages and batches are limited. */
export function entryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

/** {@link entryBytes} of all. */
export function entriesBytes(entries: readonly Entry[]): number {
  let bytes = entries.length * ENTRY_OVERHEAD_BYTES;
  for (let i = 0; i < entries.length; i++) bytes += entries[i]!.data.length;
  return bytes;
}

/** Bytes of data alone. Entries without data, such as the first of a leader, count nothing. */
export function payloadBytes(entries: readonly { readonly data: Uint8Array }[]): number {
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) bytes += entries[i]!.data.length;
  return bytes;
}

/** How many of `entries`, from `from` on and before `to`, fit in `bytesMax`: at least one if there is one. */
export function fittingCount(entries: readonly Entry[], from: number, to: number, bytesMax: number): number {
  if (from >= to) return 0;
  let bytes = entryBytes(entries[from]!);
  let i = from + 1;
  for (; i < to; i++) {
    bytes += entryBytes(entries[i]!);
    if (bytes > bytesMax) break;
  }
  return i - from;
}
