// The driven port to what a node durably is: which cluster it belongs to, or is about to.

/** `accepted`: a proposal to form a cluster; `formed`: the node belongs to it; `joining`: it has asked to be taken in. */
export type IdentityPhase = 'accepted' | 'formed' | 'joining';

/** Which cluster a node belongs to. */
export interface Identity {
  /** 16 bytes as hex. */
  readonly clusterId: string;
  /** Missing in directories of versions that did not replicate: formed. */
  readonly phase?: IdentityPhase;
  /** The first nodes of the cluster, if this node is one of them; missing beside a missing phase: this node alone. */
  readonly members?: readonly string[];
}

/** Keeps an identity. */
export interface IdentityKeeper {
  /** Undefined while the node is blank. */
  readonly identity: Identity | undefined;
  /** Durable when it resolves. */
  become(change: Identity & { readonly phase: IdentityPhase }): Promise<unknown>;
}
