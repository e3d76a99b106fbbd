// What a group and its node are to each other.
import type { RaftError } from '../errors.js';
import type { Message } from '../types.js';
import type { RaftEvent } from './events.js';
import type { GroupDriver } from './group.js';
import type { LeaseClock } from './lease-clock.js';
import type { ResolvedMultiOptions } from './multi-options.js';
import type { Outbox } from './outbox.js';
import type { GroupWrite, NodeId, SnapshotSource } from './ports.js';
import type { RestTable } from './rest-table.js';

/** What the turns of MultiRaft gather. */
export interface Turn {
  readonly writes: GroupWrite[];
  /** Groups to be told when the turn's write is durable, once for each entry in `writes`. */
  readonly groups: GroupDriver[];
  /** Groups with committed entries to apply. */
  readonly applies: GroupDriver[];
}

/** What a group needs of its node. */
export interface GroupHost {
  readonly options: ResolvedMultiOptions;
  readonly clock: LeaseClock;
  readonly outbox: Outbox;
  readonly rests: RestTable;
  /** Number of the last tick. */
  readonly tick: number;
  /** The group has work for the next turn. */
  wake(group: GroupDriver): void;
  /** The group has committed entries to apply, once what waits to be written is on its way. */
  applyNext(group: GroupDriver): void;
  /** The group has another role, or another leader. */
  roleChanged(group: GroupDriver): void;
  /** Somebody has called, and waits. */
  called(group: GroupDriver): void;
  /** The group is due at an earlier tick than it was. */
  dueEarlier(group: GroupDriver, tick: number): void;
  /** Takes room for queued proposals, or says no. */
  takeProposalBytes(bytes: number): boolean;
  releaseProposalBytes(bytes: number): void;
  /** Bytes committed and not applied, of all groups. */
  unappliedBytes: number;
  /** Bytes that wait to be durable, of all groups. */
  readonly unstoredBytes: number;
  /** Snapshots that were opened and are not on their way yet, of all groups. */
  snapshotsOpened: number;
  /** Whether heartbeats and votes may be sent: not while the disk stands still. */
  readonly diskIsAlive: boolean;
  /** Why no proposals are taken on this node, or undefined. */
  readonly refusal: RaftError | undefined;
  /** A snapshot may be opened: not too many are open or on their way. */
  maySendSnapshot(): boolean;
  sendSnapshot(group: GroupDriver, to: number, node: NodeId, message: Message, source: SnapshotSource): void;
  store(group: GroupDriver, write: GroupWrite): Promise<void>;
  emit(event: RaftEvent): void;
}
