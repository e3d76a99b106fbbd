// The cluster as clients must know it, put together from what was agreed on (nodes, shards, replicas), what gossip says (who is there,
// where) and what the groups say (who leads). Rebuilt at most once an interval, and only when somebody asks.
import type { Clock, TimerHandle } from 'nori-io';
import { hexToBytes } from '../domain/hex.js';
import type { MetaState } from '../domain/meta-state.js';
import { groupOfShard, SHARD_COUNT } from '../domain/placement.js';
import type { ClusterSnapshot } from '../ports/kv.js';
import type { ClusterDirectory, Presence } from './cluster-directory.js';
import type { MetaPlacement } from './meta-placement.js';

/** Changes within this time are told together. */
const GATHER_MS = 50;

const STATES = { alive: 'alive', suspect: 'suspect', unknown: 'suspect', dead: 'dead', left: 'left' } as const;

/** What a view is made of. */
export interface ClusterViewParts {
  readonly clock: Clock;
  readonly clusterId: string;
  readonly state: () => MetaState;
  readonly directory: ClusterDirectory;
  readonly placement: MetaPlacement;
  readonly leaderOf: (group: number) => { readonly nodeId: string; readonly term: number } | undefined;
  /** The view is another one. */
  readonly onChange: () => void;
}

export class ClusterViewBuilder {
  readonly #parts: ClusterViewParts;
  #revision = 1;
  #built: ClusterSnapshot | undefined;
  #timer: TimerHandle | undefined;
  #closed = false;

  constructor(parts: ClusterViewParts) {
    this.#parts = parts;
  }

  /** Something that the view shows may have changed. */
  changed(): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = this.#parts.clock.setTimer(
      GATHER_MS,
      () => {
        this.#timer = undefined;
        this.#revision++;
        this.#built = undefined;
        this.#parts.onChange();
      },
      { unref: true },
    );
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  get(): ClusterSnapshot {
    this.#built ??= this.#build();
    return this.#built;
  }

  #build(): ClusterSnapshot {
    const { clusterId, directory } = this.#parts;
    const state = this.#parts.state();
    const stores = [...state.nodes.keys()].flatMap((nodeId) =>
      directory.storesOf(nodeId).map(({ client }, store) => ({ nodeId, store, address: client })),
    );
    /** Of each node's first store, plus one. */
    const positions = new Map(
      stores.flatMap(({ nodeId, store }, at) => (store === 0 ? [[nodeId, at + 1] as const] : [])),
    );
    return {
      clusterId: hexToBytes(clusterId),
      epoch: state.epoch,
      revision: this.#revision,
      shardCount: state.settings?.shardCount ?? SHARD_COUNT,
      replicationFactor: state.settings?.replicationFactor ?? 0,
      nodes: [...state.nodes.keys()].map((nodeId) => ({
        nodeId,
        state: stateOf(directory.presence(nodeId)),
        version: directory.versionOf(nodeId),
        httpAddress: directory.httpOf(nodeId),
      })),
      stores,
      ...this.#shards(state, positions),
    };
  }

  #shards(
    state: MetaState,
    positions: ReadonlyMap<string, number>,
  ): Pick<ClusterSnapshot, 'shardLeaders' | 'shardTerms' | 'replicaCounts' | 'replicas'> {
    const { directory, placement, leaderOf } = this.#parts;
    const shardLeaders: number[] = [];
    const shardTerms: number[] = [];
    const replicaCounts: number[] = [];
    const replicas: number[] = [];
    state.shards.forEach((shard, number) => {
      const known = leaderOf(groupOfShard(number));
      const leader = known !== undefined && !directory.isGone(known.nodeId) ? known : undefined;
      const nodeId = leader?.nodeId ?? placement.expectedLeaderOf(shard);
      shardLeaders.push(nodeId === undefined ? 0 : (positions.get(nodeId) ?? 0));
      shardTerms.push(leader?.term ?? 0);
      replicaCounts.push(shard.replicas.length);
      for (const replica of shard.replicas) replicas.push(positions.get(replica.nodeId) ?? 0);
    });
    return { shardLeaders, shardTerms, replicaCounts, replicas };
  }
}

const stateOf = (presence: Presence): ClusterSnapshot['nodes'][number]['state'] => STATES[presence];
