// What a write asks for, as the transports hand it in and as the log carries it.
import type { Version } from './version.js';

/** One put or delete. */
export interface WriteOperation {
  readonly kind: 'put' | 'delete';
  readonly key: Uint8Array;
  /** Empty for deletes. The node may keep a reference until the operation is answered. */
  readonly value: Uint8Array;
  /** Milliseconds to live; 0: for ever. */
  readonly ttlMs: number;
  readonly ifAbsent: boolean;
  readonly ifVersion: Version | undefined;
  /** Names the operation to its sink. */
  readonly tag: number;
}

/** Identity of a write for exactly-once application. */
export interface WriteIdentity {
  /** 16 bytes as 32 hex digits: the key under which outcomes are kept. */
  readonly clientId: string;
  readonly sequence: number;
  readonly floor: number;
  readonly ageMs: number;
}
