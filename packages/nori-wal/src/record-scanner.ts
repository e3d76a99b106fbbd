// Walks the records of one segment in large reads, for recovery and for readers. Holds one chunk in memory, or one record if that
// is larger. `step` is synchronous and moves to the next record; when it says 'more', await `fill` and step again:
//
//   step ─► 'record'  kind, flags, offset, nextOffset, payload describe it
//        ─► 'more'    the chunk is used up: await fill()
//        ─► 'end'     the limit is reached exactly
//        ─► 'bad'     no sound record at `offset`; `problem` says why
import { crc32c, type File, readU32LE, readVarint, VarintCursor } from 'nori-io';
import {
  FLAGS_AND_CRC_BYTES,
  KIND_DATA,
  KIND_MARKER,
  KIND_MASK,
  MARKER_BYTES,
  RECORD_OVERHEAD_MAX,
  readMarker,
  UNKNOWN_FLAGS,
} from './record-format.js';
import { WalError } from './wal-error.js';

/** What a step found. */
export type ScanStep = 'record' | 'more' | 'end' | 'bad';

/** What a scanner needs to know of its segment. */
export interface ScanRange {
  readonly file: File;
  readonly salt: number;
  /** Position of the file's first byte. */
  readonly base: number;
  /** File offset of the first record. */
  readonly from: number;
  /** File offset where the records end. */
  readonly to: number;
  /** Size of one read. */
  readonly chunkBytes: number;
  /** True: payloads stay valid for ever (each read has a chunk of its own). False: until the next `fill`. */
  readonly keepPayloads: boolean;
}

/** See the top of this file. */
export class RecordScanner {
  readonly #range: ScanRange;
  readonly #cursor = new VarintCursor();
  #chunk = new Uint8Array(0);
  /** File offset of the chunk's first byte. */
  #chunkOffset: number;
  /** Bytes of the chunk that are filled. */
  #filled = 0;
  /** Bytes wanted in the chunk from `nextOffset` on, so that the next step can go on. */
  #wanted = 1;
  #payloadStart = 0;
  #payloadEnd = 0;

  /** File offset of the record last found, or of the bad bytes. */
  offset: number;
  /** File offset behind it. */
  nextOffset: number;
  flags = 0;
  /** For a marker: the position up to which the log was synced when it was written. */
  synced = 0;
  problem = '';

  constructor(range: ScanRange) {
    this.#range = range;
    this.#chunkOffset = range.from;
    this.offset = range.from;
    this.nextOffset = range.from;
  }

  get isMarker(): boolean {
    return (this.flags & KIND_MASK) === KIND_MARKER;
  }

  get payloadBytes(): number {
    return this.#payloadEnd - this.#payloadStart;
  }

  /** The payload of the record last found. */
  payload(): Uint8Array {
    return this.#chunk.subarray(this.#payloadStart, this.#payloadEnd);
  }

  /** Moves to the next record. */
  step(): ScanStep {
    const { to, base, salt } = this.#range;
    const left = to - this.nextOffset;
    this.offset = this.nextOffset;
    if (left === 0) return 'end';
    const start = this.nextOffset - this.#chunkOffset;
    const available = this.#filled - start;
    if (available < RECORD_OVERHEAD_MAX && available < left) return this.#want(Math.min(RECORD_OVERHEAD_MAX, left));
    const chunk = this.#chunk;
    const flagsAt = readVarint(chunk, start, this.#cursor, this.#filled);
    if (flagsAt < 0) return this.#bad(`its length is ${this.#cursor.problem}`);
    const length = this.#cursor.value;
    const payloadAt = flagsAt + FLAGS_AND_CRC_BYTES;
    const bytes = payloadAt - start + length;
    if (bytes > left) return this.#bad('it reaches beyond the end of the file');
    const flags = chunk[flagsAt]!;
    const kind = flags & KIND_MASK;
    if (kind !== KIND_DATA && kind !== KIND_MARKER) return this.#bad('it is of no known kind');
    if (bytes > available) return this.#want(bytes);
    const seed = crc32c(chunk, start, flagsAt + 1, salt);
    if (crc32c(chunk, payloadAt, payloadAt + length, seed) !== readU32LE(chunk, flagsAt + 1)) {
      return this.#bad('its checksum does not match');
    }
    if ((flags & UNKNOWN_FLAGS) !== 0) this.#refuseFlags(flags);
    if (kind === KIND_MARKER) {
      this.synced = bytes === MARKER_BYTES ? readMarker(chunk, start, salt, base + this.offset) : -1;
      if (this.synced < 0) return this.#bad('it is a marker that does not belong here');
    }
    this.flags = flags;
    this.#payloadStart = payloadAt;
    this.#payloadEnd = payloadAt + length;
    this.nextOffset = this.offset + bytes;
    return 'record';
  }

  /** Reads on. @throws IoError; WalError `WAL_CORRUPT_RECORD` if the file is shorter than it was */
  async fill(): Promise<void> {
    const { file, to, chunkBytes, keepPayloads } = this.#range;
    const start = this.nextOffset - this.#chunkOffset;
    const rest = this.#chunk.subarray(start, this.#filled);
    const size = Math.min(Math.max(this.#wanted, chunkBytes), to - this.nextOffset);
    if (keepPayloads || this.#chunk.length < size) {
      const chunk = new Uint8Array(size);
      chunk.set(rest);
      this.#chunk = chunk;
    } else {
      this.#chunk.copyWithin(0, start, this.#filled);
    }
    this.#chunkOffset = this.nextOffset;
    const read = await file.read(this.#chunk.subarray(rest.length, size), this.nextOffset + rest.length);
    this.#filled = rest.length + read;
    if (this.#filled < size) {
      throw new WalError(
        'WAL_CORRUPT_RECORD',
        `The log file ${file.path} ends at ${this.nextOffset + this.#filled}, before its time`,
        {
          file: file.path,
          offset: this.nextOffset + this.#filled,
        },
      );
    }
  }

  #want(bytes: number): 'more' {
    this.#wanted = bytes;
    return 'more';
  }

  #bad(problem: string): 'bad' {
    this.problem = problem;
    return 'bad';
  }

  #refuseFlags(flags: number): never {
    const file = this.#range.file.path;
    throw new WalError(
      'WAL_UNSUPPORTED_VERSION',
      `A record at offset ${this.offset} of ${file} uses features (flags ${flags}) of a newer nori-wal. Use that one`,
      { file, offset: this.offset },
    );
  }
}
