// What one node asks another for when it puts a page of a scan together: the other's part of it, and what that node could say about
// which shards (docs/formats/peer-call.md).
import { ByteReader } from './byte-reader.js';
import { ByteWriter } from './byte-writer.js';
import type { Version } from './version.js';

/** Shards as bits: bit `n % 8` of byte `n / 8`. */
export class ShardSet {
  readonly bits: Uint8Array;

  constructor(bits: Uint8Array) {
    this.bits = bits;
  }

  static ofSize(shardCount: number): ShardSet {
    return new ShardSet(new Uint8Array(Math.ceil(shardCount / 8)));
  }

  has(shard: number): boolean {
    return ((this.bits[shard >>> 3] ?? 0) & (1 << (shard & 7))) !== 0;
  }

  add(shard: number): void {
    this.bits[shard >>> 3]! |= 1 << (shard & 7);
  }

  delete(shard: number): void {
    this.bits[shard >>> 3]! &= ~(1 << (shard & 7));
  }

  /** Ascending. */
  *[Symbol.iterator](): IterableIterator<number> {
    for (let at = 0; at < this.bits.length; at++) {
      for (let byte = this.bits[at]!; byte !== 0; byte &= byte - 1) yield at * 8 + (31 - Math.clz32(byte & -byte));
    }
  }
}

const CONSISTENCIES = ['lease', 'linearizable', 'stale_ok'] as const;

/** What is asked. */
export interface PartRequest {
  readonly shards: ShardSet;
  readonly consistency: (typeof CONSISTENCIES)[number];
  readonly reverse: boolean;
  readonly limit: number;
  /** Of keys and values together. */
  readonly bytesMax: number;
  /** How long somebody waits for the answer. */
  readonly timeoutMs: number;
  readonly lower: Uint8Array | undefined;
  readonly lowerExclusive: boolean;
  readonly upper: Uint8Array | undefined;
  readonly upperExclusive: boolean;
}

/** An entry of a part. */
export interface PartEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: Version;
}

/** What is answered. */
export interface PartAnswer {
  /** Shards that `entries` speaks for. */
  readonly served: ShardSet;
  /** Shards of which the node never had a replica: it has voted for no leader, and stored nothing. */
  readonly blank: ShardSet;
  /** Where the entries end though there may be more: the last key that was dealt with. Undefined: they are all. */
  readonly resume: Uint8Array | undefined;
  /** In scan order. */
  readonly entries: readonly PartEntry[];
}

const writeBound = (key: Uint8Array | undefined, exclusive: boolean, to: ByteWriter): void => {
  to.u8(key === undefined ? 0 : exclusive ? 2 : 1);
  if (key !== undefined) to.blob(key);
};

const readBound = (from: ByteReader): { readonly key: Uint8Array | undefined; readonly exclusive: boolean } => {
  const kind = from.u8();
  if (kind > 2) throw new RangeError(`a bound of kind ${kind} is not known`);
  return { key: kind === 0 ? undefined : from.blob(), exclusive: kind === 2 };
};

export const encodePartRequest = (request: PartRequest): Uint8Array => {
  const to = new ByteWriter(request.shards.bits.length + 64);
  to.u8(CONSISTENCIES.indexOf(request.consistency));
  to.u8(request.reverse ? 1 : 0);
  to.varint(request.limit);
  to.varint(request.bytesMax);
  to.varint(request.timeoutMs);
  writeBound(request.lower, request.lowerExclusive, to);
  writeBound(request.upper, request.upperExclusive, to);
  to.blob(request.shards.bits);
  return to.view();
};

/** @throws RangeError if the bytes are no request. */
export const decodePartRequest = (bytes: Uint8Array): PartRequest => {
  const from = new ByteReader(bytes);
  const consistency = CONSISTENCIES[from.u8()];
  if (consistency === undefined) throw new RangeError('a consistency that is not known');
  const reverse = from.u8() === 1;
  const limit = from.varint();
  const bytesMax = from.varint();
  const timeoutMs = from.varint();
  const lower = readBound(from);
  const upper = readBound(from);
  return {
    consistency,
    reverse,
    limit,
    bytesMax,
    timeoutMs,
    lower: lower.key,
    lowerExclusive: lower.exclusive,
    upper: upper.key,
    upperExclusive: upper.exclusive,
    shards: new ShardSet(from.blob()),
  };
};

export const encodePartAnswer = ({ served, blank, resume, entries }: PartAnswer): Uint8Array => {
  let bytes = 512;
  for (const { key, value } of entries) bytes += key.length + value.length + 24;
  const to = new ByteWriter(bytes + served.bits.length + blank.bits.length + (resume?.length ?? 0));
  to.blob(served.bits);
  to.blob(blank.bits);
  writeBound(resume, false, to);
  to.varint(entries.length);
  for (const { key, value, version } of entries) {
    to.blob(key);
    to.blob(value);
    to.varint(version.term);
    to.varint(version.index);
  }
  return to.view();
};

/** Keys and values are views of the bytes. @throws RangeError if the bytes are no answer. */
export const decodePartAnswer = (bytes: Uint8Array): PartAnswer => {
  const from = new ByteReader(bytes);
  const served = new ShardSet(from.blob());
  const blank = new ShardSet(from.blob());
  const resume = readBound(from).key;
  const entries: PartEntry[] = [];
  for (let left = from.varint(); left > 0; left--) {
    entries.push({ key: from.blob(), value: from.blob(), version: { term: from.varint(), index: from.varint() } });
  }
  return { served, blank, resume, entries };
};
