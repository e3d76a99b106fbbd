// What the merge reads from: one sorted run of entries with a position. Memtables, tables and whole levels are sources.
// Entries are ordered by key ascending, then sequence number descending.

/**
 * A sorted run with a position. The fields describe the current entry and mean something only while `valid`; the key
 * lies in `keyBytes` (possibly shared memory) and stays there until the source moves.
 */
export interface Source {
  readonly valid: boolean;
  /** Prefix words of the key, see `prefixHigh`. */
  readonly high: number;
  readonly low: number;
  readonly keyBytes: Uint8Array;
  readonly keyStart: number;
  readonly keyLength: number;
  readonly seq: number;
  readonly kind: number;
  readonly expiresAtMs: number;
  /** The value: immutable, not shared memory. */
  value(): Uint8Array;
  /** Where the value lies, for whoever copies it: `valueLength` bytes from `valueStart` of `valueMemory` (possibly shared). */
  readonly valueMemory: DataView;
  readonly valueStart: number;
  readonly valueLength: number;
  /** No entry of the source is newer. */
  readonly newestSeq: number;
  /** Moves to the first entry at or after (`key`, `seq`). */
  seek(key: Uint8Array, seq: number): void;
  first(): void;
  last(): void;
  next(): void;
  previous(): void;
}
