// From the stored bytes of a block to its contents: the checksum, then the compression.
//
//   contents, `size` bytes | compression type: u8 | CRC32C: u32        compressed contents: varint size | compressed bytes
import { codecFor, crc32c, decompressWithSize, IoError, readU32LE } from 'nori-io';
import { SSTableError } from './errors.js';
import { BLOCK_TRAILER_BYTES, COMPRESSION_NAMES, DATA_BLOCK_BYTES_MAX } from './format.js';

/** A phrase that says what is wrong with the block of `size` bytes at `at`, or undefined. */
export function checkBlock(bytes: Uint8Array, at: number, size: number): string | undefined {
  const end = at + size;
  if (end + BLOCK_TRAILER_BYTES > bytes.length) return 'the file ends within it';
  if (readU32LE(bytes, end + 1) !== crc32c(bytes, at, end + 1)) return 'its checksum does not match';
  return undefined;
}

/**
 * The contents of a compressed data block whose stored bytes are the first `size` of `bytes`; a phrase if they are damaged.
 * @throws SSTableError `SSTABLE_UNSUPPORTED_COMPRESSION`
 */
export function decompressBlock(
  bytes: Uint8Array,
  size: number,
  type: number,
  file: string,
  offset: number,
): Uint8Array | string {
  try {
    return decompressWithSize(codecFor(type), bytes, 0, size, DATA_BLOCK_BYTES_MAX);
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    if (error.code === 'IO_UNSUPPORTED') throw unsupportedCompression(type, file, offset, error);
    return `it cannot be decompressed (${error.message})`;
  }
}

/** The error of a compression that this version does not know or this runtime cannot do. */
export function unsupportedCompression(
  compression: string | number,
  file: string,
  offset: number,
  cause?: unknown,
): SSTableError {
  const name =
    typeof compression === 'string' ? compression : (COMPRESSION_NAMES[compression] ?? 'an unknown algorithm');
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  const message = `A block is compressed with ${name} (type ${compression}), which cannot be read here${reason}`;
  return new SSTableError('SSTABLE_UNSUPPORTED_COMPRESSION', message, { file, offset, cause });
}
