// What the client knows of the cluster: key → shard → address of the store that leads it. Views come from the watch of
// every connection; a newer epoch replaces an older one. Leaders change within an epoch too, and not every node hears
// of it at once: of what views and hints say of a shard the greater Raft term counts, so that nothing goes back to an
// older leader. The first view fixes cluster id and shard count, and a node that says otherwise later is not of this
// cluster: nothing may be sent to it.
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

const readView = (message: ViewMessage): ClusterView => ({
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
  shardLeaders: [],
});

/** The leader of a shard. */
interface Leader {
  readonly address: string;
  /** The term in which it leads; 0: it is only the one that is to lead. */
  readonly term: number;
  /** Another one has led in that term and is gone: only a later term is news. */
  readonly isSuccessor: boolean;
  /** Who that was; undefined: nobody. */
  readonly instead?: string;
}

/** The newest view, and who leads each shard by it. */
export class ClusterMap {
  readonly #expectedId: string | undefined;
  readonly #listeners = new Set<() => void>();
  #view: ClusterView | undefined;
  #revision = 0;
  /** By shard; undefined: unknown. */
  #leaders: (Leader | undefined)[] = [];
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

  /** Counts the changes of the view. */
  get revision(): number {
    return this.#revision;
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
    return this.#single ?? this.#leaders[shard]?.address;
  }

  /** Id of the node that has a store at `address`; empty if unknown. */
  nodeAt(address: string): string {
    return this.#nodeOf.get(address) ?? '';
  }

  /** Where the stores of the view are. */
  addresses(): IterableIterator<string> {
    return this.#nodeOf.keys();
  }

  /** Whether the view has a store at `address`, or `address` stands for the only store. */
  has(address: string): boolean {
    return this.#single === undefined ? this.#nodeOf.has(address) : this.#single === address;
  }

  /**
   * The node at `from` has said that not it but `address` leads `shard`, in `term` (0: that it is to lead). Holds unless a later leader is
   * known already, which is not the one that said so.
   */
  hint(shard: number, from: string, address: string, term: number): void {
    if (this.#single !== undefined || shard < 0) return;
    const known = this.#leaders[shard];
    if (known !== undefined && known.address !== from && term < known.term) return;
    this.#leaders[shard] = { address, term: Math.max(term, known?.term ?? 0), isSuccessor: false };
  }

  /**
   * The node at `from` cannot serve `shard`, since it reaches no majority. If it was asked only because the leader is said to be gone, it
   * may be the one that is cut off, and may have said so: the leader is asked again.
   */
  doubt(shard: number, from: string): void {
    const known = this.#leaders[shard];
    if (known?.instead === undefined || known.address !== from) return;
    this.#leaders[shard] = { address: known.instead, term: known.term, isSuccessor: false };
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
    const incoming = readView(message);
    const before = this.#view;
    const isOlder = before !== undefined && incoming.epoch < before.epoch;
    const base = isOlder ? before : incoming;
    const single = base.stores.length === 1 ? address : undefined;
    const hasMoved = single !== this.#single;
    this.#single = single;
    this.#nodeOf = new Map(base.stores.map((store) => [store.address, store.nodeId]));
    this.#nameSingle(base);
    this.#mergeLeaders(message, base, isOlder);
    const view = Object.freeze({ ...base, shardLeaders: this.#positions(base) });
    if (before !== undefined && isSame(before, view)) return hasMoved;
    this.#view = view;
    this.#revision++;
    for (const listener of [...this.#listeners]) listener();
    return true;
  }

  /** @param base the view that says which stores there are */
  #mergeLeaders(message: ViewMessage, base: ClusterView, isOlder: boolean): void {
    const gone = new Set(
      base.nodes.filter(({ state }) => state === 'dead' || state === 'left').map((node) => node.nodeId),
    );
    const there = new Set(base.stores.filter(({ nodeId }) => !gone.has(nodeId)).map((store) => store.address));
    const addressAt = (position: number): string | undefined => message.stores[position - 1]?.address;
    const leaders: (Leader | undefined)[] = [];
    let replica = 0;
    for (let shard = 0; shard < message.shardCount; shard++) {
      const replicaCount = message.shardReplicaCounts[shard] ?? 0;
      const term = Number(message.shardTerms[shard] ?? 0);
      let address = addressAt(message.shardLeaders[shard] ?? 0);
      let replicasThere = 0;
      for (let i = replica; i < replica + replicaCount; i++) {
        const candidate = addressAt(message.shardReplicas[i] ?? 0);
        if (candidate === undefined || !there.has(candidate)) continue;
        replicasThere++;
        // Whoever has a replica knows more.
        address ??= candidate;
      }
      replica += replicaCount;
      const isMinority = this.#leaders[shard] !== undefined && replicaCount > 0 && 2 * replicasThere <= replicaCount;
      // Who is to lead is of no interest where that was decided anew; nor what a node thinks of it that is cut off from most replicas,
      // so that nobody it knows could lead.
      if (term === 0 && (isOlder || isMinority)) address = undefined;
      leaders.push(newerLeader(this.#leaders[shard], address, term, there));
    }
    this.#leaders = leaders;
  }

  #positions({ stores }: ClusterView): number[] {
    const at = new Map(stores.map(({ address }, position) => [address, position]));
    return this.#leaders.map((leader) => (leader === undefined ? -1 : (at.get(leader.address) ?? -1)));
  }

  #nameSingle(view: ClusterView): void {
    const [store] = view.stores;
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

/** What is known of a shard's leader after a view has named `address`, in `term`. @param there addresses of nodes that are not gone */
const newerLeader = (
  known: Leader | undefined,
  address: string | undefined,
  term: number,
  there: ReadonlySet<string>,
): Leader | undefined => {
  if (address === undefined) return known;
  if (known === undefined) return { address, term, isSuccessor: false };
  // There is one leader in a term.
  if (term > known.term || (term === known.term && !known.isSuccessor)) return { address, term, isSuccessor: false };
  // Whoever was known to lead is gone, and nobody else is known to lead yet.
  if (!there.has(known.address) && there.has(address)) {
    return { address, term: known.term, isSuccessor: true, instead: known.instead ?? known.address };
  }
  return known;
};

const isSame = (a: ClusterView, b: ClusterView): boolean =>
  a.epoch === b.epoch &&
  a.shardLeaders.every((position, shard) => position === b.shardLeaders[shard]) &&
  JSON.stringify([a.nodes, a.stores, a.replicationFactor]) === JSON.stringify([b.nodes, b.stores, b.replicationFactor]);
