// Why a group does not take a call: before anything has happened, and with what to do.
import { RaftError } from '../errors.js';
import type { ResolvedMultiOptions } from './multi-options.js';
import type { RaftGroup } from './raft-group.js';
import type { CallOptions } from './waiting.js';

/** Reads of one group that may wait at once. */
export const READS_MAX = 65_536;

export function notLeader({ groupId, leader, leaderNode, term }: RaftGroup): RaftError {
  return new RaftError(
    'RAFT_NOT_LEADER',
    leader === 0
      ? `Group ${groupId} has no leader that this node knows of (term ${term}). Try again after an election.`
      : `Group ${groupId} is led by replica ${leader}${leaderNode === undefined ? '' : ` on node ${leaderNode}`}. Ask there.`,
    leader,
  );
}

export function tooLarge(bytes: number, { entryBytesMax }: ResolvedMultiOptions): RaftError {
  return new RaftError(
    'RAFT_ENTRY_TOO_LARGE',
    `An entry of ${bytes} bytes is over the limit of ${entryBytesMax} (entryBytesMax). Split it.`,
  );
}

export function emptyProposal(): RaftError {
  return new RaftError(
    'RAFT_MISUSE',
    'An empty proposal was made: entries without data are those of new leaders. Propose at least a byte.',
  );
}

/** Why a call is not begun: it was given up already, or would never be. */
export function refusalOf({ signal, timeoutMs }: CallOptions): Error | undefined {
  if (signal?.aborted === true) return signal.reason as Error;
  if (timeoutMs === undefined || timeoutMs >= 0) return undefined;
  return new RaftError('RAFT_MISUSE', `timeoutMs is ${timeoutMs}; it must be a number of milliseconds from 0 on.`);
}

export function busy(): RaftError {
  return new RaftError(
    'RAFT_BUSY',
    'Too much waits on this node already, to be proposed (proposalBytesMax), to be applied (unappliedBytesMax) or to be ' +
      `read (${READS_MAX} reads of a group). Try again in a moment.`,
  );
}
