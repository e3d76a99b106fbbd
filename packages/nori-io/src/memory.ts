// Subpath nori-io/memory: a file system in memory for tests, with a full model of what a power failure leaves.
export type { Fault, FaultRule } from './memory/faults.js';
export { MemoryFileSystem, type MemoryFileSystemOptions, type MemoryStats } from './memory/memory-file-system.js';
export { MEMORY_PAGE_BYTES, type RandomSource } from './memory/memory-inode.js';
export type { MemoryOperation, OperationKind } from './memory/operations.js';
