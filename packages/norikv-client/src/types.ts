// What goes into the client's methods and what comes out. Keys and values may be given as text, which is sent as UTF-8;
// they come back as bytes, exactly as they were stored.

/** A key or value as callers give it. Bytes must not be changed until the operation has settled. */
export type Bytes = string | Uint8Array;

/** Position in its shard's log of the entry that wrote a key. Compared as a pair, term first. */
export interface Version {
  readonly term: number;
  readonly index: number;
}

/** How fresh a read must be: by the leader's lease (linearizable), confirmed by a quorum, or whatever the node has. */
export type Consistency = 'lease' | 'linearizable' | 'stale_ok';

/** What every operation takes. */
export interface OperationOptions {
  /** Milliseconds until the operation fails, wherever it is then. Default: the client's `timeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /** Ends the operation at once, wherever it is. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `put`. */
export interface PutOptions extends OperationOptions {
  /** Milliseconds from now after which the key is gone; an integer from 1. Default: never. */
  readonly ttlMs?: number | undefined;
  /** Write only if there is no such key; otherwise `ALREADY_EXISTS`. */
  readonly ifAbsent?: boolean | undefined;
  /** Write only if the key has this version; otherwise `VERSION_MISMATCH`. */
  readonly ifVersion?: Version | undefined;
}

/** Options of `get` and `getMany`. */
export interface GetOptions extends OperationOptions {
  /** Default: `lease`. */
  readonly consistency?: Consistency | undefined;
}

/** Options of `delete`. */
export interface DeleteOptions extends OperationOptions {
  /** Delete only if the key has this version; otherwise `VERSION_MISMATCH`. */
  readonly ifVersion?: Version | undefined;
}

/** Options of `batch`. */
export interface BatchOptions extends OperationOptions {
  /**
   * True (default): all operations happen together or none does; their keys must share a shard, which a hash tag
   * (`{user:42}:name`) gives them. False: each stands for itself, in any order.
   */
  readonly atomic?: boolean | undefined;
}

/** One write of a batch. */
export type BatchOperation =
  | {
      readonly type: 'put';
      readonly key: Bytes;
      readonly value: Bytes;
      readonly ttlMs?: number | undefined;
      readonly ifAbsent?: boolean | undefined;
      readonly ifVersion?: Version | undefined;
    }
  | { readonly type: 'delete'; readonly key: Bytes; readonly ifVersion?: Version | undefined };

/** Options of `scan`. Bounds compare bytes; `prefix` and bounds both apply. */
export interface ScanOptions {
  readonly prefix?: Bytes | undefined;
  readonly gte?: Bytes | undefined;
  readonly gt?: Bytes | undefined;
  readonly lte?: Bytes | undefined;
  readonly lt?: Bytes | undefined;
  /** Entries at most. Default: all. */
  readonly limit?: number | undefined;
  /** Descending order. */
  readonly reverse?: boolean | undefined;
  /** Default: `lease`. */
  readonly consistency?: Consistency | undefined;
  /** Milliseconds for each page that is fetched. Default: the client's `timeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /** Ends the scan. */
  readonly signal?: AbortSignal | undefined;
}

/** What `put` resolves to. */
export interface PutResult {
  readonly version: Version;
}

/** What `get` resolves to when there is such a key. */
export interface GetResult {
  readonly value: Uint8Array;
  readonly version: Version;
}

/** What `delete` resolves to. */
export interface DeleteResult {
  /** False if there was no such key. */
  readonly deleted: boolean;
  /** Version of the deletion itself. */
  readonly version: Version;
}

/** What `batch` resolves to for each operation; `deleted` for deletes only. */
export interface BatchResult {
  readonly version: Version;
  readonly deleted?: boolean;
}

/** One entry of a scan. */
export interface ScanEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: Version;
}

/** A node of the cluster. */
export interface NodeView {
  readonly nodeId: string;
  readonly state: 'alive' | 'suspect' | 'dead' | 'left' | 'unknown';
  readonly version: string;
  /** `host:port` of dashboard and metrics. */
  readonly httpAddress: string;
}

/** A store of a node: what clients connect to. */
export interface StoreView {
  readonly nodeId: string;
  readonly store: number;
  /** `host:port` of the client port. */
  readonly address: string;
}

/** The cluster as `watchCluster` yields it. */
export interface ClusterView {
  /** 32 hex digits. */
  readonly clusterId: string;
  /** Grows with every change. */
  readonly epoch: number;
  readonly shardCount: number;
  readonly replicationFactor: number;
  readonly nodes: readonly NodeView[];
  readonly stores: readonly StoreView[];
  /** One a shard: position in `stores` of its leader; -1: unknown. */
  readonly shardLeaders: readonly number[];
}

/** Latencies of the operations that succeeded, in milliseconds, within 4 % of the truth. */
export interface LatencySummary {
  readonly count: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** A connection as `stats` shows it. */
export interface ChannelStats {
  readonly address: string;
  readonly state: 'connecting' | 'ready' | 'waiting' | 'closed';
  /** Operations that wait to be sent. */
  readonly queued: number;
  /** Operations that were sent and are not answered. */
  readonly inFlight: number;
  /** Connections made after the first. */
  readonly reconnects: number;
  /** Why the last connection ended or could not be made. */
  readonly lastError: string | undefined;
}

/** What `stats` returns: counts since the client was made, levels of now. */
export interface ClientStats {
  readonly succeeded: number;
  readonly failed: number;
  /** Failed operations by error code. */
  readonly failures: Readonly<Record<string, number>>;
  readonly retries: number;
  readonly framesSent: number;
  readonly rowsSent: number;
  /** Operations not settled yet, and their keys' and values' bytes. */
  readonly pending: number;
  readonly pendingBytes: number;
  readonly latency: LatencySummary;
  readonly channels: readonly ChannelStats[];
}
