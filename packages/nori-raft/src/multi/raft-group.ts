// A group as its users see it.
import type { ConfChange, ConfState, RaftStatus, Role } from '../types.js';
import type { NodeId, StateMachine } from './ports.js';
import type { Applied } from './proposals.js';
import type { CallOptions } from './waiting.js';

/** What a new or returning replica is made of. */
export interface GroupOptions<Result> {
  readonly groupId: number;
  /** Never used before in this group, by any node. */
  readonly replicaId: number;
  readonly stateMachine: StateMachine<Result>;
  /** Where the replicas of the group are; more are learned from their messages and by {@link RaftGroup.setPeer}. */
  readonly peers: ReadonlyMap<number, NodeId>;
  /** One of the first replicas of a new group, as opposed to one that joins later. Default false. */
  readonly bootstrap?: boolean;
  /**
   * Replica that shall lead when it can: it campaigns at once when the group is new, and is handed leadership once it has followed for
   * the longest election timeout. Default: none.
   */
  readonly preferredLeader?: number;
}

/** Who is told what became of a proposal: once, possibly within the call that makes it. Must not throw. */
export interface ProposalOutcome<Result> {
  /** It is applied here. */
  applied(result: Result): void;
  /** As {@link RaftGroup.propose} rejects. */
  failed(error: Error): void;
}

/** A group on this node. */
export interface RaftGroup<Result = unknown> {
  readonly groupId: number;
  readonly replicaId: number;
  readonly role: Role;
  readonly term: number;
  /** Replica id; 0: unknown. */
  readonly leader: number;
  readonly leaderNode: NodeId | undefined;
  readonly appliedIndex: number;
  /**
   * Proposes an entry, of a byte at least; resolves when it is applied here.
   * @throws RaftError RAFT_NOT_LEADER, RAFT_BUSY, RAFT_PROPOSAL_DROPPED, RAFT_PROPOSAL_LOST, RAFT_TIMEOUT,
   * RAFT_TRANSFER_IN_PROGRESS, RAFT_ENTRY_TOO_LARGE, RAFT_MISUSE, RAFT_CLOSED: it did not happen; RAFT_OUTCOME_UNKNOWN: nobody knows
   */
  propose(data: Uint8Array, options?: CallOptions): Promise<Applied<Result>>;
  /** As {@link RaftGroup.propose}, without a promise: for those who propose to hundreds of groups in a turn. */
  proposeDirect(data: Uint8Array, outcome: ProposalOutcome<Result>): void;
  /**
   * Resolves when a read of the state machine here is linearizable with all that was acknowledged before the call, with
   * the index that is applied at least. Works at followers too.
   * @throws RaftError RAFT_NOT_LEADER when no leader is known, RAFT_TIMEOUT, RAFT_CLOSED
   */
  read(options?: CallOptions): Promise<number>;
  /**
   * Calls `read` and returns what it returns, wrapped, if that is linearizable without asking anyone: this replica leads,
   * has applied everything that is committed, and its lease holds before and after. Else undefined, and `read` may or may
   * not have been called: use {@link RaftGroup.read} then. `read` must be synchronous.
   */
  leaseRead<T>(read: () => T): { readonly value: T } | undefined;
  /** Changes the configuration; resolves when the change is applied here. @throws as {@link RaftGroup.propose} */
  changeConfig(change: ConfChange, options?: CallOptions): Promise<ConfState>;
  /** Hands leadership over. @throws RaftError RAFT_NOT_LEADER */
  transferLeader(to: number): void;
  setPeer(replicaId: number, node: NodeId): void;
  status(): RaftStatus;
}
