// The file of the manifest: header and framed records, and how a reader tells a torn tail from lost data.
//
//   header, 32 bytes:  "NORILSMM" | version u32 | flags u32 | number u64 | 4 bytes 0 | CRC32C of bytes 0–27
//   record:            kind u8 | 3 bytes 0 | payload length u32 | payload CRC32C | CRC32C of the header | payload
//
// Checksums of a record are salted with the number of the manifest and the record's offset. Records are written one at a
// time, each made durable before it counts; then an acknowledgement record follows, not synced. So a bad record that
// any valid record follows was once durable: that is corruption. One that nothing valid follows was never
// acknowledged: it is cut off.
import { crc32c, readU32LE, readU64LE, writeU32LE, writeU64LE } from 'nori-io';
import { LsmError } from './errors.js';

/** Format version of manifest and directory. */
export const FORMAT_VERSION = 1;
export const FILE_HEADER_BYTES = 32;
export const RECORD_HEADER_BYTES = 16;

/** Kinds of records: a change; the whole state; "all before is durable"; the same, and the database was closed. */
export const RECORD = { edit: 1, snapshot: 2, acknowledged: 3, closed: 4 } as const;
const KIND_MAX = 4;

const MAGIC = new TextEncoder().encode('NORILSMM');
const NO_PAYLOAD = new Uint8Array(0);

/** The first bytes of manifest `number`. */
export const encodeFileHeader = (number: number): Uint8Array => {
  const header = new Uint8Array(FILE_HEADER_BYTES);
  header.set(MAGIC);
  writeU32LE(header, 8, FORMAT_VERSION);
  writeU64LE(header, 16, number);
  writeU32LE(header, 28, crc32c(header, 0, 28));
  return header;
};

/** Checks the first bytes of manifest `number`. */
const checkFileHeader = (bytes: Uint8Array, number: number, file: string): void => {
  const isMagic = bytes.length >= FILE_HEADER_BYTES && MAGIC.every((byte, i) => bytes[i] === byte);
  if (!isMagic || crc32c(bytes, 0, 28) !== readU32LE(bytes, 28) || readU64LE(bytes, 16) !== number) {
    throw corrupt(file, 0, 'its header is damaged');
  }
  const version = readU32LE(bytes, 8);
  if (version !== FORMAT_VERSION || readU32LE(bytes, 12) !== 0) {
    throw new LsmError(
      'LSM_UNSUPPORTED_VERSION',
      `${file} has format version ${version}; this version reads ${FORMAT_VERSION}. Open it with a newer version.`,
      { file, offset: 8 },
    );
  }
};

/** A record for `offset` in manifest `number`. */
export const encodeRecord = (
  number: number,
  offset: number,
  kind: number,
  payload: Uint8Array = NO_PAYLOAD,
): Uint8Array => {
  const record = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
  const salt = saltOf(number, offset);
  record[0] = kind;
  writeU32LE(record, 4, payload.length);
  writeU32LE(record, 8, crc32c(payload, 0, payload.length, salt));
  writeU32LE(record, 12, crc32c(record, 0, 12, salt));
  record.set(payload, RECORD_HEADER_BYTES);
  return record;
};

/** One valid record. */
export interface ManifestRecord {
  readonly kind: number;
  readonly offset: number;
  readonly payload: Uint8Array;
}

/** What is in the file of a manifest. */
export interface ManifestScan {
  readonly records: readonly ManifestRecord[];
  /** Where the valid records end. */
  readonly end: number;
  /** Bytes behind `end` that were never acknowledged. */
  readonly tornBytes: number;
  /** True if the last record says that the database was closed. */
  readonly isClosed: boolean;
}

/** Reads all records. @throws LsmError `LSM_CORRUPT_MANIFEST`, `LSM_UNSUPPORTED_VERSION` */
export const scanManifest = (bytes: Uint8Array, number: number, file: string): ManifestScan => {
  checkFileHeader(bytes, number, file);
  const scan = scanRecords(bytes, number, FILE_HEADER_BYTES, file);
  if (scan.records[0]?.kind !== RECORD.snapshot) throw corrupt(file, FILE_HEADER_BYTES, 'its first record is damaged');
  return scan;
};

/** Reads the records from offset `from` on, where one began or the valid ones ended. @throws LsmError `LSM_CORRUPT_MANIFEST` */
export const scanRecords = (bytes: Uint8Array, number: number, from: number, file: string): ManifestScan => {
  const records: ManifestRecord[] = [];
  let offset = from;
  while (offset < bytes.length) {
    const record = recordAt(bytes, number, offset);
    if (record === undefined) {
      if (isLostAcknowledgement(bytes, number, offset)) {
        offset += RECORD_HEADER_BYTES;
        continue;
      }
      refuseIfAcknowledged(bytes, number, offset, file);
      break;
    }
    records.push(record);
    offset += RECORD_HEADER_BYTES + record.payload.length;
  }
  return { records, end: offset, tornBytes: bytes.length - offset, isClosed: records.at(-1)?.kind === RECORD.closed };
};

const recordAt = (bytes: Uint8Array, number: number, offset: number): ManifestRecord | undefined => {
  if (bytes.length - offset < RECORD_HEADER_BYTES) return undefined;
  const kind = bytes[offset]!;
  if (kind === 0 || kind > KIND_MAX) return undefined;
  const salt = saltOf(number, offset);
  if (crc32c(bytes, offset, offset + 12, salt) !== readU32LE(bytes, offset + 12)) return undefined;
  const start = offset + RECORD_HEADER_BYTES;
  const end = start + readU32LE(bytes, offset + 4);
  if (end > bytes.length || crc32c(bytes, start, end, salt) !== readU32LE(bytes, offset + 8)) return undefined;
  return { kind, offset, payload: bytes.subarray(start, end) };
};

/**
 * Acknowledgements are not synced: when one lies across two pages, a crash can keep of it only the part that shares a page
 * with the record behind it. A record without payload says nothing that the next one does not say too.
 */
const isLostAcknowledgement = (bytes: Uint8Array, number: number, offset: number): boolean =>
  offset > FILE_HEADER_BYTES && recordAt(bytes, number, offset + RECORD_HEADER_BYTES) !== undefined;

const refuseIfAcknowledged = (bytes: Uint8Array, number: number, bad: number, file: string): void => {
  for (let offset = bad + 1; offset + RECORD_HEADER_BYTES <= bytes.length; offset++) {
    if (recordAt(bytes, number, offset) !== undefined) {
      throw corrupt(file, bad, `a record is damaged, and the valid record at ${offset} shows that it was durable`);
    }
  }
};

const saltBytes = new Uint8Array(16);

const saltOf = (number: number, offset: number): number => {
  writeU64LE(saltBytes, 0, number);
  writeU64LE(saltBytes, 8, offset);
  return crc32c(saltBytes, 0, 16);
};

const corrupt = (file: string, offset: number, what: string): LsmError =>
  new LsmError('LSM_CORRUPT_MANIFEST', `${file} is corrupt at offset ${offset}: ${what}. Restore it from a backup.`, {
    file,
    offset,
  });
