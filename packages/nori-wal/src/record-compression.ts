// Compression of single records. Stored form: the uncompressed size as varint, then the compressed bytes; bits 4-5 of the flags
// say how. What saves less than an eighth is stored as it is.
import {
  type Codec,
  type Compression,
  codecFor,
  compressWithSize,
  decompressWithSize,
  IoError,
  readVarint,
  VarintCursor,
} from 'nori-io';
import { COMPRESSION_SHIFT } from './record-format.js';
import { WalError } from './wal-error.js';

/** A record that is given whole, or in parts. */
export type RecordParts = Uint8Array | readonly Uint8Array[];

/** Below this size nothing is tried. */
const COMPRESSED_BYTES_MIN = 64;

const cursor = new VarintCursor();

/** The codec of an option; undefined for none. @throws WalError `WAL_UNSUPPORTED_COMPRESSION` */
export function writingCodec(compression: Compression): Codec | undefined {
  return compression === 'none' ? undefined : knownCodec(compression, 'Cannot open the log');
}

/** The stored form of a record; undefined if it is better stored as it is. */
export function compressRecord(codec: Codec, record: RecordParts, bytes: number): Uint8Array | undefined {
  if (bytes < COMPRESSED_BYTES_MIN) return undefined;
  const whole = record instanceof Uint8Array ? record : joined(record, bytes);
  return compressWithSize(codec, whole, 0, bytes);
}

/** The flags that say how a record is compressed. */
export function compressionFlags(codec: Codec): number {
  return codec.id << COMPRESSION_SHIFT;
}

/** The size that a compressed record claims to have; a text that says what is wrong if it cannot be. */
export function claimedBytes(stored: Uint8Array, start: number, end: number, bytesMax: number): number | string {
  if (readVarint(stored, start, cursor, end) < 0) return `its uncompressed size is ${cursor.problem}`;
  if (cursor.value <= bytesMax) return cursor.value;
  return `it claims ${cursor.value} bytes, more than the ${bytesMax} a record may have (recordBytesMax)`;
}

/** What a compressed record was; a text that says what is wrong if its bytes do not mean anything. */
export function decompressRecord(codec: Codec, stored: Uint8Array, bytesMax: number): Uint8Array | string {
  try {
    return decompressWithSize(codec, stored, 0, stored.length, bytesMax);
  } catch (error) {
    if (error instanceof IoError && error.code === 'IO_CORRUPT') return error.message;
    throw error;
  }
}

/** The codec for a name, or for a number in a record. @throws WalError `WAL_UNSUPPORTED_COMPRESSION` */
export function knownCodec(compression: Compression | number, what: string, file?: string, offset = 0): Codec {
  try {
    return codecFor(compression);
  } catch (error) {
    const message = `${what}: ${(error as Error).message}. Use a runtime that has it`;
    throw new WalError(
      'WAL_UNSUPPORTED_COMPRESSION',
      message,
      file ? { file, offset, cause: error } : { cause: error },
    );
  }
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
