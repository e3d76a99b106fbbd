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
  | 'RAFT_MISUSE';

/** What this package throws. */
export class RaftError extends Error {
  override readonly name = 'RaftError';
  readonly code: RaftErrorCode;
  /** With `RAFT_NOT_LEADER`: id of the leader, or 0 when none is known. */
  readonly leader: number;

  constructor(code: RaftErrorCode, message: string, leader = 0) {
    super(message);
    this.code = code;
    this.leader = leader;
  }
}
