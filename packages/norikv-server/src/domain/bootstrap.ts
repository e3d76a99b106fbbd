// How a cluster comes into being (design rule 6), as a state machine without I/O: given what a node has stored and what it sees of the
// others, says what it stores next, what it tells them, and whether the cluster is formed.
//
//   blank ── sees all nodes named, none initialised ──▶ lowest id: proposes ─┐
//     │                                                                     ▼
//     ├── sees the proposal of the lowest id, of the same nodes ──────▶ accepted ── all have accepted ──▶ formed
//     │
//     └── sees a node of a cluster ──▶ joins that cluster, or is refused there
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

/** What a node was told on its command line. */
export interface BootstrapOrder {
  /** How many nodes form the cluster; only those that were named may. */
  readonly expect: number;
  /** This node is one of those that were named to form the cluster; others can only join it. */
  readonly isNamed: boolean;
}

/** What to do. */
export type BootstrapStep =
  /** Wait: for the nodes `missing`, if they are known by name, or for what `why` says. */
  | { readonly type: 'wait'; readonly missing: readonly string[]; readonly why: string }
  /** Store this proposal as accepted, then tell. */
  | { readonly type: 'accept'; readonly founding: Founding }
  /** Store that the cluster is formed. */
  | { readonly type: 'form'; readonly founding: Founding }
  /** There is a cluster already: ask it to take this node in. */
  | { readonly type: 'join'; readonly clusterId: string; readonly through: string }
  /** An operator must help. */
  | { readonly type: 'refuse'; readonly why: string };

/**
 * Names a set of nodes in a few bytes, so that it fits into gossip: two FNV-1a of 32 bits each. It
 * guards against nodes that were named differently, by mistake and not by design.
 */
export const membersKey = (members: readonly string[]): string => {
  let low = 0x811c9dc5;
  let high = 0x01234567;
  for (const byte of new TextEncoder().encode([...members].sort().join(','))) {
    low = Math.imul(low ^ byte, 0x01000193) >>> 0;
    high = Math.imul(high ^ byte, 0x01000193) >>> 0;
  }
  return low.toString(36) + high.toString(36);
};

const wait = (why: string, missing: readonly string[] = []): BootstrapStep => ({ type: 'wait', missing, why });
const refuse = (why: string): BootstrapStep => ({ type: 'refuse', why });

const EMPTY_ALL = 'empty the data directories of all nodes that have not formed a cluster, and start them again';

/**
 * The next step of a node that is not formed.
 * @param nodeId this node
 * @param state what it has stored
 * @param seen notices of the nodes that were named to form the cluster, this one's not among them; those that are alive
 * @param newClusterId called for a proposal of this node: 16 random bytes as hex
 */
export const nextStep = (
  nodeId: string,
  state: BootstrapState,
  seen: readonly BootstrapNotice[],
  order: BootstrapOrder,
  newClusterId: () => string,
): BootstrapStep => {
  const { accepted } = state;
  if (accepted !== undefined) return afterAccepting(nodeId, accepted, seen);
  const formed = seen.filter(({ isFormed }) => isFormed);
  const other = formed.find(({ clusterId }) => clusterId !== formed[0]!.clusterId);
  if (other !== undefined) {
    const [first] = formed;
    return refuse(
      `--join names nodes of two clusters: ${first!.nodeId} belongs to ${first!.clusterId}, ${other.nodeId} to ${other.clusterId}`,
    );
  }
  if (formed.length > 0) return { type: 'join', clusterId: formed[0]!.clusterId, through: formed[0]!.nodeId };
  if (!order.isNamed) return wait('no node of a cluster was found; this node is not among those that --join names');
  return seen.length + 1 === order.expect
    ? whenAllAreThere(nodeId, seen, newClusterId)
    : wait(`${seen.length + 1} of ${order.expect} nodes are there`);
};

const whenAllAreThere = (
  nodeId: string,
  seen: readonly BootstrapNotice[],
  newClusterId: () => string,
): BootstrapStep => {
  const members = [nodeId, ...seen.map((notice) => notice.nodeId)].sort();
  const lowest = members[0]!;
  if (lowest === nodeId) {
    const other = seen.find(({ clusterId }) => clusterId !== '');
    if (other === undefined) return { type: 'accept', founding: { clusterId: newClusterId(), members } };
    return refuse(
      `node ${other.nodeId} has accepted cluster ${other.clusterId}, of which this node knows nothing: its directory was lost, or emptied; ${EMPTY_ALL}`,
    );
  }
  const proposal = seen.find((notice) => notice.nodeId === lowest)!;
  if (proposal.clusterId === '') return wait(`node ${lowest} is to propose the cluster`);
  if (proposal.members === membersKey(members)) {
    return { type: 'accept', founding: { clusterId: proposal.clusterId, members } };
  }
  return refuse(
    `node ${lowest} proposes a cluster of other nodes than ${members.join(', ')}, which this node was told of: give all nodes the same --join`,
  );
};

const afterAccepting = (nodeId: string, accepted: Founding, seen: readonly BootstrapNotice[]): BootstrapStep => {
  const others = accepted.members.filter((member) => member !== nodeId);
  const missing: string[] = [];
  let isFormedElsewhere = false;
  for (const member of others) {
    const notice = seen.find((each) => each.nodeId === member);
    if (notice === undefined || notice.clusterId === '') missing.push(member);
    else if (notice.clusterId !== accepted.clusterId) {
      return refuse(
        `this node has accepted cluster ${accepted.clusterId}, node ${member} cluster ${notice.clusterId}; ${EMPTY_ALL}`,
      );
    } else if (notice.isFormed) isFormedElsewhere = true;
  }
  // Who has formed has seen that all have accepted.
  if (missing.length === 0 || isFormedElsewhere) return { type: 'form', founding: accepted };
  return wait(`${missing.join(', ')} must accept cluster ${accepted.clusterId}`, missing);
};
