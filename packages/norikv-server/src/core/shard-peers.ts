// The other nodes as those that have shards: by what the cluster has agreed on, and by who is there.
import type { MetaState } from '../domain/meta-state.js';
import { NodeError } from '../domain/node-error.js';
import { PEER_METHOD, type PeerCalls } from '../ports/peer-calls.js';
import type { ShardPeers } from '../ports/shard-peers.js';
import type { ClusterDirectory } from './cluster-directory.js';

/** What it is made of. */
export interface ClusterShardPeersParts {
  readonly directory: ClusterDirectory;
  readonly state: () => MetaState;
  /** Undefined: there are no other nodes. */
  readonly calls: () => PeerCalls | undefined;
}

export class ClusterShardPeers implements ShardPeers {
  readonly nodeId: string;
  readonly #parts: ClusterShardPeersParts;

  constructor(parts: ClusterShardPeersParts) {
    this.#parts = parts;
    this.nodeId = parts.directory.nodeId;
  }

  reachable(): readonly string[] {
    const { nodes } = this.#parts.state();
    return (this.#parts.calls()?.reachable() ?? []).filter((nodeId) => nodes.has(nodeId));
  }

  hostsOf(shard: number): readonly string[] {
    return this.#parts.state().shards[shard]?.replicas.map(({ nodeId }) => nodeId) ?? [];
  }

  foundersOf(shard: number): readonly string[] {
    const descriptor = this.#parts.state().shards[shard];
    if (descriptor === undefined) return [];
    const { founders, replicas } = descriptor;
    return founders.map((id) => replicas.find(({ replicaId }) => replicaId === id)?.nodeId ?? '');
  }

  scanPart(nodeId: string, request: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const calls = this.#parts.calls();
    if (calls === undefined) return Promise.reject(new NodeError('UNAVAILABLE', 'There are no other nodes.'));
    return calls.call(nodeId, PEER_METHOD.scanPart, request, timeoutMs);
  }
}
