export type { WalRecord } from './log-reader.js';
export { type LogReading, type ReadLogOptions, readLog } from './read-log.js';
export type { RecordParts } from './record-compression.js';
export { type LogSalvage, type LogSalvageOptions, salvageLog } from './salvage.js';
export type { RecoveryCut } from './segment-scan.js';
export { type AppendOptions, Wal, type WalPosition, type WalRecovery, type WalStats } from './wal.js';
export { WalError, type WalErrorCode, type WalErrorDetails } from './wal-error.js';
export type { Durability, FsyncPolicy, WalOptions } from './wal-options.js';
