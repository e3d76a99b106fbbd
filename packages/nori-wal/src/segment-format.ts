// Names and headers of segment files. Little-endian; docs/formats/wal.md has it byte by byte.
//
//   0  8  magic "NORIWAL\0"          32  8  end position of the previous segment
//   8  4  format version (1)         40  8  created, milliseconds since the epoch
//  12  4  header size (64)           48 12  reserved, 0
//  16  8  segment id                 60  4  CRC32C of bytes 0 to 59
//  24  8  base: position of byte 0
import { crc32c, readU32LE, readU64LE, writeU32LE, writeU64LE } from 'nori-io';
import { WalError } from './wal-error.js';

/** Size of a segment's header in bytes. */
export const HEADER_BYTES = 64;
/** The format this code writes, and the newest it reads. */
export const FORMAT_VERSION = 1;

const MAGIC = Uint8Array.of(0x4e, 0x4f, 0x52, 0x49, 0x57, 0x41, 0x4c, 0);
const ID_DIGITS = 12;
const NAME = /^(\d{12,15})\.wal$/;
const CRC_OFFSET = 60;

/** What a header says. */
export interface SegmentHeader {
  readonly id: number;
  /** Position of the file's first byte. */
  readonly base: number;
  /** Where the segment before this one ended; 0 if there was none. */
  readonly previousEnd: number;
  readonly createdMs: number;
}

/** A header, or why there is none: nothing of a header ever reached the file, it is damaged, or it is of another program. */
export type HeaderVerdict = SegmentHeader | 'unwritten' | 'damaged' | 'foreign';

/** File name of a segment. */
export function segmentName(id: number): string {
  return `${String(id).padStart(ID_DIGITS, '0')}.wal`;
}

/** The segment id a file name stands for; undefined if it is not a segment's name. */
export function parseSegmentName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  if (digits === undefined) return undefined;
  const id = Number(digits);
  return id > 0 && segmentName(id) === name ? id : undefined;
}

/** The bytes of a header. */
export function encodeHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes.set(MAGIC);
  writeU32LE(bytes, 8, FORMAT_VERSION);
  writeU32LE(bytes, 12, HEADER_BYTES);
  writeU64LE(bytes, 16, header.id);
  writeU64LE(bytes, 24, header.base);
  writeU64LE(bytes, 32, header.previousEnd);
  writeU64LE(bytes, 40, header.createdMs);
  writeU32LE(bytes, CRC_OFFSET, crc32c(bytes, 0, CRC_OFFSET));
  return bytes;
}

/**
 * Judges the first bytes of a segment file: `bytes` holds as many of the first 64 as there are.
 * @throws WalError `WAL_UNSUPPORTED_VERSION` for a sound header of a newer format
 */
export function decodeHeader(bytes: Uint8Array, file: string): HeaderVerdict {
  if (bytes.every((byte) => byte === 0)) return 'unwritten';
  for (let at = 0; at < MAGIC.length && at < bytes.length; at++) if (bytes[at] !== MAGIC[at]) return 'foreign';
  if (bytes.length < HEADER_BYTES) return 'unwritten';
  if (crc32c(bytes, 0, CRC_OFFSET) !== readU32LE(bytes, CRC_OFFSET)) return 'damaged';
  const version = readU32LE(bytes, 8);
  if (version !== FORMAT_VERSION) {
    throw new WalError(
      'WAL_UNSUPPORTED_VERSION',
      `The log file ${file} has format ${version}; this nori-wal reads format ${FORMAT_VERSION}. Use a newer nori-wal`,
      { file, offset: 8 },
    );
  }
  const header = {
    id: readU64LE(bytes, 16),
    base: readU64LE(bytes, 24),
    previousEnd: readU64LE(bytes, 32),
    createdMs: readU64LE(bytes, 40),
  };
  return Number.isSafeInteger(header.base) && readU32LE(bytes, 12) === HEADER_BYTES ? header : 'damaged';
}
