// norikv-client: the NoriKV client for Node.js.
export { NoriClient } from './client.js';
export { type Attempt, NoriError, type NoriErrorCode, type NoriErrorDetails } from './errors.js';
export type { NoriClientOptions } from './options.js';
export type {
  BatchOperation,
  BatchOptions,
  BatchResult,
  Bytes,
  ChannelStats,
  ClientStats,
  ClusterView,
  Consistency,
  DeleteOptions,
  DeleteResult,
  GetOptions,
  GetResult,
  LatencySummary,
  NodeView,
  OperationOptions,
  PutOptions,
  PutResult,
  ScanEntry,
  ScanOptions,
  StoreView,
  Version,
} from './types.js';
