// Constants of the file format (docs/formats/sstable.md) and the limits that go with it.

/** Format version this package writes, and the only one it reads. */
export const FORMAT_VERSION = 1;

/** Compression type of a block that is stored as it is. */
export const COMPRESSION_NONE: number = 0;
/** Names of the compression types, by number. */
export const COMPRESSION_NAMES = ['none', 'lz4', 'deflate', 'zstd'] as const;

/** Required feature: the index has two levels. */
export const FEATURE_TWO_LEVEL_INDEX = 1;

/** Compression type byte and CRC32C. */
export const BLOCK_TRAILER_BYTES = 5;
export const FOOTER_BYTES = 96;

/** Kind of an entry that carries a value. */
export const KIND_PUT = 1;
/** Kind of an entry that hides older versions of its key. */
export const KIND_TOMBSTONE = 2;
/** Bit of the kind byte: an expiry time follows the sequence number. */
export const KIND_HAS_EXPIRY = 0x80;

/** The smallest entry: three lengths, kind, sequence. */
export const ENTRY_BYTES_MIN = 5;
/** The smallest data block before compression: one entry, one restart offset, the restart count. */
export const DATA_BLOCK_BYTES_MIN = ENTRY_BYTES_MIN + 8;
/** The smallest contents of a data block as they are stored. */
export const STORED_BLOCK_BYTES_MIN = 2;
/** The smallest index entry: key length, sequence, offset, size, and an empty key. */
export const INDEX_ENTRY_BYTES_MIN = 4;
/** The smallest index partition: one entry, the count. */
export const INDEX_PARTITION_BYTES_MIN = INDEX_ENTRY_BYTES_MIN + 4;
/** Largest contents a reader accepts for an index partition. */
export const INDEX_PARTITION_BYTES_MAX = 2 * 1024 * 1024;

/** Longest key, in bytes. */
export const KEY_BYTES_MAX = 65_535;
/** Longest value, in bytes. */
export const VALUE_BYTES_MAX = 64 * 1024 * 1024;
/** Largest `blockBytes` a writer accepts. */
export const BLOCK_BYTES_MAX = 16 * 1024 * 1024;
/** Largest `restartInterval` a writer accepts. */
export const RESTART_INTERVAL_MAX = 1024;
/** Largest contents a reader accepts for a data block: the largest value, its key, and room for the headers. */
export const DATA_BLOCK_BYTES_MAX = VALUE_BYTES_MAX + KEY_BYTES_MAX + 256;
