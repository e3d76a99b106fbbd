// For users.
export type { Clock, TimerHandle } from './clock.js';
// For storage libraries.
export {
  COMPRESSION_BYTES_MAX,
  type Codec,
  type Compression,
  codecFor,
  compressWithSize,
  decompressWithSize,
} from './compression.js';
export { crc32c } from './crc32c.js';
export type * from './file-system.js';
export { readU32LE, readU64LE, writeU32LE, writeU64LE } from './fixed.js';
export { IoError, type IoErrorCode, type IoErrorDetails } from './io-error.js';
export { nodeFileSystem } from './node-file-system.js';
export { parentOf, syncParents } from './parent-directories.js';
export { systemClock } from './system-clock.js';
export { readVarint, VARINT_BYTES_MAX, VarintCursor, type VarintProblem, varintSize, writeVarint } from './varint.js';
