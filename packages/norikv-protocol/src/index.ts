// norikv-protocol: what NoriKV clients and servers agree on.

// For users: limits, ports, errors, key to shard.
export {
  ERROR_TABLE,
  type ErrorCodeName,
  type ErrorCodeRow,
  errorCodeName,
  ProtocolError,
  type ProtocolErrorCode,
} from './errors.js';
// For those who speak the protocol: messages, services, frames and streams.
export { encodeOperationFrame, encodeResultFrame, type ResultColumns } from './frame-encoder.js';
export { frameMessage, MESSAGE_PREFIX_BYTES, MessageSplitter, writeMessagePrefix } from './framing.js';
export * from './gen/grpc/health/v1/health_pb.js';
export * from './gen/grpc/reflection/v1/reflection_pb.js';
export * from './gen/norikv/v1/admin_pb.js';
export * from './gen/norikv/v1/kv_pb.js';
export * from './gen/norikv/v1/meta_pb.js';
export * from './gen/norikv/v1/types_pb.js';
export { hashTagOf, jumpHash, KEY_HASH_NAME, type KeyHasher, loadKeyHasher } from './key-hash.js';
export { LIMITS, PORTS, SHARD_COUNT_DEFAULT } from './limits.js';
export { OPERATION_KIND, type OperationColumns, OperationReader, validateOperationFrame } from './operation-frame.js';
export { RESULT_STATUS, ResultFrameBuilder, ResultReader, validateResultFrame } from './result-frame.js';
