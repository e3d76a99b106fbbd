// Records that will be written together: a marker, then records, in reusable chunks. A record is compressed if that was asked
// for, copied once into a chunk and checksummed there; a big one is not copied but written from where it is. Positions inside a group are relative until it
// is written, since an earlier group may fail and leave its place to this one.
import { type Codec, crc32c, writeU32LE } from 'nori-io';
import { compressionFlags, compressRecord, type RecordParts } from './record-compression.js';
import {
  beginRecord,
  finishRecord,
  MARKER_BYTES,
  RECORD_OVERHEAD_MAX,
  segmentSalt,
  writeMarker,
} from './record-format.js';
import { CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, type StagingPool } from './staging-pool.js';

/** Payloads from this size on are not copied. */
const UNCOPIED_BYTES_MIN = 64 * 1024;

/** A promise with its two ends outside. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** Payload size of a record. */
export function recordBytes(record: RecordParts): number {
  if (record instanceof Uint8Array) return record.length;
  let bytes = 0;
  for (const part of record) bytes += part.length;
  return bytes;
}

/** See the top of this file. Fill, then {@link seal}, write {@link pieces}, {@link WriteGroup.settle} or {@link fail}, {@link release}. */
export class WriteGroup {
  readonly segmentId: number;
  readonly #salt: number;
  readonly #pool: StagingPool;
  readonly #codec: Codec | undefined;
  readonly #chunks: Uint8Array[];
  readonly #pieces: Uint8Array[] = [];
  #chunk: Uint8Array;
  /** Start of what is staged in the chunk and not yet a piece. */
  #pieceStart = 0;
  #chunkEnd = MARKER_BYTES;
  #written: Deferred<void> | undefined;
  #synced: Deferred<void> | undefined;

  /** Size in the file, the marker included. */
  bytes = MARKER_BYTES;
  records = 0;
  /** Bytes of the records, uncompressed. */
  payloadBytes = 0;
  /** Position of the group's first byte; known once it is sealed. */
  position = 0;
  /** Write the marker even if no record follows it. */
  closing = false;

  constructor(segmentId: number, pool: StagingPool, codec: Codec | undefined) {
    this.segmentId = segmentId;
    this.#codec = codec;
    this.#salt = segmentSalt(segmentId);
    this.#pool = pool;
    this.#chunk = pool.take(CHUNK_BYTES_MIN);
    this.#chunks = [this.#chunk];
  }

  /** Adds a record; returns where it begins, relative to the group. */
  add(record: RecordParts, recordBytes: number, flags: number): number {
    this.records += 1;
    this.payloadBytes += recordBytes;
    const codec = this.#codec;
    const stored = codec && compressRecord(codec, record, recordBytes);
    if (codec && stored) return this.#stage(stored, stored.length, flags | compressionFlags(codec));
    return this.#stage(record, recordBytes, flags);
  }

  #stage(record: RecordParts, payloadBytes: number, flags: number): number {
    const relative = this.bytes;
    const copied = payloadBytes < UNCOPIED_BYTES_MIN;
    this.#makeRoom(RECORD_OVERHEAD_MAX + (copied ? payloadBytes : 0));
    const start = this.#chunkEnd;
    const crcAt = beginRecord(this.#chunk, start, payloadBytes, flags);
    if (copied) this.#copy(record, start, crcAt, payloadBytes);
    else this.#refer(record, start, crcAt);
    this.bytes += crcAt + 4 - start + payloadBytes;
    return relative;
  }

  /** Fixes the group's place: fills in the marker. */
  seal(position: number, syncedPosition: number): void {
    this.position = position;
    writeMarker(this.#chunks[0]!, 0, this.#salt, position, syncedPosition);
  }

  /** What to write, in order. */
  pieces(): readonly Uint8Array[] {
    this.#cutPiece();
    return this.#pieces;
  }

  get wantsSync(): boolean {
    return this.#synced !== undefined;
  }

  /** Resolves when the group is written. */
  whenWritten(): Promise<void> {
    this.#written ??= new Deferred();
    return this.#written.promise;
  }

  /** Resolves when the group is durable; makes it be synced. */
  whenSynced(): Promise<void> {
    this.#synced ??= new Deferred();
    return this.#synced.promise;
  }

  settleWritten(): void {
    this.#written?.resolve();
  }

  settle(): void {
    this.#written?.resolve();
    this.#synced?.resolve();
  }

  /** Rejects whatever has not been resolved. */
  fail(error: unknown): void {
    this.#written?.reject(error);
    this.#synced?.reject(error);
  }

  /** Gives the chunks back; nothing may be writing from them. */
  release(): void {
    for (const chunk of this.#chunks) this.#pool.give(chunk);
    this.#chunks.length = 0;
    this.#pieces.length = 0;
  }

  #copy(record: RecordParts, start: number, crcAt: number, payloadBytes: number): void {
    const chunk = this.#chunk;
    let at = crcAt + 4;
    if (record instanceof Uint8Array) {
      chunk.set(record, at);
    } else {
      for (const part of record) {
        chunk.set(part, at);
        at += part.length;
      }
    }
    finishRecord(chunk, start, crcAt, payloadBytes, this.#salt);
    this.#chunkEnd = crcAt + 4 + payloadBytes;
  }

  #refer(record: RecordParts, start: number, crcAt: number): void {
    let crc = crc32c(this.#chunk, start, crcAt, this.#salt);
    const parts = record instanceof Uint8Array ? [record] : record;
    for (const part of parts) crc = crc32c(part, 0, part.length, crc);
    writeU32LE(this.#chunk, crcAt, crc);
    this.#chunkEnd = crcAt + 4;
    this.#cutPiece();
    for (const part of parts) if (part.length > 0) this.#pieces.push(part);
  }

  #makeRoom(bytes: number): void {
    if (this.#chunkEnd + bytes <= this.#chunk.length) return;
    this.#cutPiece();
    this.#chunk = this.#pool.take(Math.min(CHUNK_BYTES_MAX, Math.max(bytes, this.#chunk.length * 2)));
    this.#chunks.push(this.#chunk);
    this.#pieceStart = 0;
    this.#chunkEnd = 0;
  }

  /** Turns what is staged since the last piece into one. */
  #cutPiece(): void {
    if (this.#chunkEnd > this.#pieceStart) this.#pieces.push(this.#chunk.subarray(this.#pieceStart, this.#chunkEnd));
    this.#pieceStart = this.#chunkEnd;
  }
}
