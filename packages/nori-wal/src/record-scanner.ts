// Walks the records of one segment in large reads, for recovery and for readers. Holds one chunk in memory, or one record if that
// is larger. `step` is synchronous and moves to the next record; when it says 'more', await `fill` and step again:
//
//   step ─► 'record'  kind, flags, offset, nextOffset, data describe it
//        ─► 'more'    the chunk is used up: await fill()
//        ─► 'end'     the limit is reached exactly
//        ─► 'bad'     no sound record at `offset`; `problem` says why
import { type Codec, crc32c, type File, readU32LE, readVarint, VarintCursor } from 'nori-io';
import { claimedBytes, decompressRecord, knownCodec } from './record-compression.js';
import {
  COMPRESSION_MASK,
  COMPRESSION_SHIFT,
  FLAGS_AND_CRC_BYTES,
  KIND_DATA,
  KIND_MARKER,
  KIND_MASK,
  MARKER_BYTES,
  RECORD_OVERHEAD_MAX,
  readMarker,
  UNKNOWN_FLAGS,
} from './record-format.js';
import { corruptRecord, WalError } from './wal-error.js';

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
  /** Largest record: a compressed one that claims more is damaged. */
  readonly recordBytesMax: number;
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
  #dataBytes = 0;

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

  /** Whether the record last found, or the bad bytes, are the first of the range. */
  get isFirst(): boolean {
    return this.offset === this.#range.from;
  }

  /** Size of the record last found, uncompressed. */
  get dataBytes(): number {
    return this.#dataBytes;
  }

  /** The record last found, uncompressed. @throws WalError `WAL_CORRUPT_RECORD` if it cannot be decompressed */
  data(): Uint8Array {
    const payload = this.#chunk.subarray(this.#payloadStart, this.#payloadEnd);
    const compression = (this.flags >> COMPRESSION_SHIFT) & COMPRESSION_MASK;
    if (compression === 0) return payload;
    const data = decompressRecord(this.#codec(compression), payload, this.#range.recordBytesMax);
    if (typeof data === 'string') throw corruptRecord(this.#range.file.path, this.offset, data);
    return data;
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
    this.#dataBytes = flags >> COMPRESSION_SHIFT === 0 ? length : this.#claimed(flags);
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

  /**
   * The size a compressed record claims. Its checksum is right, so that a wrong one is no torn write.
   * @throws WalError `WAL_CORRUPT_RECORD`, `WAL_UNSUPPORTED_COMPRESSION`
   */
  #claimed(flags: number): number {
    const { file, recordBytesMax } = this.#range;
    this.#codec((flags >> COMPRESSION_SHIFT) & COMPRESSION_MASK);
    const claimed = claimedBytes(this.#chunk, this.#payloadStart, this.#payloadEnd, recordBytesMax);
    if (typeof claimed === 'string') throw corruptRecord(file.path, this.offset, claimed);
    return claimed;
  }

  #codec(compression: number): Codec {
    const { path } = this.#range.file;
    const what = `Cannot read the record at offset ${this.offset} of ${path}`;
    return knownCodec(compression, what, path, this.offset);
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
