import type { LsmError } from './errors.js';
import type {
  BatchOperation,
  Bytes,
  Cursor,
  FoundEntry,
  LsmOptions,
  LsmStats,
  RangeOptions,
  ReadOptions,
  ScanOptions,
  Snapshot,
  VerifyReport,
  WriteOptions,
} from './types.js';
import type { WriteBatch } from './write-batch.js';
export declare class Lsm {
  private constructor();
  static open(options: LsmOptions): Promise<Lsm>;
  apply(batch: WriteBatch): void;
  readonly stalled: boolean;
  whenWritable(): Promise<void>;
  durableMarks(): ReadonlyMap<number, Uint8Array>;
  readonly sealSequence: number;
  readonly backgroundError: LsmError | undefined;
  getEntry(key: Uint8Array, options?: ReadOptions): FoundEntry | undefined;
  cursor(options?: RangeOptions): Cursor;
  get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined>;
  getSync(key: Bytes, options?: ReadOptions): Uint8Array | undefined;
  getMany(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]>;
  put(key: Bytes, value: Bytes, options?: WriteOptions): Promise<void>;
  delete(key: Bytes, options?: WriteOptions): Promise<void>;
  batch(operations: readonly BatchOperation[], options?: WriteOptions): Promise<void>;
  scan(options?: ScanOptions): AsyncIterableIterator<[key: Uint8Array, value: Uint8Array]>;
  scanSync(options?: ScanOptions): IterableIterator<[key: Uint8Array, value: Uint8Array]>;
  snapshot(): Snapshot;
  flush(): Promise<void>;
  compact(): Promise<void>;
  verify(): Promise<VerifyReport>;
  stats(): LsmStats;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
