// The one error class of nori-wal, and how failures of the file system become one.
import { IoError } from 'nori-io';

/** Stable codes of {@link WalError}. */
export type WalErrorCode =
  /** A record below what was synced, or in an older segment, is damaged. */
  | 'WAL_CORRUPT_RECORD'
  /** A segment's header is damaged, or does not fit its neighbours. */
  | 'WAL_CORRUPT_HEADER'
  /** A segment between others, or the end of an older one, is gone. */
  | 'WAL_MISSING_SEGMENT'
  /** The directory is not a directory, or a segment file was not written by nori-wal. */
  | 'WAL_NOT_A_LOG'
  /** Written by a newer nori-wal. */
  | 'WAL_UNSUPPORTED_VERSION'
  /** A live process, or this one, has the log open. */
  | 'WAL_LOCKED'
  /** The disk is full; the append left nothing behind and may be tried again. */
  | 'WAL_NO_SPACE'
  /** An earlier sync failed: nothing more can be promised. Close, see to the disk, open again. */
  | 'WAL_POISONED'
  /** The log is closed. */
  | 'WAL_CLOSED'
  /** A record, or a batch, is larger than the limit. */
  | 'WAL_RECORD_TOO_LARGE'
  /** No record begins at this position. */
  | 'WAL_INVALID_POSITION'
  /** The place of a reader, or a position, was dropped by `truncateBefore` or `truncateAfter`. */
  | 'WAL_TRUNCATED'
  /** The writer of a log changed it under a reader that does not own it. */
  | 'WAL_CHANGED'
  /** A compression that this runtime does not have. */
  | 'WAL_UNSUPPORTED_COMPRESSION'
  /** An option is out of range. */
  | 'WAL_INVALID_OPTION'
  /** The file system failed otherwise; see `cause`. */
  | 'WAL_IO_FAILED';

/** What {@link WalError} carries beside code and message. */
export interface WalErrorDetails {
  /** Path of the file it is about. */
  readonly file?: string;
  /** Byte offset in that file. */
  readonly offset?: number;
  readonly cause?: unknown;
}

/** A failed operation on the log. */
export class WalError extends Error {
  override readonly name = 'WalError';
  readonly code: WalErrorCode;
  readonly file?: string;
  readonly offset?: number;

  constructor(code: WalErrorCode, message: string, details: WalErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    if (details.file !== undefined) this.file = details.file;
    if (details.offset !== undefined) this.offset = details.offset;
  }
}

/** A damaged record: names file and offset. */
export function corruptRecord(file: string, offset: number, what: string): WalError {
  return new WalError(
    'WAL_CORRUPT_RECORD',
    `The log file ${file} is damaged at offset ${offset}: ${what}. Restore the file from a copy`,
    { file, offset },
  );
}

/** Makes a {@link WalError} of what the file system threw; one that is a WalError already stays as it is. */
export function asWalError(error: unknown): WalError {
  if (error instanceof WalError) return error;
  if (!(error instanceof IoError))
    return new WalError('WAL_IO_FAILED', `The log failed: ${String(error)}`, { cause: error });
  const details = { file: error.path, cause: error };
  if (error.code === 'IO_LOCKED') return new WalError('WAL_LOCKED', `The log is in use. ${error.message}`, details);
  if (error.code === 'IO_NO_SPACE')
    return new WalError('WAL_NO_SPACE', `The log cannot grow. ${error.message}`, details);
  return new WalError('WAL_IO_FAILED', `The log's file system failed. ${error.message}`, details);
}

/** Whether the file system refused for want of space. */
export const isNoSpace = (error: unknown): boolean => error instanceof IoError && error.code === 'IO_NO_SPACE';

/** No record begins at a position that a caller gave. */
export function invalidPosition(position: number, why: string): WalError {
  return new WalError('WAL_INVALID_POSITION', `The log has no record at position ${position}: ${why}`);
}

/** What was at a position is gone. */
export function truncated(position: number): WalError {
  return new WalError(
    'WAL_TRUNCATED',
    `The log was cut: position ${position} is no longer in it. Read on from a position that is`,
  );
}
