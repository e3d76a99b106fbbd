// What a table keeps in memory while it is open, and how that is read: footer, properties, filter, and the index or its upper level,
// all verified. `openTable` is written once for both ways of reading: it yields the ranges it needs and is given their bytes.
// One range is enough unless keys are large: the end of the file by a guess of its size.
import { codecFor } from 'nori-io';
import { checkBlock, unsupportedCompression } from './block-contents.js';
import { BloomFilter } from './bloom-filter.js';
import { SSTableError, type SSTableErrorCode } from './errors.js';
import { type BlockHandle, decodeFooter, type Footer, notATable } from './footer.js';
import {
  COMPRESSION_NONE,
  DATA_BLOCK_BYTES_MAX,
  FOOTER_BYTES,
  INDEX_PARTITION_BYTES_MAX,
  INDEX_PARTITION_BYTES_MIN,
  STORED_BLOCK_BYTES_MIN,
} from './format.js';
import { IndexBlock, type IndexBounds } from './index-block.js';
import { decodeProperties } from './properties-block.js';
import type { TableProperties } from './types.js';

const TAIL_BYTES_MAX = 2 ** 32;
const FIRST_READ_BYTES_MIN = 16 * 1024;
const FIRST_READ_BYTES_MAX = 512 * 1024;
/** Index, filter and properties of an ordinary table are a smaller part of the file than this. */
const FIRST_READ_SHIFT = 5;

/** A range of the file that {@link openTable} needs. */
export interface ReadRequest {
  readonly offset: number;
  readonly length: number;
}

/** What a table keeps in memory while it is open. */
export interface TableContents {
  readonly footer: Footer;
  readonly properties: TableProperties;
  /** The whole index, or the upper of its two levels. */
  readonly index: IndexBlock;
  readonly filter: BloomFilter | undefined;
  /** Memory that all of it takes. */
  readonly memoryBytes: number;
}

/** Reads everything but data blocks and index partitions. Give it the bytes of each range it yields (fewer only at the end of the file). */
export function* openTable(path: string, fileBytes: number): Generator<ReadRequest, TableContents, Uint8Array> {
  if (fileBytes < FOOTER_BYTES) throw notATable(path);
  const guess = Math.min(Math.max(fileBytes >>> FIRST_READ_SHIFT, FIRST_READ_BYTES_MIN), FIRST_READ_BYTES_MAX);
  let start = Math.max(0, fileBytes - guess);
  let tail = yield { offset: start, length: fileBytes - start };
  if (tail.length < fileBytes - start) throw notATable(path);
  const footer = decodeFooter(tail.subarray(tail.length - FOOTER_BYTES), path, fileBytes);
  if (footer.tailStart < start) {
    start = footer.tailStart;
    const length = fileBytes - FOOTER_BYTES - start;
    if (length > TAIL_BYTES_MAX) throw corrupt('SSTABLE_CORRUPT_INDEX', 'index', 'it is too large', path, footer.index);
    tail = yield { offset: start, length };
  }
  return decodeTail(path, fileBytes, footer, tail, start);
}

// `tail` are the bytes from `start` on, which is at or before footer.tailStart.
function decodeTail(path: string, fileBytes: number, footer: Footer, tail: Uint8Array, start: number): TableContents {
  const contentsOf = (handle: BlockHandle, code: SSTableErrorCode, what: string): Uint8Array => {
    const at = handle.offset - start;
    const problem = checkBlock(tail, at, handle.size);
    if (problem) throw corrupt(code, what, problem, path, handle);
    const type = tail[at + handle.size]!;
    if (type !== COMPRESSION_NONE) throw unsupportedCompression(type, path, handle.offset);
    return tail.subarray(at, at + handle.size);
  };
  const propertyBytes = contentsOf(footer.properties, 'SSTABLE_CORRUPT_PROPERTIES', 'properties block');
  const corruptProperties = (problem: string): SSTableError =>
    corrupt('SSTABLE_CORRUPT_PROPERTIES', 'properties block', problem, path, footer.properties);
  const properties = decodeProperties(propertyBytes, fileBytes);
  if (typeof properties === 'string') throw corruptProperties(properties);
  if (typeof properties === 'number') throw unsupportedCompression(properties, path, footer.properties.offset);
  requireCodec(properties, path, footer.properties.offset);

  // Copies, for nothing is to hold on to all of the tail.
  const indexBytes = contentsOf(footer.index, 'SSTABLE_CORRUPT_INDEX', 'index').slice();
  const index = IndexBlock.decode(indexBytes, boundsOf(footer, properties));
  if (!index) throw corrupt('SSTABLE_CORRUPT_INDEX', 'index', 'an entry is not possible', path, footer.index);
  const isAgreed = footer.hasTwoLevelIndex
    ? properties.dataBlocks >= index.count
    : properties.dataBlocks === index.count && properties.dataBytes === footer.tailStart;
  if (!isAgreed) throw corruptProperties('they do not agree with the index');
  let filter: BloomFilter | undefined;
  if (footer.filter) {
    const decoded = BloomFilter.decode(contentsOf(footer.filter, 'SSTABLE_CORRUPT_FILTER', 'filter').slice());
    if (decoded === 'corrupt') {
      throw corrupt('SSTABLE_CORRUPT_FILTER', 'filter', 'its size is not possible', path, footer.filter);
    }
    if (decoded !== 'unknown') filter = decoded;
  }
  const memoryBytes = index.memoryBytes + (filter ? footer.filter!.size : 0) + footer.properties.size;
  return { footer, properties, index, filter, memoryBytes };
}

function boundsOf(footer: Footer, properties: TableProperties): IndexBounds {
  const isPart = false;
  if (footer.hasTwoLevelIndex) {
    const sizes = { sizeMin: INDEX_PARTITION_BYTES_MIN, sizeMax: INDEX_PARTITION_BYTES_MAX };
    return { start: properties.dataBytes, end: footer.tailStart, isPart, ...sizes };
  }
  return { start: 0, end: footer.tailStart, isPart, sizeMin: STORED_BLOCK_BYTES_MIN, sizeMax: DATA_BLOCK_BYTES_MAX };
}

// Says at once, not at the first look-up, that this runtime cannot read the table.
function requireCodec({ compression }: TableProperties, path: string, offset: number): void {
  try {
    codecFor(compression);
  } catch (error) {
    throw unsupportedCompression(compression, path, offset, error);
  }
}

/** The error of a damaged part other than a data block. */
export function corrupt(
  code: SSTableErrorCode,
  what: string,
  problem: string,
  file: string,
  handle: { readonly offset: number },
): SSTableError {
  const message = `The ${what} is damaged: ${problem}. Restore the table from a copy`;
  return new SSTableError(code, message, { file, offset: handle.offset });
}
