// For users.
export type {
  CompactionFilter,
  CompactionFilterDecision,
  CompactionFilterEntry,
  CompactionFilterFactory,
  CompactionFilterOptions,
} from './compaction-filter.js';
export { LsmError, type LsmErrorCode, type LsmErrorDetails } from './errors.js';
// For those who bring their own threads or file system.
export type { TaskExecutor } from './executor.js';
export { type InlineExecutorOptions, inlineExecutor } from './inline-executor.js';
export { KeyedStore } from './keyed-store.js';
export { Keyspace } from './keyspace.js';
export { BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX } from './limits.js';
export { Lsm } from './lsm.js';
export { type TableMeta, tableName } from './table-meta.js';
export type {
  CompactTask,
  ExpiryHorizon,
  ExportTask,
  FlushTask,
  TableSettings,
  Task,
  TaskInput,
  TaskResult,
} from './task.js';
export type {
  BatchOperation,
  Bytes,
  ConditionalWriteOptions,
  Cursor,
  CursorOptions,
  Durability,
  ExpirySource,
  ExportedTable,
  ExportOptions,
  ExportReport,
  FoundEntry,
  IngestOptions,
  IngestReport,
  KeyBounds,
  KeyspaceOptions,
  KeyspaceSettings,
  LevelStats,
  LsmOptions,
  LsmStats,
  RangeOptions,
  ReadOptions,
  ScanOptions,
  Snapshot,
  VerifyReport,
  WriteConditions,
  WriteOptions,
} from './types.js';
export { workerExecutor } from './worker-executor.js';
export { WriteBatch } from './write-batch.js';
