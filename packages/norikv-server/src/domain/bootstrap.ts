// How a cluster comes into being (design rule 6), as a state machine without I/O: given what a node has stored and what it sees of the
// others, says what it stores next, what it tells them, and whether the cluster is formed.
//
//   blank ── sees all nodes named, none initialised ──▶ lowest id: proposes ─┐
//     │                                                                     ▼
//     └── sees the proposal of the lowest id, of the same nodes ──────▶ accepted ── all have accepted ──▶ formed
//
// Safe because: a proposal is accepted durably, at most one by each node; forming needs all of the nodes that it names; so two
// proposals with a node in common cannot both be formed, and those that were named together have all nodes in common.

/** The first nodes of a cluster, and its id. Stored before it is told. */
export interface Founding {
  /** 16 bytes as hex. */
  readonly clusterId: string;
  /** Node ids, ascending. */
  readonly members: readonly string[];
}

/** What a node stores. */
export interface BootstrapState {
  /** The proposal that this node has accepted, or made. */
  readonly accepted: Founding | undefined;
  /** All have accepted it: this node belongs to the cluster. */
  readonly isFormed: boolean;
}

/** What a node tells all others while it waits, and after. */
export interface BootstrapNotice {
  readonly nodeId: string;
  /** Empty: has accepted nothing. */
  readonly clusterId: string;
  /** Of the proposal, as {@link membersKey} has it. */
  readonly members: string;
  readonly isFormed: boolean;
}

/** What to do. */
export type BootstrapStep =
  /** Wait: for `missing` nodes, or for what `why` says. */
  | { readonly type: 'wait'; readonly missing: readonly string[]; readonly why: string }
  /** Store this proposal as accepted, then tell. */
  | { readonly type: 'accept'; readonly founding: Founding }
  /** Store that the cluster is formed. */
  | { readonly type: 'form'; readonly founding: Founding }
  /** An operator must help. */
  | { readonly type: 'refuse'; readonly why: string };

/** Names a set of nodes in few bytes; equal only for equal sets. */
export const membersKey = (members: readonly string[]): string => [...members].sort().join(',');

/**
 * The next step of a node that is not formed.
 * @param nodeId this node
 * @param state what it has stored
 * @param seen notices of the nodes that were named to form the cluster, this one's not among them; those that are alive
 * @param expect how many nodes form the cluster
 * @param newClusterId called for a proposal of this node: 16 random bytes as hex
 */
export const nextStep = (
  nodeId: string,
  state: BootstrapState,
  seen: readonly BootstrapNotice[],
  expect: number,
  newClusterId: () => string,
): BootstrapStep => {
  const { accepted } = state;
  if (accepted !== undefined) return afterAccepting(nodeId, accepted, seen);
  const formed = seen.find(({ isFormed }) => isFormed);
  if (formed !== undefined) {
    const why = `node ${formed.nodeId} belongs to cluster ${formed.clusterId} already, and this node's directory is blank: it can only join that cluster, as a new node`;
    return { type: 'refuse', why };
  }
  if (seen.length + 1 < expect) {
    return { type: 'wait', missing: [], why: `${seen.length + 1} of ${expect} nodes are there` };
  }
  if (seen.length + 1 > expect) {
    const names = membersKey([nodeId, ...seen.map((notice) => notice.nodeId)]);
    return { type: 'refuse', why: `--expect is ${expect}, but there are ${seen.length + 1} nodes: ${names}` };
  }
  const members = [nodeId, ...seen.map((notice) => notice.nodeId)].sort();
  const lowest = members[0]!;
  if (lowest === nodeId) {
    const other = seen.find(({ clusterId }) => clusterId !== '');
    if (other !== undefined) {
      const why = `node ${other.nodeId} has accepted cluster ${other.clusterId}, of which this node knows nothing: its directory was lost, or emptied. Empty the directories of all nodes that have not formed a cluster, and start again`;
      return { type: 'refuse', why };
    }
    return { type: 'accept', founding: { clusterId: newClusterId(), members } };
  }
  const proposal = seen.find((notice) => notice.nodeId === lowest)!;
  if (proposal.clusterId === '') return { type: 'wait', missing: [], why: `node ${lowest} is to propose the cluster` };
  if (proposal.members !== membersKey(members)) {
    const why = `node ${lowest} proposes a cluster of ${proposal.members}, this node was told of ${membersKey(members)}: give all nodes the same --join`;
    return { type: 'refuse', why };
  }
  return { type: 'accept', founding: { clusterId: proposal.clusterId, members } };
};

const afterAccepting = (nodeId: string, accepted: Founding, seen: readonly BootstrapNotice[]): BootstrapStep => {
  const others = accepted.members.filter((member) => member !== nodeId);
  const missing: string[] = [];
  for (const member of others) {
    const notice = seen.find((each) => each.nodeId === member);
    if (notice === undefined || notice.clusterId === '') missing.push(member);
    else if (notice.clusterId !== accepted.clusterId) {
      const why = `this node has accepted cluster ${accepted.clusterId}, node ${member} cluster ${notice.clusterId}: empty the directories of all nodes that have not formed a cluster, and start again`;
      return { type: 'refuse', why };
    }
  }
  if (missing.length > 0)
    return { type: 'wait', missing, why: `${missing.join(', ')} must accept cluster ${accepted.clusterId}` };
  return { type: 'form', founding: accepted };
};
