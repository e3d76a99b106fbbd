// The driven port to the other nodes as those that have shards: who can be asked for what, and the asking.

/** The nodes that share the shards with this one. Shards are numbered from 0. */
export interface ShardPeers {
  readonly nodeId: string;
  /** Other nodes that can be asked now. */
  reachable(): readonly string[];
  /** Nodes that have a replica of a shard, the one that is to lead first. Empty: nobody knows. */
  hostsOf(shard: number): readonly string[];
  /**
   * The replicas that a shard's group began with, by position: the node that has each. Empty text: one that is no longer where it was.
   * A shard of which most of them never had anything has never had a leader, and so nothing.
   */
  foundersOf(shard: number): readonly string[];
  /** Asks a node for its part of a scan. @throws NodeError */
  scanPart(nodeId: string, request: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
}
