// Placement as the cluster has agreed on it: the replicas of shards from the state of the meta group, those of the meta group itself
// from who founded the cluster, and later from who belongs to it.
import type { MetaState, ShardDescriptor } from '../domain/meta-state.js';
import { META_GROUP } from '../domain/placement.js';
import type { Placement, ReplicaDescriptor } from '../ports/placement.js';
import type { ClusterDirectory } from './cluster-directory.js';

/** Voters of the meta group, of so many nodes. Of two, one: two voters would stand still as soon as either is gone. */
export const metaVoters = (nodes: number): number => (nodes >= 5 ? 5 : nodes >= 3 ? 3 : 1);

export class MetaPlacement implements Placement {
  readonly #nodeId: string;
  readonly #state: () => MetaState;
  readonly #directory: ClusterDirectory;
  /** Ascending; undefined: this node has joined later. */
  readonly #founders: readonly string[] | undefined;

  constructor(state: () => MetaState, directory: ClusterDirectory, founders: readonly string[] | undefined) {
    this.#nodeId = directory.nodeId;
    this.#state = state;
    this.#directory = directory;
    this.#founders = founders;
  }

  replicaOf(group: number): ReplicaDescriptor | undefined {
    if (group === META_GROUP) return this.#founders === undefined ? this.#metaOfJoined() : this.#metaOfFounder();
    const shard = this.#state().shards[group - 1];
    const own = shard?.replicas.find(({ nodeId }) => nodeId === this.#nodeId);
    if (shard === undefined || own === undefined) return undefined;
    return {
      replicaId: own.replicaId,
      voters: shard.founders,
      learners: [],
      peers: new Map(shard.replicas.map(({ replicaId, nodeId }) => [replicaId, nodeId])),
      preferredLeader: shard.replicas[0]!.replicaId,
      bootstrap: shard.founders.includes(own.replicaId),
    };
  }

  /** The numbers that forming the cluster gives: by name, from 1. */
  #metaOfFounder(): ReplicaDescriptor | undefined {
    const founders = this.#founders!;
    const at = founders.indexOf(this.#nodeId);
    if (at < 0) return undefined;
    const numbers = founders.map((_, i) => i + 1);
    const voters = metaVoters(founders.length);
    return {
      replicaId: at + 1,
      voters: numbers.slice(0, voters),
      learners: numbers.slice(voters),
      peers: new Map([...founders.map((id, i) => [i + 1, id] as const), ...this.#numbers()]),
      preferredLeader: 1,
      bootstrap: true,
    };
  }

  #metaOfJoined(): ReplicaDescriptor | undefined {
    const own = this.#state().nodes.get(this.#nodeId);
    if (own === undefined) return undefined;
    const peers = new Map(this.#numbers());
    return { replicaId: own.number, voters: [], learners: [], peers, preferredLeader: 0, bootstrap: false };
  }

  #numbers(): [number, string][] {
    return [...this.#state().nodes.values()].map(({ number, id }) => [number, id]);
  }

  expectedLeader(group: number): string | undefined {
    return group === META_GROUP ? undefined : this.expectedLeaderOf(this.#state().shards[group - 1]);
  }

  /** The first replica that is not known to be gone: it leads when nobody has heard otherwise. */
  expectedLeaderOf(shard: ShardDescriptor | undefined): string | undefined {
    return shard?.replicas.find(({ nodeId }) => !this.#directory.isGone(nodeId))?.nodeId;
  }

  clientAddressOf(nodeId: string): string | undefined {
    return this.#directory.isGone(nodeId) ? undefined : this.#directory.storesOf(nodeId)[0]?.client;
  }
}
