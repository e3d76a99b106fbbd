// Node errors as clients see them: an ErrorDetail in frames, a ConnectError with that detail in calls.
import { create } from '@bufbuild/protobuf';
import { type Code, ConnectError } from '@connectrpc/connect';
import {
  ERROR_TABLE,
  type ErrorCode,
  type ErrorCodeName,
  type ErrorDetail,
  ErrorDetailSchema,
  ProtocolError,
} from 'norikv-protocol';
import { NodeError } from '../../domain/node-error.js';

const RETRY_AFTER_MS_MAX = 0xffffffff;

/** An error's code, message and particulars as the protocol's message. */
export const errorDetail = (error: NodeError): ErrorDetail =>
  create(ErrorDetailSchema, {
    code: ERROR_TABLE[error.code].number as ErrorCode,
    message: error.message,
    leaderId: error.leader?.id ?? '',
    leaderAddress: error.leader?.address ?? '',
    leaderTerm: BigInt(error.leader?.term ?? 0),
    retryAfterMs: Math.min(RETRY_AFTER_MS_MAX, Math.ceil(error.retryAfterMs ?? 0)),
    ...(error.current === undefined
      ? {}
      : { current: { term: BigInt(error.current.term), index: BigInt(error.current.index) } }),
  });

/** What was thrown, as a NodeError; what is none is a defect of the node. */
export const toNodeError = (reason: unknown): NodeError => {
  if (reason instanceof NodeError) return reason;
  if (reason instanceof ProtocolError) return new NodeError('INVALID_ARGUMENT', reason.message, { cause: reason });
  const message = reason instanceof Error ? reason.message : String(reason);
  return new NodeError('INTERNAL', `Internal error: ${message}`, { cause: reason });
};

/** What was thrown, as a ConnectError that carries an ErrorDetail. ConnectErrors pass as they are. */
export const toConnectError = (reason: unknown): ConnectError => {
  if (reason instanceof ConnectError) return reason;
  const error = toNodeError(reason);
  return new ConnectError(
    error.message,
    ERROR_TABLE[error.code].grpcStatus as Code,
    undefined,
    [{ desc: ErrorDetailSchema, value: errorDetail(error) }],
    error,
  );
};

/** A ConnectError of the transport's own. */
export const connectError = (code: ErrorCodeName, message: string): ConnectError =>
  toConnectError(new NodeError(code, message));
