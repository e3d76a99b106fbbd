// The one error of the node: a stable code from norikv-protocol's table, what happened, and what to do.
import type { ErrorCodeName } from 'norikv-protocol';
import type { Version } from './version.js';

/** Who leads a shard. */
export interface LeaderHint {
  readonly id: string;
  readonly address: string;
  /** The term in which it does; missing: it is only the one that is to lead. */
  readonly term?: number;
}

/** What an error may carry besides its code and message. */
export interface NodeErrorDetails {
  /** Version the key has, for `VERSION_MISMATCH` and `ALREADY_EXISTS`. */
  readonly current?: Version | undefined;
  /** Who leads the shard, for `NOT_LEADER`. */
  readonly leader?: LeaderHint | undefined;
  /** How long to wait before trying again, for `RESOURCE_EXHAUSTED` and `UNAVAILABLE`. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** A failed operation, as every transport reports it. */
export class NodeError extends Error {
  override readonly name = 'NodeError';
  readonly current: Version | undefined;
  readonly leader: LeaderHint | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly code: ErrorCodeName,
    message: string,
    details: NodeErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.current = details.current;
    this.leader = details.leader;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** The error itself if it is the node's own, else an `INTERNAL` one that says the same. */
export const asNodeError = (error: unknown): NodeError =>
  error instanceof NodeError
    ? error
    : new NodeError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
