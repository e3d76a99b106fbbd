export { RaftError, type RaftErrorCode } from './errors.js';
export type { EtcdOptions, LeaseOptions, RaftOptions } from './options.js';
export { RaftCore } from './raft-core.js';
export type * from './types.js';
