// The driven port to membership: who is there, as far as this node knows, and what they tell of themselves.

/** Another node. */
export interface Peer {
  readonly nodeId: string;
  /** Where it gossips: host:port, an IP address as host. */
  readonly address: string;
  /** `suspect`: did not answer, and may still show that it lives; `dead`: has not; `left`: said goodbye. */
  readonly state: 'alive' | 'suspect' | 'dead' | 'left';
  /** What it tells of itself. Empty before the first word of its own. */
  readonly card: Uint8Array;
}

/** Membership of this node in a cluster. */
export interface Membership {
  /** Where others reach this node's gossip. */
  readonly address: string;
  /** All others, those included that are gone and not forgotten. */
  peers(): readonly Peer[];
  /** Changes what this node tells of itself. */
  announce(card: Uint8Array): void;
  /**
   * Asks nodes at these addresses (host:port; names may have many addresses) for membership. True as soon as one answers, false when
   * none does. @throws StartupError `NODE_ID_IN_USE` when another live node has this node's id
   */
  join(seeds: readonly string[]): Promise<boolean>;
  /** The addresses that these host:port stand for, as {@link Peer.address} has them; those that stand for none are left out. */
  resolve(seeds: readonly string[]): Promise<ReadonlySet<string>>;
  /** Calls `listener` after each change; returns the way to stop. */
  onChange(listener: () => void): () => void;
  /** Resolves when membership has ended by itself: another node has this node's id. */
  readonly failed: Promise<Error>;
  /** Says goodbye and stops. */
  leave(): Promise<void>;
  /** Stops without a word. */
  close(): Promise<void>;
}
