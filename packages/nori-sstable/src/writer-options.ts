// Options of a writer, checked and completed once.
import { type Codec, type Compression, codecFor, type FileSystem } from 'nori-io';
import { SSTableError } from './errors.js';
import { BLOCK_BYTES_MAX, COMPRESSION_NAMES, RESTART_INTERVAL_MAX } from './format.js';
import { isUserPropertyName } from './properties-block.js';

const BLOCK_BYTES_DEFAULT = 4096;
const BLOCK_BYTES_MIN = 64;
const RESTART_INTERVAL_DEFAULT = 16;
const BLOOM_BITS_DEFAULT = 10;
const BLOOM_BITS_MAX = 64;
const LEVEL_MAX = 255;
const INDEX_PARTITION_BYTES_DEFAULT = 8192;
const INDEX_PARTITION_OPTION_MIN = 64;
const INDEX_PARTITION_OPTION_MAX = 1024 * 1024;

/** How a table is written. */
export interface SSTableWriterOptions {
  readonly fs: FileSystem;
  /** Path of the file to create. */
  readonly path: string;
  /** Target size of a data block, 64 B to 16 MiB. Default 4,096. A block is larger only when it holds a single entry. */
  readonly blockBytes?: number;
  /** Entries from one restart point of prefix compression to the next, 1 to 1,024. Default 16. */
  readonly restartInterval?: number;
  /** Bits of the bloom filter per key, 0 (no filter) to 64, an integer. Default 10: about 1 % false positives. */
  readonly bloomBitsPerKey?: number;
  /**
   * How data blocks are compressed, each on its own: `none`, `lz4`, `deflate`, or `zstd` where the runtime has it. Default `none`.
   * A block of which that does not save at least an eighth is stored as it is.
   */
  readonly compression?: Compression;
  /**
   * Size at which a part of a two-level index ends, 64 B to 1 MiB. Default 8,192. An index has two levels, of which only the upper
   * one stays in memory, from 32 times this size on: by default, tables from about 50 MiB on with short keys.
   */
  readonly indexPartitionBytes?: number;
  /** Level of the tree the table is for, 0 to 255: recorded in its properties. Default 0. */
  readonly level?: number;
  /** The user's own properties; names of 1 to 255 bytes of UTF-8 that do not begin with `nori.`. */
  readonly properties?: Iterable<readonly [name: string, value: Uint8Array]>;
}

/** {@link SSTableWriterOptions} with nothing left open. */
export interface WriterSettings {
  readonly blockBytes: number;
  readonly restartInterval: number;
  readonly bloomBitsPerKey: number;
  readonly codec: Codec;
  readonly indexPartitionBytes: number;
  readonly level: number;
  readonly extra: ReadonlyMap<string, Uint8Array>;
}

/** @throws SSTableError `SSTABLE_INVALID_OPTION` naming the option and what is allowed; `SSTABLE_UNSUPPORTED_COMPRESSION` */
export function resolveWriterOptions(options: SSTableWriterOptions): WriterSettings {
  const extra = new Map<string, Uint8Array>();
  for (const [name, value] of options.properties ?? []) {
    if (!isUserPropertyName(name)) {
      const message = `A property cannot be named ${JSON.stringify(name)}: 1 to 255 bytes of UTF-8, not beginning with "nori."`;
      throw new SSTableError('SSTABLE_INVALID_OPTION', message);
    }
    extra.set(name, value.slice());
  }
  return {
    blockBytes: integer('blockBytes', options.blockBytes ?? BLOCK_BYTES_DEFAULT, BLOCK_BYTES_MIN, BLOCK_BYTES_MAX),
    restartInterval: integer(
      'restartInterval',
      options.restartInterval ?? RESTART_INTERVAL_DEFAULT,
      1,
      RESTART_INTERVAL_MAX,
    ),
    bloomBitsPerKey: integer('bloomBitsPerKey', options.bloomBitsPerKey ?? BLOOM_BITS_DEFAULT, 0, BLOOM_BITS_MAX),
    codec: codecOf(options.compression ?? 'none'),
    indexPartitionBytes: integer(
      'indexPartitionBytes',
      options.indexPartitionBytes ?? INDEX_PARTITION_BYTES_DEFAULT,
      INDEX_PARTITION_OPTION_MIN,
      INDEX_PARTITION_OPTION_MAX,
    ),
    level: integer('level', options.level ?? 0, 0, LEVEL_MAX),
    extra,
  };
}

function codecOf(compression: Compression): Codec {
  if (!COMPRESSION_NAMES.includes(compression)) {
    const message = `compression must be one of ${COMPRESSION_NAMES.join(', ')}; it is ${compression}`;
    throw new SSTableError('SSTABLE_INVALID_OPTION', message);
  }
  try {
    return codecFor(compression);
  } catch (cause) {
    const message = `Cannot compress with ${compression}: ${(cause as Error).message}. Choose another compression`;
    throw new SSTableError('SSTABLE_UNSUPPORTED_COMPRESSION', message, { cause });
  }
}

function integer(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new SSTableError('SSTABLE_INVALID_OPTION', `${name} must be an integer from ${min} to ${max}, it is ${value}`);
}
