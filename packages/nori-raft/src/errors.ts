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
  /** Too much waits already on this node, or its disk stands still; nothing happened. Try again later. */
  | 'RAFT_BUSY'
  /** The proposal was overtaken by another leader's entry: it did not happen and will not. Propose it again. */
  | 'RAFT_PROPOSAL_LOST'
  /** Nobody can know whether the proposal happened or will happen: it was given up after it had been sent. */
  | 'RAFT_OUTCOME_UNKNOWN'
  /** Given up before anything was sent, or a read that was not answered in time. */
  | 'RAFT_TIMEOUT'
  /** This group failed on this node: see the cause. Other groups go on. */
  | 'RAFT_GROUP_FAILED'
  /** Something was not called as its contract says; a bug of the caller. */
  | 'RAFT_MISUSE'
  /** The disk is full: nothing of this write, nor of those that were waiting behind it, is stored. Later ones may be. */
  | 'RAFT_NO_SPACE'
  /** A write or sync of the log failed, for good: what is on disk is unknown until the log is opened again. See `cause`. */
  | 'RAFT_STORAGE_FAILED'
  /** A live process, or this one, has the log open. */
  | 'RAFT_STORAGE_LOCKED'
  /** The log was written by a newer version, or is none of nori-raft's. */
  | 'RAFT_UNSUPPORTED_FORMAT'
  /** The log belongs to another node or another cluster. */
  | 'RAFT_WRONG_NODE'
  /** This node has no replica of the group. */
  | 'RAFT_UNKNOWN_GROUP'
  /** This node has a replica of the group already. */
  | 'RAFT_GROUP_EXISTS'
  /** A replica with this id, or a later one, has been here and was removed. */
  | 'RAFT_REPLICA_REMOVED'
  /** Used after `close`. */
  | 'RAFT_CLOSED';

/** What this package throws. */
export class RaftError extends Error {
  override readonly name = 'RaftError';
  readonly code: RaftErrorCode;
  /** With `RAFT_NOT_LEADER`: id of the leader, or 0 when none is known. */
  readonly leader: number;

  constructor(code: RaftErrorCode, message: string, leader = 0, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.leader = leader;
  }
}
