// The errors of this package: one class, told apart by a stable code.

/** Stable codes of {@link RaftError}. */
export type RaftErrorCode =
  /** This replica does not lead. `leader` names the one that does, if known. */
  | 'RAFT_NOT_LEADER'
  /** The proposal was not appended; nothing happened. Try again later. */
  | 'RAFT_PROPOSAL_DROPPED'
  /** Leadership is being handed over; try again, at the new leader. */
  | 'RAFT_TRANSFER_IN_PROGRESS'
  /** An earlier configuration change may not be applied yet, or this leader has not committed an entry of its own yet. */
  | 'RAFT_CONF_CHANGE_PENDING'
  /** The configuration change makes no sense here: it would leave no voter, or leave what is not joint, for example. */
  | 'RAFT_CONF_CHANGE_INVALID'
  /** An entry is over `entryBytesMax`. */
  | 'RAFT_ENTRY_TOO_LARGE'
  /** An option is missing or out of range. */
  | 'RAFT_INVALID_OPTION'
  /** The stored state contradicts itself. */
  | 'RAFT_CORRUPT_STATE'
  /** What a peer sent is no frame, or is over the limits. */
  | 'RAFT_BAD_FRAME'
  /** A transport cannot listen where it should. */
  | 'RAFT_LISTEN_FAILED'
  /** The core was not called as its contract says; a bug of the caller. */
  | 'RAFT_MISUSE'
  /** Too much waits already on this node; nothing happened. Try again later. */
  | 'RAFT_BUSY'
  /** The proposal was overtaken by another leader's entry: it did not happen and will not. Propose it again. */
  | 'RAFT_PROPOSAL_LOST'
  /** Nobody can know whether the proposal happened or will happen: it was given up after it had been sent. */
  | 'RAFT_OUTCOME_UNKNOWN'
  /** Given up before anything was sent, or a read that was not answered in time. */
  | 'RAFT_TIMEOUT'
  /** There is no such group on this node. */
  | 'RAFT_UNKNOWN_GROUP'
  /** The group exists already, or its replica id was used before. */
  | 'RAFT_GROUP_EXISTS'
  /** The replica was removed from this node, or its node was closed. */
  | 'RAFT_CLOSED'
  /** This group failed on this node: see the cause. Other groups go on. */
  | 'RAFT_GROUP_FAILED';

/** What this package throws. */
export class RaftError extends Error {
  override readonly name = 'RaftError';
  readonly code: RaftErrorCode;
  /** With `RAFT_NOT_LEADER`: id of the leader, or 0 when none is known. */
  readonly leader: number;

  constructor(code: RaftErrorCode, message: string, leader = 0, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.leader = leader;
  }
}
