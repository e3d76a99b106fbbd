// The messages that nodes exchange, as the core sees them. Their bytes are in docs/formats/swim.md; wire/message-codec.ts writes
// and reads them.
import type { Address, MemberState, NodeId } from '../member.js';

/** The version of the protocol that this code speaks. */
export const WIRE_VERSION = 1;

/** Are you there? Says whom the sender expects, so that a restarted member sees that it is taken for its former self. */
export interface Ping {
  readonly type: 'ping';
  readonly seq: number;
  readonly target: NodeId;
  readonly boot: number;
  readonly incarnation: number;
  readonly from: NodeId;
}

/** The answer, from `from`; handed on by the helper `via`, or directly (empty). */
export interface Ack {
  readonly type: 'ack';
  readonly seq: number;
  readonly from: NodeId;
  readonly boot: number;
  readonly incarnation: number;
  readonly via: NodeId;
}

/** A helper got no answer, and is there itself. */
export interface Nack {
  readonly type: 'nack';
  readonly seq: number;
  readonly from: NodeId;
}

/** Asks a helper to ping somebody. */
export interface PingRequest {
  readonly type: 'ping-request';
  readonly seq: number;
  readonly target: NodeId;
  readonly address: Address;
  readonly boot: number;
  readonly incarnation: number;
  /** After so long without an answer the helper sends a {@link Nack}. */
  readonly waitMs: number;
  readonly from: NodeId;
}

/** A member says who it is. Only the member itself makes this message; others pass it on. */
export interface Alive {
  readonly type: 'alive';
  readonly id: NodeId;
  readonly address: Address;
  readonly boot: number;
  readonly incarnation: number;
  readonly zone: string;
  readonly metadata: Uint8Array;
  readonly versionMin: number;
  readonly versionMax: number;
}

/** `from` got no answer. */
export interface Suspect {
  readonly type: 'suspect';
  readonly id: NodeId;
  readonly incarnation: number;
  readonly from: NodeId;
  readonly helpers: number;
  readonly nacks: number;
}

/** `from` has waited long enough. */
export interface Dead {
  readonly type: 'dead';
  readonly id: NodeId;
  readonly incarnation: number;
  readonly from: NodeId;
  readonly suspectedBy: readonly NodeId[];
}

/** A member has left on its own account. */
export interface Left {
  readonly type: 'left';
  readonly id: NodeId;
  readonly incarnation: number;
}

/** Bytes of the application, for everybody. */
export interface UserMessage {
  readonly type: 'user';
  readonly from: NodeId;
  readonly boot: number;
  /** Counted by the sender from 1, per boot. */
  readonly seq: number;
  readonly data: Uint8Array;
}

/** To a node that came later under the same id: this id is taken. */
export interface Conflict {
  readonly type: 'conflict';
  readonly id: NodeId;
  readonly boot: number;
  readonly address: Address;
}

/** What packets are made of. */
export type Message = Ping | Ack | Nack | PingRequest | Alive | Suspect | Dead | Left | UserMessage | Conflict;

/** What is passed on from node to node. */
export type Rumour = Alive | Suspect | Dead | Left | UserMessage;

/** A member in an exchange of whole views. */
export interface MemberRecord {
  readonly alive: Alive;
  readonly state: MemberState;
  readonly ageMs: number;
}

/** The whole view of a node, to be answered in kind. */
export interface PushPull {
  readonly type: 'push-pull';
  /** The first of a node that wants to become a member: its id is checked. */
  readonly join: boolean;
  /** The sender's record comes first. */
  readonly records: readonly MemberRecord[];
}

/** The answer to {@link PushPull}. */
export interface PushPullReply {
  readonly type: 'push-pull-reply';
  readonly records: readonly MemberRecord[];
}

/** Why a request was not answered. */
export type RefusalReason = 'id-conflict' | 'version';

/** The answer to a request that is not granted. */
export interface Refusal {
  readonly type: 'refusal';
  readonly reason: RefusalReason;
  /** id-conflict: where the other one is. */
  readonly address: Address;
}

/** What goes over a stream: a ping or an exchange, each with one answer. */
export type StreamRequest = Ping | PushPull;
export type StreamReply = Ack | PushPullReply | Refusal;
