// The end of a gRPC call on a core stream: trailers with status, message and, for errors, the ErrorDetail.
import { toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ERROR_TABLE, ErrorDetailSchema } from 'norikv-protocol';
import type { NodeError } from '../../domain/node-error.js';
import { errorDetail } from './error-details.js';

/** Percent-encodes a status message: all but printable ASCII, and `%` itself. */
const encodeMessage = (message: string): string => {
  let encoded = '';
  for (const byte of new TextEncoder().encode(message)) {
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
};

/** `google.rpc.Status`: code = 1, message = 2, details = 3 of `google.protobuf.Any` (type_url = 1, value = 2). */
const encodeStatus = (error: NodeError): Uint8Array =>
  new BinaryWriter()
    .uint32((1 << 3) | WireType.Varint)
    .int32(ERROR_TABLE[error.code].grpcStatus)
    .uint32((2 << 3) | WireType.LengthDelimited)
    .string(error.message)
    .uint32((3 << 3) | WireType.LengthDelimited)
    .fork()
    .uint32((1 << 3) | WireType.LengthDelimited)
    .string(`type.googleapis.com/${ErrorDetailSchema.typeName}`)
    .uint32((2 << 3) | WireType.LengthDelimited)
    .bytes(toBinary(ErrorDetailSchema, errorDetail(error)))
    .join()
    .finish();

/** Trailers of a call that ended well (`undefined`) or with an error. */
export const grpcTrailers = (error: NodeError | undefined): Record<string, string> =>
  error === undefined
    ? { 'grpc-status': '0' }
    : {
        'grpc-status': String(ERROR_TABLE[error.code].grpcStatus),
        'grpc-message': encodeMessage(error.message),
        'grpc-status-details-bin': Buffer.from(encodeStatus(error)).toString('base64').replace(/=+$/, ''),
      };
