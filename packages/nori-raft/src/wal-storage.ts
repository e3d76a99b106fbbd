// Subpath nori-raft/wal-storage: the durable log of all Raft groups of a node, in one nori-wal.
export { systemClock } from 'nori-io';
export type { WalStorageOptions } from './wal-storage/options.js';
export { WalStorage, type WalStorageStats, type WalStorageVerification } from './wal-storage/wal-storage.js';
