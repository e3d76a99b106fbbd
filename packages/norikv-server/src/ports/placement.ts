// The driven port to placement: which groups have a replica on this node, and where the others are.

/** A group as this node must know it to take part in it. */
export interface ReplicaDescriptor {
  /** Of this node's replica; never used before in this group. */
  readonly replicaId: number;
  /** The replicas that the group began with. */
  readonly voters: readonly number[];
  /** Replicas that listened only when the group began. */
  readonly learners: readonly number[];
  /** Node ids by replica id. */
  readonly peers: ReadonlyMap<number, string>;
  /** The replica that leads when it can. */
  readonly preferredLeader: number;
  /** One of the group's first replicas, as opposed to one that joined later. */
  readonly bootstrap: boolean;
}

/** Who has what. */
export interface Placement {
  /** This node's replica of a group; undefined: it has none, as far as is known. */
  replicaOf(group: number): ReplicaDescriptor | undefined;
  /** The node that leads a group, or is going to, as long as nobody has heard otherwise; undefined: not known. */
  expectedLeader(group: number): string | undefined;
  /** Where clients of a node connect, as host:port; undefined: not known, or the node is not there. */
  clientAddressOf(nodeId: string): string | undefined;
}
