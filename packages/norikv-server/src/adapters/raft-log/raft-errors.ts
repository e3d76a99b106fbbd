// What nori-raft reports, in the words of the node: did it happen, may it still, and what to do.
import { RaftError } from 'nori-raft';
import { asNodeError, NodeError } from '../../domain/node-error.js';

const RETRY_AFTER_MS = 50;

/** The error of a write that was handed to the log. */
export const writeError = (cause: unknown, notLeader: () => NodeError): NodeError => {
  if (!(cause instanceof RaftError))
    return new NodeError('INTERNAL', String((cause as Error)?.message ?? cause), { cause });
  switch (cause.code) {
    case 'RAFT_NOT_LEADER':
      return notLeader();
    case 'RAFT_TRANSFER_IN_PROGRESS':
    case 'RAFT_PROPOSAL_LOST':
    case 'RAFT_PROPOSAL_DROPPED':
    case 'RAFT_TIMEOUT': {
      const message = `The shard's leader is changing or overloaded; nothing was written. Try again. (${cause.message})`;
      return new NodeError('UNAVAILABLE', message, { cause, retryAfterMs: RETRY_AFTER_MS });
    }
    case 'RAFT_BUSY':
      return new NodeError(
        'RESOURCE_EXHAUSTED',
        'Too many writes wait for the log; nothing was written. Try again later.',
        {
          cause,
          retryAfterMs: RETRY_AFTER_MS,
        },
      );
    case 'RAFT_NO_SPACE':
      return noSpace(cause);
    case 'RAFT_OUTCOME_UNKNOWN':
      return new NodeError(
        'COMMIT_TIMEOUT',
        'The write was under way when it was given up; it may or may not happen. Retry it with the same identity.',
        { cause },
      );
    case 'RAFT_ENTRY_TOO_LARGE':
      return new NodeError('INTERNAL', cause.message, { cause });
    default:
      return unavailable(cause);
  }
};

/** The disk of the log is full. */
export const noSpace = (cause: RaftError): NodeError =>
  new NodeError(
    'RESOURCE_EXHAUSTED',
    'The disk of the log is full; nothing was written. Free some space: writes resume by themselves.',
    { cause },
  );

/** The error of a replica that could not be made or taken up. */
export const makingError = (cause: unknown): NodeError => {
  if (!(cause instanceof RaftError)) return asNodeError(cause);
  return cause.code === 'RAFT_NO_SPACE' ? noSpace(cause) : unavailable(cause);
};

/** The error of a read that had to ask the group. */
export const readError = (cause: unknown, notLeader: () => NodeError): NodeError => {
  if (cause instanceof RaftError && cause.code === 'RAFT_NOT_LEADER') return notLeader();
  if (cause instanceof RaftError && cause.code === 'RAFT_TIMEOUT') {
    const message =
      'No majority of the shard answered in time; nothing was read. Try again when more nodes are reachable.';
    return new NodeError('QUORUM_UNAVAILABLE', message, { cause });
  }
  return unavailable(cause);
};

const unavailable = (cause: unknown): NodeError =>
  new NodeError('UNAVAILABLE', `The log of the node has ended: ${(cause as Error)?.message ?? String(cause)}`, {
    cause,
  });
