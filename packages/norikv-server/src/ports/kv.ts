// The driving port: what transports (frames, unary calls, REST) ask of the node. Operations are handed in synchronously
// and answered through a sink by tag, so that a frame of hundreds costs no promise and no closure per operation.
import type { NodeError } from '../domain/node-error.js';
import type { WriteIdentity, WriteOperation } from '../domain/operation.js';
import type { Version } from '../domain/version.js';

export type { WriteIdentity, WriteOperation } from '../domain/operation.js';

/** How fresh a read must be: see `Consistency` in the protocol. */
export type ReadConsistency = 'lease' | 'linearizable' | 'stale_ok';

/** Receives the results of operations, in any order, synchronously or later. Every tag is answered exactly once. */
export interface ResultSink {
  /** A get found a value. `value` stays valid; it must not be changed. */
  value(tag: number, value: Uint8Array, term: number, index: number): void;
  /** A get found none. */
  absent(tag: number): void;
  /** A put or delete was committed and applied; `existed`: a delete found its key. Always true for puts. */
  written(tag: number, term: number, index: number, existed: boolean): void;
  /** The operation failed. */
  failed(tag: number, error: NodeError): void;
}

/** A write: one operation, or several of one shard that happen together or not at all. */
export interface WriteRequest {
  readonly operations: readonly WriteOperation[];
  readonly identity: WriteIdentity | undefined;
  /** On the node's monotonic clock; past it the write is not started any more. Infinity: none. */
  readonly deadlineMs: number;
  readonly sink: ResultSink;
  /** Set by the transport when the caller has gone or cancelled: a write not yet started is answered `CANCELLED`. */
  cancelled: boolean;
}

/** One page of a scan. Keys are user keys; bounds as in the protocol's `ScanRequest`. */
export interface ScanQuery {
  readonly prefix: Uint8Array;
  readonly start: Uint8Array | undefined;
  readonly startExclusive: boolean;
  readonly end: Uint8Array | undefined;
  readonly endInclusive: boolean;
  readonly reverse: boolean;
  /** 1 to 10,000; 0: 1,000. */
  readonly limit: number;
  readonly consistency: ReadConsistency;
  readonly token: Uint8Array;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

/** What a scan found. */
export interface ScanPage {
  readonly entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array; readonly version: Version }[];
  /** Empty when the range is exhausted. */
  readonly nextToken: Uint8Array;
}

/** The cluster as clients must know it; fields as in the protocol's `ClusterView`. */
export interface ClusterSnapshot {
  readonly clusterId: Uint8Array;
  /** Of what the cluster has agreed on; the same on all nodes. */
  readonly epoch: number;
  /** Counts this node's views: grows with every change of any kind. */
  readonly revision: number;
  readonly shardCount: number;
  readonly replicationFactor: number;
  readonly nodes: readonly {
    readonly nodeId: string;
    readonly state: 'alive' | 'suspect' | 'dead' | 'left';
    readonly version: string;
    readonly httpAddress: string;
  }[];
  readonly stores: readonly { readonly nodeId: string; readonly store: number; readonly address: string }[];
  /** One a shard: position in `stores` plus one; 0: unknown. */
  readonly shardLeaders: readonly number[];
  /** One a shard: the Raft term in which that store leads; 0: nobody said so, it is the one that is to lead. */
  readonly shardTerms: readonly number[];
  /** One a shard: how many replicas it has. */
  readonly replicaCounts: readonly number[];
  /** Of all shards, one after the other: positions in `stores` plus one, the one that is to lead first. */
  readonly replicas: readonly number[];
}

/** What `Admin.Status`, `/health` and the CLI show. */
export interface NodeStatus {
  readonly nodeId: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly ready: boolean;
  /** Why the node is not ready, or refuses writes; empty when all is well. */
  readonly reasons: readonly string[];
  readonly clusterId: Uint8Array;
  readonly shardCount: number;
  readonly activeShards: number;
  readonly storage: {
    readonly memtableBytes: number;
    readonly memtables: number;
    readonly tableBytes: number;
    readonly levelTables: readonly number[];
    readonly levelBytes: readonly number[];
    readonly blockCacheBytes: number;
  };
  readonly log: { readonly segments: number; readonly bytes: number };
}

/** The node as transports see it. Arguments are checked by the node: transports only decode. */
export interface KvNode {
  /** Answers `value`, `absent` or `failed` on `sink`; at once wherever possible. */
  get(key: Uint8Array, consistency: ReadConsistency, deadlineMs: number, sink: ResultSink, tag: number): void;
  /** Answers each operation of the request on its sink after the write is durable and applied. */
  write(request: WriteRequest): void;
  /** @throws NodeError */
  scan(query: ScanQuery): Promise<ScanPage>;
  status(): NodeStatus;
  cluster(): ClusterSnapshot;
  /** Calls `listener` after each change of the cluster; returns the way to stop. */
  onClusterChange(listener: () => void): () => void;
  /** Writes all memtables to tables. */
  flush(): Promise<void>;
}
