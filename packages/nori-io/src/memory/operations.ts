// What a memory file system does, as its hook, its fault rules and its statistics see it.

/** Kinds that change something, or make it durable. The hook sees these. */
export const MUTATING_KINDS = [
  'create',
  'write',
  'truncate',
  'datasync',
  'rename',
  'unlink',
  'link',
  'mkdir',
  'sync-dir',
  'lock',
  'unlock',
] as const;

/** Every kind of operation; `open`, `read` and `readdir` change nothing, but can be made to fail and are counted. */
export type OperationKind = (typeof MUTATING_KINDS)[number] | 'open' | 'read' | 'readdir';

/** One operation, about to take effect. */
export interface MemoryOperation {
  /** Number of this operation among the mutating ones, from 0. */
  readonly index: number;
  readonly kind: OperationKind;
  /** Normalized absolute path (of `rename` and `link`: the new name). */
  readonly path: string;
  /** Where a `write` begins, or the new size of a `truncate`; otherwise 0. */
  readonly offset: number;
  /** Bytes of a `write`; otherwise 0. */
  readonly length: number;
}
