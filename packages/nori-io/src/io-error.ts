// The one error class of nori-io. Node's errno strings become a few stable codes; Node's own error stays as `cause`.
import type { LockHolder } from './file-system.js';

/** Stable codes of {@link IoError}. */
export type IoErrorCode =
  /** No such file or directory. */
  | 'IO_NOT_FOUND'
  /** There is such a file already. */
  | 'IO_EXISTS'
  /** A live process holds the lock, or one of which it cannot be told; see {@link IoError.holder}. */
  | 'IO_LOCKED'
  /** The file system, or the quota, is full. */
  | 'IO_NO_SPACE'
  /** Not permitted, or the file system is mounted read-only. */
  | 'IO_PERMISSION'
  /** A directory stands where a file was expected, or the other way round. */
  | 'IO_WRONG_KIND'
  /** Too many open files in this process or on this system. */
  | 'IO_TOO_MANY_FILES'
  /** The file was used after `close`. */
  | 'IO_CLOSED'
  /** This runtime, or this version, cannot do it. */
  | 'IO_UNSUPPORTED'
  /** Compressed bytes are not valid. */
  | 'IO_CORRUPT'
  /** The device failed, or anything else; see `cause`. */
  | 'IO_FAILED';

/** What {@link IoError} carries beside code and message. */
export interface IoErrorDetails {
  readonly path: string;
  readonly cause?: unknown;
  readonly holder?: LockHolder;
}

/** A failed operation on the file system. */
export class IoError extends Error {
  override readonly name = 'IoError';
  readonly code: IoErrorCode;
  /** The path the operation was about; empty where none was. */
  readonly path: string;
  /** Who has the lock (`IO_LOCKED`), where that is known. */
  readonly holder?: LockHolder;

  constructor(code: IoErrorCode, message: string, details: IoErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.path = details.path;
    if (details.holder !== undefined) this.holder = details.holder;
  }
}

const CODES: Readonly<Record<string, IoErrorCode>> = {
  ENOENT: 'IO_NOT_FOUND',
  EEXIST: 'IO_EXISTS',
  ENOSPC: 'IO_NO_SPACE',
  EDQUOT: 'IO_NO_SPACE',
  EACCES: 'IO_PERMISSION',
  EPERM: 'IO_PERMISSION',
  EROFS: 'IO_PERMISSION',
  EISDIR: 'IO_WRONG_KIND',
  ENOTDIR: 'IO_WRONG_KIND',
  EMFILE: 'IO_TOO_MANY_FILES',
  ENFILE: 'IO_TOO_MANY_FILES',
};

const REASONS: Readonly<Record<IoErrorCode, string>> = {
  IO_NOT_FOUND: 'there is no such file or directory',
  IO_EXISTS: 'it exists already',
  IO_LOCKED: 'another process holds the lock',
  IO_NO_SPACE: 'the disk or the quota is full; free some space',
  IO_PERMISSION: 'it is not permitted; check owner, mode and mount options',
  IO_WRONG_KIND: 'a directory stands where a file was expected, or the other way round',
  IO_TOO_MANY_FILES: 'too many files are open; raise the limit (ulimit -n)',
  IO_CLOSED: 'the file is closed',
  IO_UNSUPPORTED: 'this system does not support it',
  IO_CORRUPT: 'the bytes are not valid',
  IO_FAILED: 'the system reported an error; check the device and its mount',
};

/** Makes the {@link IoError} for a code, in the wording all file systems share. `action` is a verb: "open", "write". */
export function ioError(code: IoErrorCode, action: string, path: string, cause?: unknown): IoError {
  const detail = code === 'IO_FAILED' && cause instanceof Error ? ` (${cause.message})` : '';
  return new IoError(code, `Cannot ${action} ${path}: ${REASONS[code]}${detail}`, { path, cause });
}

/** Turns what `node:fs` threw into an {@link IoError}. */
export function fromNodeError(error: unknown, action: string, path: string): IoError {
  if (error instanceof IoError) return error;
  const errno = (error as { readonly code?: unknown }).code;
  return ioError((typeof errno === 'string' && CODES[errno]) || 'IO_FAILED', action, path, error);
}
