// Names and headers of segment files. Little-endian; docs/formats/wal.md has it byte by byte.
//
//   0  8  magic "NORIWAL\0"          32  8  end position of the previous segment
//   8  4  format version (1 or 2)    40  8  created, milliseconds since the epoch
//  12  4  header size (64)           48  8  id of the previous segment (version 2; 0 in version 1)
//  16  8  segment id                 56  4  hints: bit 0 recycled
//  24  8  base: position of byte 0   60  4  CRC32C of bytes 0 to 59
//
// Version 2 is written only by a cut (`truncateAfter`): the segments between the previous one and this one are dropped.
import { crc32c, readU32LE, readU64LE, writeU32LE, writeU64LE } from 'nori-io';
import { WalError } from './wal-error.js';

/** Size of a segment's header in bytes. */
export const HEADER_BYTES = 64;
/** Version of a segment that continues the one before it. */
const VERSION_PLAIN = 1;
/** Version of a segment that was begun by a cut; the newest that is read. */
const VERSION_CUT = 2;
const HINT_RECYCLED = 1;

const MAGIC = Uint8Array.of(0x4e, 0x4f, 0x52, 0x49, 0x57, 0x41, 0x4c, 0);
const ID_DIGITS = 12;
const NAME = /^(\d{12,15})\.wal$/;
const SPARE_NAME = /^\d{12,15}\.spare$/;
const CRC_OFFSET = 60;

/** What a header says. */
export interface SegmentHeader {
  readonly id: number;
  /** Position of the file's first byte. */
  readonly base: number;
  /** Where the segment before this one ended; 0 if there was none. */
  readonly previousEnd: number;
  readonly createdMs: number;
  /** The segment before this one; ids between the two are of segments that were dropped by a cut. */
  readonly previousId: number;
  /** The file has been another segment before: what lies behind its end may be anything. */
  readonly recycled: boolean;
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

/** Name of a file that is to become segment `id`, or was it once. */
export function spareName(id: number): string {
  return `${String(id).padStart(ID_DIGITS, '0')}.spare`;
}

/** Whether a file of this name is a spare. */
export const isSpareName = (name: string): boolean => SPARE_NAME.test(name);

/** Whether the segment begins where the log was cut back, rather than where the one before it ended. */
export function beginsAtCut(header: SegmentHeader): boolean {
  return header.previousId !== header.id - 1 || header.base !== header.previousEnd;
}

/** The bytes of a header. */
export function encodeHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const atCut = beginsAtCut(header);
  bytes.set(MAGIC);
  writeU32LE(bytes, 8, atCut ? VERSION_CUT : VERSION_PLAIN);
  writeU32LE(bytes, 12, HEADER_BYTES);
  writeU64LE(bytes, 16, header.id);
  writeU64LE(bytes, 24, header.base);
  writeU64LE(bytes, 32, header.previousEnd);
  writeU64LE(bytes, 40, header.createdMs);
  if (atCut) writeU64LE(bytes, 48, header.previousId);
  if (header.recycled) writeU32LE(bytes, 56, HINT_RECYCLED);
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
  if (version !== VERSION_PLAIN && version !== VERSION_CUT) {
    throw new WalError(
      'WAL_UNSUPPORTED_VERSION',
      `The log file ${file} has format ${version}; this nori-wal reads formats up to ${VERSION_CUT}. Use a newer nori-wal`,
      { file, offset: 8 },
    );
  }
  const id = readU64LE(bytes, 16);
  const header = {
    id,
    base: readU64LE(bytes, 24),
    previousEnd: readU64LE(bytes, 32),
    createdMs: readU64LE(bytes, 40),
    previousId: version === VERSION_CUT ? readU64LE(bytes, 48) : id - 1,
    recycled: (readU32LE(bytes, 56) & HINT_RECYCLED) !== 0,
  };
  const sound =
    Number.isSafeInteger(id) &&
    Number.isSafeInteger(header.base) &&
    header.previousEnd <= header.base &&
    header.previousId < id &&
    readU32LE(bytes, 12) === HEADER_BYTES;
  return sound ? header : 'damaged';
}
