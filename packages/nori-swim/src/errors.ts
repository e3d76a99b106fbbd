// The error class of this package, and its codes. Each code is a row of the README's table of errors.

/** What went wrong, as a stable string. */
export type SwimErrorCode =
  | 'SWIM_ADDRESS_IN_USE'
  | 'SWIM_BAD_PACKET'
  | 'SWIM_BAD_KEY'
  | 'SWIM_CLOSED'
  | 'SWIM_CORRUPT_STATE'
  | 'SWIM_ID_CONFLICT'
  | 'SWIM_INVALID_OPTION'
  | 'SWIM_JOIN_FAILED'
  | 'SWIM_LISTEN_FAILED'
  | 'SWIM_MESSAGE_TOO_LARGE'
  | 'SWIM_METADATA_TOO_LARGE'
  | 'SWIM_NOT_ENCRYPTED'
  | 'SWIM_OTHER_CLUSTER'
  | 'SWIM_QUEUE_FULL'
  | 'SWIM_SEED_UNREACHABLE'
  | 'SWIM_SEED_UNRESOLVED'
  | 'SWIM_STATE_FAILED'
  | 'SWIM_UNKNOWN_KEY'
  | 'SWIM_WIRE_VERSION';

/** An error of this package. `code` is stable; the message says what happened and what to do. */
export class SwimError extends Error {
  override readonly name = 'SwimError';
  readonly code: SwimErrorCode;

  constructor(code: SwimErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }
}
