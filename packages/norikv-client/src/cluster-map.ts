// What the client knows of the cluster: key → shard → address of the store that leads it. Views come from the watch of
// every connection; a newer epoch replaces an older one. The first view fixes cluster id and shard count, and a node that
// says otherwise later is not of this cluster: nothing may be sent to it.
import { KEY_HASH_NAME, LIMITS, NodeState, type ClusterView as ViewMessage } from 'norikv-protocol';
import { NoriError } from './errors.js';
import type { ClusterView, NodeView } from './types.js';

const STATES: Readonly<Record<number, NodeView['state']>> = {
  [NodeState.ALIVE]: 'alive',
  [NodeState.SUSPECT]: 'suspect',
  [NodeState.DEAD]: 'dead',
  [NodeState.LEFT]: 'left',
};

const SHARDS_MAX = 65_536;

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');

const readView = (message: ViewMessage): ClusterView =>
  Object.freeze({
    clusterId: hexOf(message.clusterId),
    epoch: Number(message.epoch),
    shardCount: message.shardCount,
    replicationFactor: message.replicationFactor,
    nodes: message.nodes.map(({ nodeId, state, version, httpAddress }) => ({
      nodeId,
      state: STATES[state] ?? 'unknown',
      version,
      httpAddress,
    })),
    stores: message.stores.map(({ nodeId, store, address }) => ({ nodeId, store, address })),
    shardLeaders: message.shardLeaders.map((position) => position - 1),
  });

/** The newest view, and who leads each shard by it. */
export class ClusterMap {
  readonly #expectedId: string | undefined;
  readonly #listeners = new Set<() => void>();
  #view: ClusterView | undefined;
  /** By shard; undefined: unknown. */
  #leaders: (string | undefined)[] = [];
  #nodeOf = new Map<string, string>();
  /** Address that answers for the only store there is, however it is called in the view. */
  #single: string | undefined;

  /** @param expectedId the cluster that is to be connected to, as hex digits; undefined: any */
  constructor(expectedId: string | undefined) {
    this.#expectedId = expectedId;
  }

  /** The newest view; undefined before the first. */
  get view(): ClusterView | undefined {
    return this.#view;
  }

  /** Epoch of the newest view; 0 before the first. */
  get epoch(): number {
    return this.#view?.epoch ?? 0;
  }

  get shardCount(): number {
    return this.#view?.shardCount ?? 0;
  }

  /** Address of the store that leads `shard`, if known. */
  leaderOf(shard: number): string | undefined {
    return this.#single ?? this.#leaders[shard];
  }

  /** Id of the node that has a store at `address`; empty if unknown. */
  nodeAt(address: string): string {
    return this.#nodeOf.get(address) ?? '';
  }

  /** Whether the view has a store at `address`, or `address` stands for the only store. */
  has(address: string): boolean {
    return this.#single === undefined ? this.#nodeOf.has(address) : this.#single === address;
  }

  /** A node has said that `address` leads `shard`. Holds until the next view. */
  hint(shard: number, address: string): void {
    if (this.#single === undefined && shard >= 0) this.#leaders[shard] = address;
  }

  /** Calls `listener` after each change of the view; returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Takes a view that came from `address`. Returns whether routes may have changed.
   *
   * @throws NoriError `CLUSTER_MISMATCH`
   */
  adopt(message: ViewMessage, address: string): boolean {
    this.#verify(message, address);
    const view = readView(message);
    const newer = this.#view === undefined || view.epoch > this.#view.epoch;
    const single = (newer ? view : this.#view!).stores.length === 1 ? address : undefined;
    const moved = single !== this.#single;
    if (!newer) {
      this.#single = single;
      if (moved) this.#nameSingle();
      return moved;
    }
    this.#view = view;
    this.#single = single;
    this.#leaders = view.shardLeaders.map((position) => view.stores[position]?.address);
    this.#nodeOf = new Map(view.stores.map((store) => [store.address, store.nodeId]));
    this.#nameSingle();
    for (const listener of [...this.#listeners]) listener();
    return true;
  }

  #nameSingle(): void {
    const store = this.#view?.stores[0];
    if (this.#single !== undefined && store !== undefined) this.#nodeOf.set(this.#single, store.nodeId);
  }

  #verify(message: ViewMessage, address: string): void {
    const mismatch = (what: string) => new NoriError('CLUSTER_MISMATCH', `The node at ${address} ${what}`);
    if (message.keyHash !== KEY_HASH_NAME) {
      throw mismatch(
        `maps keys to shards by ${JSON.stringify(message.keyHash)}; this client knows ${KEY_HASH_NAME} only`,
      );
    }
    if (message.clusterId.length !== LIMITS.clusterIdBytes) {
      throw mismatch(`gives a cluster id of ${message.clusterId.length} bytes; it must have ${LIMITS.clusterIdBytes}`);
    }
    if (message.shardCount < 1 || message.shardCount > SHARDS_MAX) {
      throw mismatch(`has ${message.shardCount} shards; a cluster has 1 to ${SHARDS_MAX}`);
    }
    const id = hexOf(message.clusterId);
    const expected = this.#view?.clusterId ?? this.#expectedId;
    if (expected !== undefined && id !== expected) {
      throw mismatch(`belongs to cluster ${id}, not to ${expected}; check the endpoints`);
    }
    if (this.#view !== undefined && message.shardCount !== this.#view.shardCount) {
      throw mismatch(`has ${message.shardCount} shards, the cluster had ${this.#view.shardCount}`);
    }
  }
}
