// Options of a writer, checked and completed once.
import type { FileSystem } from 'nori-io';
import { SSTableError } from './errors.js';
import { BLOCK_BYTES_MAX, RESTART_INTERVAL_MAX } from './format.js';
import { isUserPropertyName } from './properties-block.js';

const BLOCK_BYTES_DEFAULT = 4096;
const BLOCK_BYTES_MIN = 64;
const RESTART_INTERVAL_DEFAULT = 16;
const BLOOM_BITS_DEFAULT = 10;
const BLOOM_BITS_MAX = 64;
const LEVEL_MAX = 255;

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
  readonly level: number;
  readonly extra: ReadonlyMap<string, Uint8Array>;
}

/** @throws SSTableError `SSTABLE_INVALID_OPTION` naming the option and what is allowed */
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
    level: integer('level', options.level ?? 0, 0, LEVEL_MAX),
    extra,
  };
}

function integer(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new SSTableError('SSTABLE_INVALID_OPTION', `${name} must be an integer from ${min} to ${max}, it is ${value}`);
}
