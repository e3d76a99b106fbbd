// The footer: the last 96 bytes of a table, which say where everything else is. Layout: docs/formats/sstable.md.
import { crc32c, readU32LE, readU64LE, writeU32LE, writeU64LE } from 'nori-io';
import { SSTableError } from './errors.js';
import { BLOCK_TRAILER_BYTES, FEATURE_TWO_LEVEL_INDEX, FOOTER_BYTES, FORMAT_VERSION } from './format.js';

const MAGIC = [0x4e, 0x4f, 0x52, 0x49, 0x53, 0x53, 0x54, 0x00] as const;
const REQUIRED_FEATURES_OFFSET = 72;
const VERSION_OFFSET = 80;
const CRC_OFFSET = 84;
const MAGIC_OFFSET = 88;

/** Where a block lies in the file: its contents begin at `offset` and are `size` bytes long; the trailer follows. */
export interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

/** The decoded footer. */
export interface Footer {
  readonly index: BlockHandle;
  readonly properties: BlockHandle;
  /** Undefined: the table has no filter. */
  readonly filter: BlockHandle | undefined;
  /** Where the first of these blocks begins. What lies before it are the data blocks, and the partitions of a two-level index. */
  readonly tailStart: number;
  readonly hasTwoLevelIndex: boolean;
}

export function encodeFooter({ index, properties, filter, hasTwoLevelIndex }: Omit<Footer, 'tailStart'>): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES);
  writeHandle(bytes, 0, index);
  writeHandle(bytes, 12, properties);
  if (filter) writeHandle(bytes, 24, filter);
  writeU32LE(bytes, REQUIRED_FEATURES_OFFSET, hasTwoLevelIndex ? FEATURE_TWO_LEVEL_INDEX : 0);
  writeU32LE(bytes, VERSION_OFFSET, FORMAT_VERSION);
  writeU32LE(bytes, CRC_OFFSET, crc32c(bytes, 0, CRC_OFFSET));
  bytes.set(MAGIC, MAGIC_OFFSET);
  return bytes;
}

/**
 * Decodes the footer of a file of `fileBytes`, checking that the parts it names fill the file without gaps.
 * @throws SSTableError `SSTABLE_NOT_A_TABLE`, `SSTABLE_UNSUPPORTED_VERSION`, `SSTABLE_CORRUPT_FOOTER`
 */
export function decodeFooter(bytes: Uint8Array, file: string, fileBytes: number): Footer {
  const offset = fileBytes - FOOTER_BYTES;
  if (bytes.length !== FOOTER_BYTES || MAGIC.some((byte, i) => bytes[MAGIC_OFFSET + i] !== byte)) throw notATable(file);
  const version = readU32LE(bytes, VERSION_OFFSET);
  if (version !== FORMAT_VERSION) {
    const message = `The table has format version ${version}, this software reads ${FORMAT_VERSION}. Use a version that knows it`;
    throw new SSTableError('SSTABLE_UNSUPPORTED_VERSION', message, { file, offset });
  }
  if (readU32LE(bytes, CRC_OFFSET) !== crc32c(bytes, 0, CRC_OFFSET)) {
    throw corruptFooter(file, offset, 'its checksum does not match');
  }
  const required = readU32LE(bytes, REQUIRED_FEATURES_OFFSET);
  const unknown = (required & ~FEATURE_TWO_LEVEL_INDEX) >>> 0;
  if (unknown !== 0) {
    const message = `The table needs features 0x${unknown.toString(16)}, which this software does not know. Use a later version`;
    throw new SSTableError('SSTABLE_UNSUPPORTED_VERSION', message, { file, offset });
  }
  const index = readHandle(bytes, 0);
  const properties = readHandle(bytes, 12);
  const filterHandle = readHandle(bytes, 24);
  const filter = filterHandle.size === 0 ? undefined : filterHandle;
  const tailStart = (filter ?? index).offset;
  const isContiguous =
    (!filter || endOf(filter) === index.offset) && endOf(index) === properties.offset && endOf(properties) === offset;
  if (!isContiguous || !Number.isSafeInteger(tailStart)) {
    throw corruptFooter(file, offset, 'the parts that it names do not fill the file');
  }
  return { index, properties, filter, tailStart, hasTwoLevelIndex: required === FEATURE_TWO_LEVEL_INDEX };
}

/** The error of a file that does not end in the magic number. */
export function notATable(file: string): SSTableError {
  const message = 'The file is not a table, or its end is missing: it does not end with the magic number of one';
  return new SSTableError('SSTABLE_NOT_A_TABLE', message, { file });
}

function endOf(handle: BlockHandle): number {
  return handle.offset + handle.size + BLOCK_TRAILER_BYTES;
}

function corruptFooter(file: string, offset: number, what: string): SSTableError {
  const message = `The footer is damaged: ${what}. Restore the table from a copy`;
  return new SSTableError('SSTABLE_CORRUPT_FOOTER', message, { file, offset });
}

function writeHandle(bytes: Uint8Array, at: number, handle: BlockHandle): void {
  writeU64LE(bytes, at, handle.offset);
  writeU32LE(bytes, at + 8, handle.size);
}

function readHandle(bytes: Uint8Array, at: number): BlockHandle {
  return { offset: readU64LE(bytes, at), size: readU32LE(bytes, at + 8) };
}
