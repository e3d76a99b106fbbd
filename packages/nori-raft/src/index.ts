// For users.

// For those who store or send what the core hands out.
export { decodeConfChange, encodeConfChange } from './conf-change-codec.js';
export { entryBytes } from './entry-size.js';
export { RaftError, type RaftErrorCode } from './errors.js';
export { MemoryStorage } from './memory-storage.js';
export { MemoryTransport } from './memory-transport.js';
export { MemoryNodeNetwork, type MemoryNodeNetworkOptions } from './multi/memory-node-transport.js';
export type { DriverClock, Lane, NodeId, PeerReceiver, PeerTransport } from './multi/ports.js';
export type { EtcdOptions, LeaseOptions, RaftOptions } from './options.js';
export { RaftCore } from './raft-core.js';
export type * from './types.js';
