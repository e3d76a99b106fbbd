// One group, driven by hand.

// For those who store or send what the core hands out.
export { decodeConfChange, encodeConfChange } from './conf-change-codec.js';
export { entryBytes } from './entry-size.js';
export { RaftError, type RaftErrorCode } from './errors.js';
export { MemoryStorage } from './memory-storage.js';
export { MemoryTransport } from './memory-transport.js';
// Many groups on one node.
export type { RaftEvent } from './multi/events.js';
// Requests that are applied once, however often they are proposed.
export { type ExactlyOnceOptions, exactlyOnce, type Outcome } from './multi/exactly-once.js';
export { MemoryNodeNetwork, type MemoryNodeNetworkOptions } from './multi/memory-node-transport.js';
export type { MultiRaftOptions } from './multi/multi-options.js';
export { MultiRaft, type MultiRaftStats } from './multi/multi-raft.js';
export { type OutcomeRequest, OutcomeSession } from './multi/outcome-session.js';
export type * from './multi/ports.js';
export type { Applied } from './multi/proposals.js';
export type { GroupOptions, ProposalOutcome, RaftGroup } from './multi/raft-group.js';
export { encodeRequest, type RequestIdentity, type TimedIdentity } from './multi/request-codec.js';
export type { CallOptions } from './multi/waiting.js';
export type { EtcdOptions, LeaseOptions, RaftOptions } from './options.js';
export { RaftCore } from './raft-core.js';
export type * from './types.js';
