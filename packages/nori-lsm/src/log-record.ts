// Records of the own log: one atomic group of operations each. Layout: docs/formats/lsm-wal-records.md.
//
//   version u8 | flags u8 (1: has range tombstones) | 2 bytes 0 | operation count u32 | first sequence number u64 | operations
//   operation: kind u8 (+ 0x10: has expiry) | key length varint | value length varint | [expiry varint] | key | value
//
// Operation i of a record has sequence number first + i. The log's own checksums guard the bytes.
import {
  readU32LE,
  readU64LE,
  readVarint,
  VarintCursor,
  varintSize,
  writeU32LE,
  writeU64LE,
  writeVarint,
} from 'nori-io';
import { copyBytes } from './bytes.js';
import { LsmError } from './errors.js';
import { keyspaceOf } from './key-map.js';
import { KEY_BYTES_MAX, KIND_PUT, KIND_RANGE_TOMBSTONE, VALUE_BYTES_MAX } from './limits.js';
import { batchFootprint, type Memtable } from './memtable.js';
import type { RangeTombstone } from './range-tombstones.js';

const VERSION = 1;
const HAS_EXPIRY = 0x10;
/** Flag of a record with operations that older versions do not know. */
const HAS_RANGES = 1;

/** Bytes before the first operation. */
const LOG_HEADER_BYTES = 16;
/** A kind and two lengths. */
const OPERATION_BYTES_MIN = 3;
/** Most bytes an operation takes beside its key and value. */
export const LOG_OPERATION_OVERHEAD_MAX = 20;

/** A record being filled; its buffer can be used again. */
export class LogRecord {
  #buffer: Uint8Array;
  #size = LOG_HEADER_BYTES;
  #count = 0;
  /** Sum of key and value lengths. */
  #dataBytes = 0;
  #flags = 0;

  constructor(capacity: number) {
    this.#buffer = new Uint8Array(LOG_HEADER_BYTES + capacity);
  }

  get size(): number {
    return this.#size;
  }

  get capacity(): number {
    return this.#buffer.length;
  }

  get count(): number {
    return this.#count;
  }

  get dataBytes(): number {
    return this.#dataBytes;
  }

  /** True if it deletes ranges. */
  get hasRanges(): boolean {
    return this.#flags !== 0;
  }

  clear(): void {
    this.#size = LOG_HEADER_BYTES;
    this.#count = 0;
    this.#dataBytes = 0;
    this.#flags = 0;
  }

  /** Copies an operation into the record. */
  add(kind: number, key: Uint8Array, value: Uint8Array, expiresAtMs: number): void {
    const keyLength = key.length;
    const valueLength = value.length;
    this.#reserve(keyLength + valueLength + LOG_OPERATION_OVERHEAD_MAX);
    const buffer = this.#buffer;
    let at = this.#size;
    buffer[at++] = expiresAtMs === 0 ? kind : kind | HAS_EXPIRY;
    at = writeVarint(buffer, at, keyLength);
    at = writeVarint(buffer, at, valueLength);
    if (expiresAtMs !== 0) at = writeVarint(buffer, at, expiresAtMs);
    copyBytes(key, 0, keyLength, buffer, at);
    at += keyLength;
    copyBytes(value, 0, valueLength, buffer, at);
    this.#size = at + valueLength;
    this.#count++;
    this.#dataBytes += keyLength + valueLength;
    if (kind === KIND_RANGE_TOMBSTONE) this.#flags = HAS_RANGES;
  }

  /** Copies all operations of another record into this one, behind its own. */
  addAll(other: LogRecord): void {
    const bytes = other.#size - LOG_HEADER_BYTES;
    this.#reserve(bytes);
    this.#buffer.set(other.#buffer.subarray(LOG_HEADER_BYTES, other.#size), this.#size);
    this.#size += bytes;
    this.#count += other.#count;
    this.#dataBytes += other.#dataBytes;
    this.#flags |= other.#flags;
  }

  /** Calls `each` for every operation, in order. The key is good until the record changes. */
  visit(each: (key: Uint8Array, kind: number, expiresAtMs: number) => void): void {
    const buffer = this.#buffer;
    buffer[1] = this.#flags;
    let at = LOG_HEADER_BYTES;
    for (let i = 0; i < this.#count; i++) {
      const { keyStart, keyLength, kind, expiresAtMs, end } = operationAt(buffer, at, i);
      each(buffer.subarray(keyStart, keyStart + keyLength), kind, expiresAtMs);
      at = end;
    }
  }

  /** Completes the record: its first operation gets `firstSeq`. The bytes are good until {@link LogRecord.clear}. */
  seal(firstSeq: number): Uint8Array {
    const buffer = this.#buffer;
    buffer[0] = VERSION;
    buffer[1] = this.#flags;
    buffer[2] = buffer[3] = 0;
    writeU32LE(buffer, 4, this.#count);
    writeU64LE(buffer, 8, firstSeq);
    return buffer.subarray(0, this.#size);
  }

  #reserve(bytes: number): void {
    const need = this.#size + bytes;
    if (need <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(need, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#size));
    this.#buffer = grown;
  }
}

/** Room an operation takes in a record, at most. */
export const operationBytes = (keyLength: number, valueLength: number): number =>
  varintSize(keyLength) + keyLength + varintSize(valueLength) + valueLength + 9;

/** What the header of a record says. */
export interface LogRecordHeader {
  readonly count: number;
  readonly firstSeq: number;
  /** Sequence number of the last operation. */
  readonly lastSeq: number;
  /** Bytes its operations take in a memtable, at most. */
  readonly footprint: number;
  /** Some operations are range tombstones: see {@link rangesOf}. */
  readonly hasRanges: boolean;
}

/** Reads a record's header. @throws LsmError `LSM_CORRUPT_LOG`, `LSM_UNSUPPORTED_VERSION` */
export const readLogHeader = (record: Uint8Array): LogRecordHeader => {
  if (record.length < LOG_HEADER_BYTES) throw malformed('it is too short');
  if (record[0] !== VERSION || (record[1]! & ~HAS_RANGES) !== 0) {
    throw new LsmError(
      'LSM_UNSUPPORTED_VERSION',
      `A record of the log has version ${record[0]}, flags ${record[1]}; this version reads 1, 0 or 1. Open the database with a newer version.`,
    );
  }
  const count = readU32LE(record, 4);
  const firstSeq = readU64LE(record, 8);
  const lastSeq = firstSeq + count - 1;
  // The count decides how much memory is asked for: it is not believed beyond what the record has room for.
  const isPossible = count > 0 && count <= (record.length - LOG_HEADER_BYTES) / OPERATION_BYTES_MIN;
  if (!isPossible || firstSeq === 0 || !Number.isSafeInteger(lastSeq)) throw malformed('its header is not possible');
  const hasRanges = record[1] === HAS_RANGES;
  return { count, firstSeq, lastSeq, footprint: batchFootprint(count, record.length), hasRanges };
};

/** Inserts all entries of a record (not its range tombstones) into a memtable that has room. @throws LsmError `LSM_CORRUPT_LOG` */
export const applyLogRecord = (record: Uint8Array, header: LogRecordHeader, memtable: Memtable): void => {
  const { entries } = memtable;
  // All of the record in one copy: the entries refer to their keys and values in it.
  const base = entries.copyIn(record, 0, record.length);
  let at = LOG_HEADER_BYTES;
  for (let i = 0; i < header.count; i++) {
    const { keyStart, keyLength, kind, expiresAtMs, valueLength, end } = operationAt(record, at, i);
    if (kind !== KIND_RANGE_TOMBSTONE) {
      const seq = header.firstSeq + i;
      entries.insertAt(base + keyStart, record, keyStart, keyLength, seq, kind, expiresAtMs, valueLength);
    }
    at = end;
  }
  if (at !== record.length) throw malformed('bytes follow its last operation');
};

/** The range tombstones of a record. @throws LsmError `LSM_CORRUPT_LOG` */
export const rangesOf = (record: Uint8Array, header: LogRecordHeader): RangeTombstone[] => {
  const found: RangeTombstone[] = [];
  let at = LOG_HEADER_BYTES;
  for (let i = 0; i < header.count; i++) {
    const { kind, keyStart, keyLength, end } = operationAt(record, at, i);
    at = end;
    if (kind !== KIND_RANGE_TOMBSTONE) continue;
    const endStart = keyStart + keyLength;
    found.push({
      seq: header.firstSeq + i,
      start: record.slice(keyStart, endStart),
      end: record.slice(endStart, end),
    });
  }
  return found;
};

/** Reads all operations of a record, to see that it can be applied. @throws LsmError `LSM_CORRUPT_LOG` */
export const checkLogRecord = (record: Uint8Array, header: LogRecordHeader): void => {
  let at = LOG_HEADER_BYTES;
  for (let i = 0; i < header.count; i++) at = operationAt(record, at, i).end;
  if (at !== record.length) throw malformed('bytes follow its last operation');
};

/** The largest number of a keyspace in a record, of a database with mapped keys. @throws LsmError `LSM_CORRUPT_LOG` */
export const largestKeyspaceOf = (record: Uint8Array, header: LogRecordHeader): number => {
  let largest = 0;
  let at = LOG_HEADER_BYTES;
  for (let i = 0; i < header.count; i++) {
    const { kind, keyStart, keyLength, end } = operationAt(record, at, i);
    if (kind !== KIND_RANGE_TOMBSTONE) largest = Math.max(largest, keyspaceOf(record, keyStart, keyLength));
    at = end;
  }
  return largest;
};

/** Takes all operations of a record out of a memtable again. */
export const takeBackLogRecord = (record: Uint8Array, header: LogRecordHeader, memtable: Memtable): void => {
  let at = LOG_HEADER_BYTES;
  for (let i = 0; i < header.count; i++) {
    const { kind, keyStart, keyLength, end } = operationAt(record, at, i);
    if (kind !== KIND_RANGE_TOMBSTONE) memtable.entries.remove(record, keyStart, keyLength, header.firstSeq + i);
    at = end;
  }
};

const cursor = new VarintCursor();
/** Where {@link operationAt} leaves what it read. */
const operation = { kind: 0, expiresAtMs: 0, keyStart: 0, keyLength: 0, valueLength: 0, end: 0 };

/** Reads the operation at `start`, the record's `index`-th. */
const operationAt = (record: Uint8Array, start: number, index: number): Readonly<typeof operation> => {
  const head = record[start]!;
  const kind = head & ~HAS_EXPIRY;
  let at = varintAt(record, start + 1);
  const keyLength = cursor.value;
  at = varintAt(record, at);
  const valueLength = cursor.value;
  let expiresAtMs = 0;
  if (head !== kind) {
    at = varintAt(record, at);
    expiresAtMs = cursor.value;
  }
  const end = at + keyLength + valueLength;
  if (
    kind < KIND_PUT ||
    kind > KIND_RANGE_TOMBSTONE ||
    (kind === KIND_RANGE_TOMBSTONE && record[1] !== HAS_RANGES) ||
    keyLength > KEY_BYTES_MAX ||
    valueLength > VALUE_BYTES_MAX ||
    end > record.length
  ) {
    throw malformed(`operation ${index} is not possible`);
  }
  operation.kind = kind;
  operation.expiresAtMs = expiresAtMs;
  operation.keyStart = at;
  operation.keyLength = keyLength;
  operation.valueLength = valueLength;
  operation.end = end;
  return operation;
};

const varintAt = (record: Uint8Array, at: number): number => {
  const next = readVarint(record, at, cursor);
  if (next < 0) throw malformed('a number is cut off');
  return next;
};

const malformed = (what: string): LsmError =>
  new LsmError('LSM_CORRUPT_LOG', `A record of the log is malformed: ${what}. Restore the database from a backup.`);
