// What goes into a table and what comes out of it.
import type { Compression } from 'nori-io';

/** 1: the entry carries a value. 2: it is a tombstone, which hides older versions of its key. */
export type EntryKind = 1 | 2;

/** One version of one key. */
export interface TableEntry {
  readonly key: Uint8Array;
  /** Sequence number, 0 to 2^53 - 1. */
  readonly seq: number;
  readonly kind: EntryKind;
  /** Milliseconds since the epoch; 0: never. Tables store it, they do not act on it. */
  readonly expiresAtMs: number;
  /** A view into an immutable block: it may be kept (it keeps the block in memory), and must not be written to. */
  readonly value: Uint8Array;
}

/** What a table says about itself. Counts are exact; keys are copies that may be kept. */
export interface TableProperties {
  /** All entries, tombstones included. */
  readonly entries: number;
  /** Distinct keys. */
  readonly keys: number;
  readonly tombstones: number;
  /** Entries with an expiry time. */
  readonly expiring: number;
  /** Key of the first entry; empty if there are no entries. */
  readonly smallestKey: Uint8Array;
  /** Key of the last entry; empty if there are no entries. */
  readonly largestKey: Uint8Array;
  /** 0 if there are no entries. */
  readonly smallestSeq: number;
  readonly largestSeq: number;
  /** Earliest and latest expiry time of any entry, milliseconds since the epoch; 0: no entry expires. */
  readonly earliestExpiryMs: number;
  readonly latestExpiryMs: number;
  /** Sums of key and value lengths before prefix compression. */
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly dataBlocks: number;
  /** Size of all data blocks in the file. */
  readonly dataBytes: number;
  readonly fileBytes: number;
  /** Level of the tree the table was written for: a hint, 0 by default. */
  readonly level: number;
  readonly blockBytes: number;
  readonly restartInterval: number;
  /** 0: the table has no filter. */
  readonly bloomBitsPerKey: number;
  /** How the writer was told to compress data blocks. Single blocks may be stored as they are. */
  readonly compression: Compression;
  /** The user's properties, and those of later format versions: name → bytes. */
  readonly extra: ReadonlyMap<string, Uint8Array>;
}
