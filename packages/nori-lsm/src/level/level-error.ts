// Errors as users of abstract-level know them: the codes of classic-level where there is one, else those of nori-lsm.
import type { LsmErrorCode } from '../errors.js';
import { LsmError } from '../errors.js';

const CODES: Partial<Record<LsmErrorCode, string>> = {
  LSM_LOCKED: 'LEVEL_LOCKED',
  LSM_CORRUPT_MANIFEST: 'LEVEL_CORRUPTION',
  LSM_CORRUPT_TABLE: 'LEVEL_CORRUPTION',
  LSM_CORRUPT_LOG: 'LEVEL_CORRUPTION',
  LSM_MISSING_TABLE: 'LEVEL_CORRUPTION',
  LSM_IO_FAILED: 'LEVEL_IO_ERROR',
  LSM_NO_SPACE: 'LEVEL_IO_ERROR',
  LSM_LOG_FAILED: 'LEVEL_IO_ERROR',
  LSM_READ_ONLY: 'LEVEL_READONLY',
  LSM_CLOSED: 'LEVEL_DATABASE_NOT_OPEN',
};

/** An error with a code of the family; `cause` is the {@link LsmError}, which tells more. */
class LevelError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Named as the platform's. */
class AbortError extends LevelError {
  constructor(cause: unknown) {
    super('LEVEL_ABORTED', 'Operation has been aborted', { cause });
    this.name = 'AbortError';
  }
}

export const levelError = (code: string, message: string, cause?: unknown): Error =>
  new LevelError(code, message, cause === undefined ? undefined : { cause });

/** The error of an operation that a signal ended. */
export const abortError = (signal: AbortSignal): Error => new AbortError(signal.reason);

/** What the store threw, for users of abstract-level. */
export const levelErrorOf = (thrown: unknown): unknown => {
  if (!(thrown instanceof LsmError)) return thrown;
  return new LevelError(CODES[thrown.code] ?? thrown.code, thrown.message, { cause: thrown });
};
