// What the manifest knows about a table, without opening it.

/** One table as the manifest describes it. */
export interface TableMeta {
  /** Names the file: `000042.sst`. Never used twice. */
  readonly number: number;
  readonly fileBytes: number;
  readonly entries: number;
  readonly tombstones: number;
  /** Entries with an expiry, and the earliest of them (0: none). */
  readonly expiring: number;
  readonly earliestExpiryMs: number;
  /** Entries that a newer entry of the same table hides, kept for a snapshot. */
  readonly shadowed: number;
  readonly smallestSeq: number;
  readonly largestSeq: number;
  /** Nothing in it is hidden by a range tombstone up to this sequence number. */
  readonly cleanSeq: number;
  /**
   * The sequence number that all of its entries have, whatever the file says: of a table that was ingested. 0: each has its own.
   */
  readonly sequence: number;
  readonly smallestKey: Uint8Array;
  readonly largestKey: Uint8Array;
}

/** File name of a table. */
export const tableName = (number: number): string => `${String(number).padStart(6, '0')}.sst`;

/** The number in a table's file name, or undefined if it is no table's name. */
export const tableNumber = (name: string): number | undefined =>
  /^\d{6,15}\.sst$/.test(name) ? Number.parseInt(name, 10) : undefined;
