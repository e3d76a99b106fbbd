// The one error class of nori-lsm. `code` is stable and is what programs test; the message is for people.

/** Stable codes of {@link LsmError}; the README says what each means and what to do. */
export type LsmErrorCode =
  | 'LSM_INVALID_ARGUMENT'
  | 'LSM_INVALID_OPTIONS'
  | 'LSM_KEY_TOO_LARGE'
  | 'LSM_VALUE_TOO_LARGE'
  | 'LSM_BATCH_TOO_LARGE'
  | 'LSM_CLOSED'
  | 'LSM_LOCKED'
  | 'LSM_BUSY'
  | 'LSM_UNKNOWN_KEYSPACE'
  | 'LSM_NOT_A_DATABASE'
  | 'LSM_NOT_FOUND'
  | 'LSM_EXISTS'
  | 'LSM_UNSUPPORTED_VERSION'
  | 'LSM_CORRUPT_MANIFEST'
  | 'LSM_CORRUPT_TABLE'
  | 'LSM_CORRUPT_LOG'
  | 'LSM_MISSING_TABLE'
  | 'LSM_INVALID_TABLE'
  | 'LSM_TABLES_OVERLAP'
  | 'LSM_NO_SPACE'
  | 'LSM_IO_FAILED'
  | 'LSM_LOG_FAILED'
  | 'LSM_BACKGROUND_ERROR'
  | 'LSM_READ_ONLY'
  | 'LSM_CONDITION_FAILED'
  | 'LSM_CHANGED'
  | 'LSM_CANCELLED'
  | 'LSM_INTERNAL';

/** Where an error is, and why. */
export interface LsmErrorDetails {
  readonly file?: string | undefined;
  /** Bytes from the start of `file`. */
  readonly offset?: number | undefined;
  /** The key that it is about. */
  readonly key?: Uint8Array | undefined;
  readonly cause?: unknown;
}

/** Every operating error of the engine. Corruption always names `file` and `offset`. */
export class LsmError extends Error {
  override readonly name = 'LsmError';
  readonly file: string | undefined;
  readonly offset: number | undefined;
  /** Of `LSM_CONDITION_FAILED`: the key whose condition did not hold. */
  readonly key: Uint8Array | undefined;

  constructor(
    readonly code: LsmErrorCode,
    message: string,
    details: LsmErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.file = details.file;
    this.offset = details.offset;
    this.key = details.key;
  }
}

/** For an argument that cannot be; `what` says which, and what is allowed. */
export const invalid = (what: string): LsmError => new LsmError('LSM_INVALID_ARGUMENT', `${what}.`);

/** The `code` of any error thrown by a library below, or `''`. */
export const codeOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
};

/** Turns what a lower layer threw into an {@link LsmError}; one that is already is returned as it is. */
export const toLsmError = (error: unknown, doing: string): LsmError => {
  if (error instanceof LsmError) return error;
  const code = codeOf(error);
  const { file, path, offset, message } = error as { file?: string; path?: string; offset?: number; message?: string };
  const details: LsmErrorDetails = { cause: error, file: file ?? path, offset };
  const why = message ?? String(error);
  if (code.startsWith('LSM_')) return new LsmError(code as LsmErrorCode, why, details);
  if (code.startsWith('SSTABLE_UNSUPPORTED')) return new LsmError('LSM_UNSUPPORTED_VERSION', why, details);
  if (code.startsWith('SSTABLE_')) return new LsmError('LSM_CORRUPT_TABLE', `${doing}: ${why}`, details);
  if (code === 'WAL_NO_SPACE' || code === 'IO_NO_SPACE') {
    return new LsmError(
      'LSM_NO_SPACE',
      `${doing}: no space is left on the device. Free some; it goes on by itself.`,
      details,
    );
  }
  // A file of the log that is gone, or whose first bytes are not those of a log: damage too, however it came about.
  if (code.startsWith('WAL_CORRUPT') || code === 'WAL_MISSING_SEGMENT' || code === 'WAL_NOT_A_LOG') {
    return new LsmError('LSM_CORRUPT_LOG', `${doing}: ${why}`, details);
  }
  if (code === 'WAL_CHANGED') return new LsmError('LSM_CHANGED', `${doing}: ${why}.`, details);
  if (code.startsWith('WAL_UNSUPPORTED')) return new LsmError('LSM_UNSUPPORTED_VERSION', why, details);
  if (code.startsWith('WAL_')) return new LsmError('LSM_LOG_FAILED', `${doing}: ${why}`, details);
  if (code.startsWith('IO_')) return new LsmError('LSM_IO_FAILED', `${doing}: ${why}`, details);
  return new LsmError('LSM_INTERNAL', `${doing}: ${why}. This is a defect; please report it with its cause.`, details);
};

/** For what a function given by the caller has thrown. */
export const callbackError = (name: string, thrown: unknown): LsmError =>
  new LsmError('LSM_INTERNAL', `${name}, a function given to open, threw: ${(thrown as Error)?.message ?? thrown}`, {
    cause: thrown,
  });

/** True if trying again later may help (space, passing I/O trouble), false for corruption and programming errors. */
export const isRetryable = (error: LsmError): boolean =>
  error.code === 'LSM_NO_SPACE' || error.code === 'LSM_IO_FAILED';
