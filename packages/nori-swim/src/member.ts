// What is known about a member, as it is shown to users.

/** A name that is unique in the cluster and stays with a node over restarts: 1 to 128 bytes of UTF-8, no control characters. */
export type NodeId = string;

/** `host:port` with an IP address as host; IPv6 in brackets. */
export type Address = string;

/**
 * `alive`; `suspect`: did not answer, may still refute; `dead`: suspected for too long; `left`: said goodbye itself.
 * At one incarnation a member only moves to the right; a higher incarnation, which only the member itself can begin, makes it
 * `alive` again.
 */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left';

/** Whether this node reaches a member in one way. `unknown`: it was not tried yet. */
export type Reachability = 'reachable' | 'unreachable' | 'unknown';

/** A member as this node sees it. */
export interface Member {
  readonly id: NodeId;
  readonly address: Address;
  /** Where it runs, as its `zone` option says; empty if it does not. */
  readonly zone: string;
  /** Up to 512 bytes of its own. Do not change them. */
  readonly metadata: Uint8Array;
  readonly state: MemberState;
  /** Raised by the member alone: when it starts, when it refutes, when its metadata change. */
  readonly incarnation: number;
  /** Tells one run of the member's process from another; later runs have greater numbers. */
  readonly boot: number;
  /** How long it has been in this state, in the eyes of this node. */
  readonly stateAgeMs: number;
  /** Round trip of the last direct answer to a ping. */
  readonly rttMs: number | undefined;
  /** Directly over UDP: `unreachable` after three pings in a row that only helpers or TCP got an answer to. */
  readonly udp: Reachability;
  /** Over TCP, from the last attempt. */
  readonly tcp: Reachability;
  /** While it is suspected: who did not get an answer, the first first. */
  readonly suspectedBy: readonly NodeId[];
}

/** Everything that this node knows. */
export interface SwimView {
  /** This node itself. */
  readonly self: Member;
  /** All others, also those that are dead or have left and are not forgotten yet. */
  readonly others: readonly Member[];
  /** 0: healthy; up to 7: probes are this much (plus one) slower, because this node itself seems to be slow. */
  readonly localHealth: number;
  /** What is still to be passed on. */
  readonly pendingRumours: number;
}
