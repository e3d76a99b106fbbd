// What `Swim.events()` yields: each change of the membership, with what led to it.
import type { Address, Member, NodeId, Reachability } from './member.js';

/** How a probe of this node's own failed. */
export interface ProbeEvidence {
  /** How long the member was given to answer the ping itself. */
  readonly timeoutMs: number;
  /** Who was asked to try as well, and what became of it: a `nack` says that the helper got no answer either. */
  readonly helpers: readonly { readonly id: NodeId; readonly answer: 'nack' | 'silent' }[];
  /** What came of a ping over TCP; `off` when it is turned off. */
  readonly tcp: 'failed' | 'no-answer' | 'off';
}

/** A change, in the order in which this node noticed it. */
export type MembershipEvent =
  | {
      readonly type: 'alive';
      readonly member: Member;
      /** `restarted`: a new run of its process; `returned`: it was dead or had left; `refuted`: it was suspected. */
      readonly reason: 'joined' | 'restarted' | 'returned' | 'refuted';
    }
  | {
      readonly type: 'suspect';
      readonly member: Member;
      /** Who says so: this node or another. */
      readonly by: NodeId;
      /** How many helpers the accuser had asked, and how many of them answered that they got no answer either. */
      readonly helpers: number;
      readonly nacks: number;
      /** If it is this node that says so: the details. */
      readonly evidence?: ProbeEvidence;
    }
  | {
      readonly type: 'confirm';
      readonly member: Member;
      /** Whose patience ended. */
      readonly by: NodeId;
      /** Who had suspected it. */
      readonly suspectedBy: readonly NodeId[];
      /** How long it was suspected here; 0 if this node did not. */
      readonly suspectedMs: number;
    }
  | { readonly type: 'leave'; readonly member: Member }
  | { readonly type: 'update'; readonly member: Member }
  | {
      readonly type: 'reachability';
      readonly member: Member;
      readonly path: 'udp' | 'tcp';
      readonly now: Exclude<Reachability, 'unknown'>;
    }
  | { readonly type: 'message'; readonly from: NodeId; readonly data: Uint8Array }
  /** This node stood still for so long: what it made of the silence of others was thrown away. */
  | { readonly type: 'paused'; readonly pausedMs: number }
  /** An earlier node of the same id is alive: this one has stopped. */
  | { readonly type: 'conflict'; readonly id: NodeId; readonly address: Address; readonly otherAddress: Address }
  /** So many events were not taken in time and are gone; ask `view()`. */
  | { readonly type: 'lost'; readonly events: number };
