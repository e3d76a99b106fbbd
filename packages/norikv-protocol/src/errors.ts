// The error codes of NoriKV: one table for the SDK, every transport of the server, and clients in other languages.
// Names and numbers are those of `norikv.v1.ErrorCode` and never change their meaning.
import { ErrorCode } from './gen/norikv/v1/types_pb.js';

/** Name of an error code: that of the protobuf enum without its prefix. */
export type ErrorCodeName = Exclude<keyof typeof ErrorCode, 'UNSPECIFIED'>;

/** How one error code travels and what a client does with it. */
export interface ErrorCodeRow {
  /** Number in `norikv.v1.ErrorCode`. */
  readonly number: number;
  /** Name of the Connect code. */
  readonly connectCode: string;
  /** Number of the same code in gRPC and in Connect's `Code` enum. */
  readonly grpcStatus: number;
  /** Status of the REST endpoints. */
  readonly httpStatus: number;
  /** Whether a client repeats the operation by itself within its deadline; writes with the same identity. */
  readonly retryable: boolean;
}

const row = (
  code: ErrorCode,
  connectCode: string,
  grpcStatus: number,
  httpStatus: number,
  retryable: boolean,
): ErrorCodeRow => Object.freeze({ number: code, connectCode, grpcStatus, httpStatus, retryable });

/** Every error code with its numbers in the other worlds. */
export const ERROR_TABLE: Readonly<Record<ErrorCodeName, ErrorCodeRow>> = Object.freeze({
  INVALID_ARGUMENT: row(ErrorCode.INVALID_ARGUMENT, 'invalid_argument', 3, 400, false),
  VERSION_MISMATCH: row(ErrorCode.VERSION_MISMATCH, 'failed_precondition', 9, 412, false),
  ALREADY_EXISTS: row(ErrorCode.ALREADY_EXISTS, 'already_exists', 6, 409, false),
  CROSS_SHARD: row(ErrorCode.CROSS_SHARD, 'invalid_argument', 3, 400, false),
  NOT_LEADER: row(ErrorCode.NOT_LEADER, 'unavailable', 14, 503, true),
  QUORUM_UNAVAILABLE: row(ErrorCode.QUORUM_UNAVAILABLE, 'unavailable', 14, 503, false),
  COMMIT_TIMEOUT: row(ErrorCode.COMMIT_TIMEOUT, 'deadline_exceeded', 4, 504, true),
  DEADLINE_EXCEEDED: row(ErrorCode.DEADLINE_EXCEEDED, 'deadline_exceeded', 4, 504, false),
  CANCELLED: row(ErrorCode.CANCELLED, 'canceled', 1, 499, false),
  RESOURCE_EXHAUSTED: row(ErrorCode.RESOURCE_EXHAUSTED, 'resource_exhausted', 8, 429, true),
  OUTCOME_UNKNOWN: row(ErrorCode.OUTCOME_UNKNOWN, 'unknown', 2, 500, false),
  STALE_SEQUENCE: row(ErrorCode.STALE_SEQUENCE, 'failed_precondition', 9, 409, false),
  UNAVAILABLE: row(ErrorCode.UNAVAILABLE, 'unavailable', 14, 503, true),
  CORRUPTION: row(ErrorCode.CORRUPTION, 'data_loss', 15, 500, false),
  INTERNAL: row(ErrorCode.INTERNAL, 'internal', 13, 500, false),
  UNIMPLEMENTED: row(ErrorCode.UNIMPLEMENTED, 'unimplemented', 12, 501, false),
});

const NAMES: readonly ErrorCodeName[] = Object.freeze(
  (Object.keys(ERROR_TABLE) as ErrorCodeName[]).reduce<ErrorCodeName[]>((names, name) => {
    names[ERROR_TABLE[name].number] = name;
    return names;
  }, []),
);

/** Name of a number on the wire; `INTERNAL` for one this version does not know. */
export const errorCodeName = (code: number): ErrorCodeName => NAMES[code] ?? 'INTERNAL';

/** Codes of {@link ProtocolError}. */
export type ProtocolErrorCode =
  /** The peer announced a message over the limit. */
  | 'PROTOCOL_MESSAGE_TOO_LARGE'
  /** The peer sent a compressed message; NoriKV streams are not compressed. */
  | 'PROTOCOL_COMPRESSED'
  /** The first byte of a message is neither 0 nor 1: this is no gRPC stream. */
  | 'PROTOCOL_NOT_GRPC'
  /** A message does not decode. */
  | 'PROTOCOL_MALFORMED';

/** Bytes on a connection that break the protocol. The connection cannot be used any more. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';

  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
