// What goes wrong with the log, as RaftErrors.
import { WalError, type WalErrorCode } from 'nori-wal';
import { RaftError, type RaftErrorCode } from '../errors.js';

const CODES: Partial<Record<WalErrorCode, RaftErrorCode>> = {
  WAL_CORRUPT_RECORD: 'RAFT_CORRUPT_STATE',
  WAL_CORRUPT_HEADER: 'RAFT_CORRUPT_STATE',
  WAL_MISSING_SEGMENT: 'RAFT_CORRUPT_STATE',
  WAL_NOT_A_LOG: 'RAFT_UNSUPPORTED_FORMAT',
  WAL_UNSUPPORTED_VERSION: 'RAFT_UNSUPPORTED_FORMAT',
  WAL_UNSUPPORTED_COMPRESSION: 'RAFT_UNSUPPORTED_FORMAT',
  WAL_LOCKED: 'RAFT_STORAGE_LOCKED',
  WAL_NO_SPACE: 'RAFT_NO_SPACE',
  WAL_INVALID_OPTION: 'RAFT_INVALID_OPTION',
  WAL_CLOSED: 'RAFT_CLOSED',
};

/** What to throw for what nori-wal threw: a fresh error for each caller, with nori-wal's as its cause. */
export function asRaftError(error: unknown): RaftError {
  if (error instanceof RaftError) return error;
  const code = (error instanceof WalError && CODES[error.code]) || 'RAFT_STORAGE_FAILED';
  const message = error instanceof Error ? error.message : String(error);
  return new RaftError(code, `${message}.`.replace(/\.\.$/, '.'), 0, error);
}

/** The log contradicts itself, or does not say what it must. */
export function corrupt(what: string, position: number, cause?: unknown): RaftError {
  return new RaftError(
    'RAFT_CORRUPT_STATE',
    `The raft log is damaged at position ${position}: ${what}. Restore its files from a copy, or replace the replicas of this node.`,
    0,
    cause,
  );
}

export function misuse(what: string): RaftError {
  return new RaftError('RAFT_MISUSE', what);
}

export function unknownGroup(groupId: number): RaftError {
  return new RaftError('RAFT_UNKNOWN_GROUP', `This node has no replica of group ${groupId}. Create it first.`);
}
