// Why a node does not start: one line for the operator, with a stable code.

/** Codes of {@link StartupError}. */
export type StartupErrorCode =
  | 'DATA_DIR_LOCKED'
  | 'DATA_DIR_NOT_WRITABLE'
  | 'DATA_DIR_FOREIGN'
  | 'DATA_DIR_NEWER_FORMAT'
  | 'DATA_DIR_OTHER_NODE'
  | 'DATA_CORRUPT'
  /** The directory, or the nodes that were named, belong to another cluster. */
  | 'CLUSTER_MISMATCH'
  | 'SHARD_COUNT_MISMATCH'
  | 'PROTOCOL_MISMATCH'
  /** Another node of this name runs. */
  | 'NODE_ID_IN_USE'
  /** The cluster knows a node of this name with another log: that is a lost or replaced data directory. */
  | 'NODE_ID_KNOWN'
  /** The nodes named cannot form a cluster. */
  | 'BOOTSTRAP_REFUSED'
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
