// What the invariants look at: a machine that has a replica of a group, and the replica itself while a process runs it.
// The nodes of the simulation of the core are such, and the replicas of the simulation of MultiRaft.
import type { RaftCore } from '../../src/index.js';
import type { LogImage } from './log-image.js';

export interface ObservedReplica {
  /** Undefined while it starts. */
  readonly core: RaftCore | undefined;
  /** All that the core has handed out. */
  readonly log: Pick<LogImage, 'hardState' | 'baseIndex' | 'lastIndex' | 'term' | 'entries'>;
  readonly appliedIndex: number;
  /** Whether it would answer reads by its lease at this moment. */
  readonly hasLease: boolean;
  readonly storage: { readonly image: Pick<LogImage, 'baseIndex' | 'snapshotIndex'> };
  readonly map: { readonly hash: number };
}

export interface ObservedNode {
  /** Of the replica. */
  readonly id: number;
  /** Changes with every start. */
  readonly epoch: number;
  /** What is on its disk for certain. */
  readonly durable: LogImage;
  readonly driver: ObservedReplica | undefined;
}
