// What a node is told before it starts. Built by `loadConfig`, checked as a whole, frozen, and never changed after.
import type { Address } from './address.js';

/** How verbose the node's log is. `silent` writes nothing. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** `json`: one JSON object a line. `text`: for people. `auto`: `text` on a terminal, else `json`. */
export type LogFormat = 'auto' | 'json' | 'text';

/** When a write is acknowledged: see the setting `fsync`. */
export type FsyncPolicy = 'batch' | 'always' | 'os';

/** The checked configuration of one node. Settings and their units: `SETTINGS`. */
export interface NodeConfig {
  /** Name of the node, unique in its cluster and stable for the life of its data. */
  readonly nodeId: string;
  /** Directory of the log and the tables, as it was given: relative ones start at the working directory. */
  readonly dataDir: string;
  /** Clients: Connect, gRPC and gRPC-web over HTTP/1.1 and h2c. Port 0: any free port. */
  readonly rpcAddr: Address;
  /** Other nodes. */
  readonly peerAddr: Address;
  /** Membership, UDP and TCP. */
  readonly gossipAddr: Address;
  /** Dashboard, REST, health, metrics. Port 0: any free port. */
  readonly httpAddr: Address;
  /** Given to clients in place of `rpcAddr`, as `host:port`; empty: `rpcAddr` itself. */
  readonly rpcAdvertise: string;
  /** Given to other nodes in place of `peerAddr`. */
  readonly peerAdvertise: string;
  /** Shown in place of `httpAddr`. */
  readonly httpAdvertise: string;
  /** Gossip addresses of the nodes that form the cluster, or of some that this one joins, as `host:port`. Empty: a single node. */
  readonly join: readonly string[];
  /** How many nodes form the cluster. */
  readonly expect: number;
  /** Allows listening on addresses that other machines reach, without TLS. */
  readonly insecure: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** How long a stopping node waits for running requests, milliseconds. */
  readonly drainTimeoutMs: number;
  readonly memtableBytes: number;
  readonly blockCacheBytes: number;
  readonly logSegmentBytes: number;
  /** Space put aside for the moment when the disk is full; 0: none. */
  readonly ballastBytes: number;
  readonly fsync: FsyncPolicy;
  /** Host names accepted in `Host` and `Origin` beside the addresses listened on. Lower case, without port. */
  readonly allowedHosts: readonly string[];
}
