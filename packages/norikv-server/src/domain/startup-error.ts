// Why a node does not start: one line for the operator, with a stable code.

/** Codes of {@link StartupError}. */
export type StartupErrorCode =
  | 'DATA_DIR_LOCKED'
  | 'DATA_DIR_NOT_WRITABLE'
  | 'DATA_DIR_FOREIGN'
  | 'DATA_DIR_NEWER_FORMAT'
  | 'DATA_DIR_OTHER_NODE'
  | 'DATA_CORRUPT'
  | 'ADDRESS_IN_USE'
  | 'ADDRESS_UNUSABLE';

/** A node refuses to start; nothing on disk was changed. */
export class StartupError extends Error {
  override readonly name = 'StartupError';

  constructor(
    readonly code: StartupErrorCode,
    message: string,
    options: { readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
  }
}
