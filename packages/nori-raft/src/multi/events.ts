// What happens inside MultiRaft, for logs, metrics and dashboards.
import type { DropReason, Role } from '../types.js';
import type { NodeId } from './ports.js';

/** Something worth telling, told apart by `type`. */
export type RaftEvent =
  | {
      readonly type: 'raft.role_changed';
      readonly groupId: number;
      readonly role: Role;
      readonly term: number;
      /** Replica id of the leader; 0: unknown. */
      readonly leader: number;
    }
  | { readonly type: 'raft.group_created'; readonly groupId: number; readonly replicaId: number }
  | { readonly type: 'raft.group_removed'; readonly groupId: number; readonly replicaId: number }
  | { readonly type: 'raft.message_dropped'; readonly groupId: number; readonly reason: DropReason }
  | { readonly type: 'raft.bad_frame'; readonly from: NodeId; readonly message: string }
  | { readonly type: 'raft.snapshot_sent'; readonly groupId: number; readonly to: NodeId; readonly bytes: number }
  | { readonly type: 'raft.snapshot_failed'; readonly groupId: number; readonly to: NodeId; readonly message: string }
  | { readonly type: 'raft.snapshot_installed'; readonly groupId: number; readonly index: number }
  /** The log could not be written: this node takes part in nothing any more. */
  | { readonly type: 'raft.storage_failed'; readonly message: string }
  /** A group could not go on: its state machine failed, or its log contradicts the others'. */
  | { readonly type: 'raft.group_failed'; readonly groupId: number; readonly message: string };
