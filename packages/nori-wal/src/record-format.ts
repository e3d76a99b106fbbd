// Records inside a segment. Little-endian; docs/formats/wal.md has it byte by byte.
//
//   varint  length of the payload        flags   bits 0-1  kind: 0 none (so that zeros are no record), 1 data, 2 marker
//   u8      flags                                bit 2     more records of this batch follow
//   u32     CRC32C over length, flags            bit 3     last record of a batch
//           and payload, salted                  bits 4-5  compression: 0 none, 1 lz4, 2 deflate, 3 zstd
//   …       payload                              bits 6-7  0
//
// The payload of a compressed record is its uncompressed size as varint, then the compressed bytes.
//
// The salt is the CRC32C of the segment id; the checksum continues from it, so that bytes of another segment never
// check out. Every write group opens with a marker, of fixed size, whose payload is
//
//   8  magic        8  position of the marker itself        8  position up to which the log was synced by then
//
// so that it can be found by its magic and believed without the records before it.
import { crc32c, readU32LE, readU64LE, VARINT_BYTES_MAX, writeU32LE, writeU64LE, writeVarint } from 'nori-io';

export const KIND_MASK = 0b11;
export const KIND_DATA = 1;
export const KIND_MARKER = 2;
export const BATCH_CONTINUES = 0b100;
export const BATCH_ENDS = 0b1000;
/** Where the number of the compression stands. */
export const COMPRESSION_SHIFT = 4;
export const COMPRESSION_MASK = 0b11;
/** Bits this version knows nothing of. */
export const UNKNOWN_FLAGS = 0b1100_0000;

/** Flags and checksum, behind the length. */
export const FLAGS_AND_CRC_BYTES = 5;
/** The most that comes before a payload. */
export const RECORD_OVERHEAD_MAX = VARINT_BYTES_MAX + FLAGS_AND_CRC_BYTES;

/** Opens a marker's payload; random bytes, to be found by searching. */
export const MARKER_MAGIC = Uint8Array.of(0xf5, 0x9a, 0x4e, 0x4d, 0xc1, 0x0b, 0xe2, 0x87);
/** Where the magic stands in a marker: behind length (one byte), flags and checksum. */
export const MARKER_MAGIC_OFFSET = 1 + FLAGS_AND_CRC_BYTES;
const MARKER_PAYLOAD_BYTES = 24;
/** Size of a whole marker record. */
export const MARKER_BYTES = MARKER_MAGIC_OFFSET + MARKER_PAYLOAD_BYTES;

const scratch = new Uint8Array(16);

/** What the checksums of a segment's records continue from. */
export function segmentSalt(segmentId: number): number {
  writeU64LE(scratch, 0, segmentId);
  return crc32c(scratch, 0, 8);
}

/**
 * Writes what stands before a payload, the checksum left out, and returns the offset of the checksum; the payload belongs four
 * bytes behind that. {@link finishRecord} fills the checksum in.
 */
export function beginRecord(target: Uint8Array, offset: number, payloadBytes: number, flags: number): number {
  const at = writeVarint(target, offset, payloadBytes);
  target[at] = flags;
  return at + 1;
}

/** Fills in the checksum of a record whose payload stands right behind it in `target`. */
export function finishRecord(
  target: Uint8Array,
  start: number,
  crcAt: number,
  payloadBytes: number,
  salt: number,
): void {
  const seed = crc32c(target, start, crcAt, salt);
  writeU32LE(target, crcAt, crc32c(target, crcAt + 4, crcAt + 4 + payloadBytes, seed));
}

/** Writes a marker at `offset`. */
export function writeMarker(target: Uint8Array, offset: number, salt: number, position: number, synced: number): void {
  const crcAt = beginRecord(target, offset, MARKER_PAYLOAD_BYTES, KIND_MARKER);
  target.set(MARKER_MAGIC, crcAt + 4);
  writeU64LE(target, crcAt + 12, position);
  writeU64LE(target, crcAt + 20, synced);
  finishRecord(target, offset, crcAt, MARKER_PAYLOAD_BYTES, salt);
}

/**
 * The synced position a marker at `offset` of `source` states, or -1 if there is no sound marker for `position` there.
 * All of it must be within `source`.
 */
export function readMarker(source: Uint8Array, offset: number, salt: number, position: number): number {
  if (source[offset] !== MARKER_PAYLOAD_BYTES || source[offset + 1] !== KIND_MARKER) return -1;
  const payload = offset + MARKER_MAGIC_OFFSET;
  for (let at = 0; at < MARKER_MAGIC.length; at++) if (source[payload + at] !== MARKER_MAGIC[at]) return -1;
  if (readU64LE(source, payload + 8) !== position) return -1;
  const seed = crc32c(source, offset, offset + 2, salt);
  if (crc32c(source, payload, payload + MARKER_PAYLOAD_BYTES, seed) !== readU32LE(source, offset + 2)) return -1;
  const synced = readU64LE(source, payload + 16);
  return synced <= position ? synced : -1;
}
