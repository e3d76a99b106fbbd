// The frames of peers (docs/formats/raft-frame.md): the one place to import them from.
export { decodeFrame } from './frame-decoder.js';
export { encodeSnapshotAck, encodeSnapshotChunk, FrameEncoder } from './frame-encoder.js';
export type { FrameLimits, SnapshotAck, SnapshotAckStatus, SnapshotChunk, SnapshotHead } from './frame-format.js';
