// For users.
export { BlockCache, type BlockCacheStats } from './block-cache.js';
// For storage engines: one key, many tables.
export { compareKeys } from './compare.js';
export type { TableDumpItem } from './dump.js';
export { SSTABLE_ERROR_CODES, SSTableError, type SSTableErrorCode } from './errors.js';
export { FORMAT_VERSION, KEY_BYTES_MAX, VALUE_BYTES_MAX } from './format.js';
export { hashKey, KeyHash } from './key-hash.js';
export { salvageTable, type TableSalvageItem } from './salvage.js';
export { SSTableReader, type SSTableReaderOptions, type SSTableReaderStats } from './sstable-reader.js';
export { SSTableWriter } from './sstable-writer.js';
export type { TableCursor, TableCursorOptions } from './table-cursor.js';
export type { EntryKind, TableEntry, TableProperties } from './types.js';
export { copyOut } from './value-pool.js';
export type { TableVerification } from './verify.js';
export type { SSTableWriterOptions } from './writer-options.js';
