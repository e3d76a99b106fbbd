// Where nodes are and whether they are there: what they tell of themselves through gossip, and where gossip has nothing, what the
// cluster has agreed on. What gossip says of the dead holds at once.

import type { NodeDescription } from '../domain/meta-command.js';
import type { MetaState } from '../domain/meta-state.js';
import { decodeCard, encodeCard, type NodeCard } from '../domain/node-card.js';
import type { Membership, Peer } from '../ports/membership.js';

/** A node as this one sees it. `unknown`: nothing was heard of it yet. */
export type Presence = Peer['state'] | 'unknown';

/** What a directory is made of. */
export interface DirectoryParts {
  readonly nodeId: string;
  readonly card: NodeCard;
  /** Undefined: this node has no others. */
  readonly membership: Membership | undefined;
}

/** What cards say of another node. */
export interface SeenNode {
  readonly nodeId: string;
  readonly address: string;
  readonly presence: Presence;
  readonly card: NodeCard | undefined;
}

export class ClusterDirectory {
  readonly nodeId: string;
  readonly membership: Membership | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #stop: (() => void) | undefined;
  #card: NodeCard;
  #seen: ReadonlyMap<string, SeenNode> = new Map();
  /** What the cluster has agreed on; set once it is known. */
  #state: (() => MetaState) | undefined;

  constructor({ nodeId, card, membership }: DirectoryParts) {
    this.nodeId = nodeId;
    this.membership = membership;
    this.#card = card;
    this.#look();
    this.#stop = membership?.onChange(() => {
      this.#look();
      this.#tell();
    });
  }

  /** From now on what the cluster has agreed on fills the gaps. */
  follow(state: () => MetaState): void {
    this.#state = state;
    this.#tell();
  }

  /** This node's own card. */
  get card(): NodeCard {
    return this.#card;
  }

  /** Changes this node's own card, and tells the others. */
  announce(change: Partial<NodeCard>): void {
    this.#card = { ...this.#card, ...change };
    this.membership?.announce(encodeCard(this.#card));
    this.#tell();
  }

  /** This node as the cluster is to know it. */
  describe(incarnation: string): NodeDescription {
    const { version, http, stores } = this.#card;
    return { id: this.nodeId, incarnation, version, gossip: this.membership?.address ?? '', http, stores };
  }

  /** All others that gossip knows. */
  get seen(): ReadonlyMap<string, SeenNode> {
    return this.#seen;
  }

  #look(): void {
    const seen = new Map<string, SeenNode>();
    for (const { nodeId, address, state, card } of this.membership?.peers() ?? []) {
      seen.set(nodeId, { nodeId, address, presence: state, card: card.length === 0 ? undefined : decodeCard(card) });
    }
    this.#seen = seen;
  }

  presence(nodeId: string): Presence {
    return nodeId === this.nodeId ? 'alive' : (this.#seen.get(nodeId)?.presence ?? 'unknown');
  }

  /** Whether a node is known not to be there. */
  isGone(nodeId: string): boolean {
    const presence = this.presence(nodeId);
    return presence === 'dead' || presence === 'left';
  }

  /** The card of a node of this node's cluster. */
  #cardOf(nodeId: string): NodeCard | undefined {
    if (nodeId === this.nodeId) return this.#card;
    const card = this.#seen.get(nodeId)?.card;
    return card !== undefined && card.clusterId !== '' && card.clusterId === this.#card.clusterId ? card : undefined;
  }

  /** Where a node's stores are. */
  storesOf(nodeId: string): NodeCard['stores'] {
    const stores = this.#cardOf(nodeId)?.stores;
    return stores !== undefined && stores.length > 0 ? stores : (this.#state?.().nodes.get(nodeId)?.stores ?? []);
  }

  httpOf(nodeId: string): string {
    return this.#cardOf(nodeId)?.http ?? this.#state?.().nodes.get(nodeId)?.http ?? '';
  }

  versionOf(nodeId: string): string {
    return this.#cardOf(nodeId)?.version ?? this.#state?.().nodes.get(nodeId)?.version ?? '';
  }

  /** Where the other nodes of the cluster, and those that want to belong to it, listen for their peers. */
  peerAddresses(): ReadonlyMap<string, string> {
    const addresses = new Map<string, string>();
    const add = (nodeId: string) => {
      const peer = this.storesOf(nodeId)[0]?.peer ?? '';
      if (peer !== '' && nodeId !== this.nodeId) addresses.set(nodeId, peer);
    };
    for (const nodeId of this.#state?.().nodes.keys() ?? []) add(nodeId);
    for (const nodeId of this.#seen.keys()) if (this.#cardOf(nodeId) !== undefined) add(nodeId);
    return addresses;
  }

  /** Calls `listener` after each change; returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  close(): void {
    this.#stop?.();
    this.#listeners.clear();
  }
}
