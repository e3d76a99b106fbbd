// The one error of the client: a stable code, what happened and what to do, and the history of its attempts.
import type { ErrorCodeName } from 'norikv-protocol';
import type { BatchResult, Version } from './types.js';

/** Codes of the protocol, and two of the client itself. */
export type NoriErrorCode =
  | ErrorCodeName
  /** The client was closed before the operation was done. */
  | 'CLIENT_CLOSED'
  /** A node belongs to another cluster, or spreads keys in a way this client does not know. */
  | 'CLUSTER_MISMATCH';

/** One try to carry out an operation that did not succeed. */
export interface Attempt {
  /** Id of the node; empty if it is not known. */
  readonly node: string;
  /** `host:port`; empty if there was none to ask. */
  readonly address: string;
  /** -1: the operation has no single shard. */
  readonly shard: number;
  /** Epoch of the cluster view by which the attempt was routed. */
  readonly epoch: number;
  /** Wall-clock time in milliseconds since 1970. */
  readonly startedMs: number;
  readonly durationMs: number;
  readonly code: NoriErrorCode;
  readonly message: string;
}

/** What a {@link NoriError} carries besides code and message. */
export interface NoriErrorDetails {
  /** For `VERSION_MISMATCH` and `ALREADY_EXISTS`: the key's version; absent if there is no such key. */
  readonly current?: Version | undefined;
  /** The attempts that were made, oldest first; of more than 32, the first and the last 31. */
  readonly attempts: readonly Attempt[];
  /** How long the node asked to wait before trying again. */
  readonly retryAfterMs?: number | undefined;
  /** For `batch` with `atomic: false`: what became of each operation. */
  readonly results?: readonly (BatchResult | NoriError)[] | undefined;
}

/** Every error of this package. */
export class NoriError extends Error {
  override readonly name = 'NoriError';
  readonly code: NoriErrorCode;
  readonly details: NoriErrorDetails;

  constructor(
    code: NoriErrorCode,
    message: string,
    details: Partial<NoriErrorDetails> = {},
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
    this.code = code;
    this.details = { attempts: [], ...details };
  }
}

/** `INVALID_ARGUMENT` naming what is wrong. */
export const invalidArgument = (message: string): NoriError => new NoriError('INVALID_ARGUMENT', message);

/** Text of anything thrown, with the causes it hides. */
export const errorText = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  const text = error.message || (error as { code?: string }).code || error.name;
  return inner instanceof Error && inner.message !== '' && !text.includes(inner.message)
    ? `${text}: ${inner.message}`
    : text;
};
