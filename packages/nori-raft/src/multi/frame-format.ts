// What frames carry, and the numbers of their format (docs/formats/raft-frame.md).
import { MESSAGE_TYPES } from '../message.js';
import type { Message, MessageType, Snapshot } from '../types.js';

/** First byte of every frame. */
export const FRAME_VERSION = 1;

/** Second byte of every frame. */
export const FRAME_KIND = { messages: 1, snapshotChunk: 2, snapshotAck: 3 } as const;

/** Version, kind, three counts and the length of the data. */
export const MESSAGES_HEADER_BYTES = 18;

/** Numbers of a heartbeat, or of the answer to one, each in a column of its own; so it has this many bytes at least. */
export const COLUMNS = 7;

/** Positions are what is sent. Nothing is type 0. */
export const FRAME_TYPES: readonly (MessageType | undefined)[] = [undefined, ...MESSAGE_TYPES];

export const MESSAGE_FLAG = { reject: 1, snapshot: 2, all: 3 } as const;
export const ENTRY_FLAG = { confChange: 1, index: 2, term: 4, all: 7 } as const;

/** Positions are what is sent: append only. Nothing is status 0. */
export const ACK_STATUSES: readonly (SnapshotAckStatus | undefined)[] = [
  undefined,
  'accepted',
  'complete',
  'refused',
  'failed',
];

/** Group ids are below this, so that the difference of two is a safe integer even when doubled. */
export const GROUP_ID_END = 2 ** 32;

/** Least bytes of a message, an entry head: no count may promise more than the bytes can hold. */
export const MESSAGE_BYTES_MIN = 13;
export const ENTRY_HEAD_BYTES_MIN = 2;

/** How much one frame may hold, where it is made and where it is read. */
export interface FrameLimits {
  /** Bytes of a frame. Default 8 MiB. An entry must fit in with room to spare: keep `entryBytesMax` of the core below. */
  readonly frameBytesMax: number;
  /** Messages in a frame, heartbeats included. Default 65,536. */
  readonly messagesMax: number;
  /** Entries in a frame. Default 131,072. */
  readonly entriesMax: number;
}

export const DEFAULT_FRAME_LIMITS: FrameLimits = Object.freeze({
  frameBytesMax: 8 * 1024 * 1024,
  messagesMax: 65_536,
  entriesMax: 131_072,
});

/** The head of a snapshot: what it stands for, without its bytes. */
export type SnapshotHead = Omit<Snapshot, 'data'>;

/** A piece of a snapshot on its way to a replica. */
export interface SnapshotChunk {
  readonly groupId: number;
  readonly from: number;
  readonly to: number;
  /** Of the leader that sends it. */
  readonly term: number;
  /** The same in all chunks of a stream. */
  readonly snapshot: SnapshotHead;
  /** Tells this transfer from others of the same group. */
  readonly streamId: number;
  /** Of the first byte of `bytes` in the snapshot. */
  readonly offset: number;
  readonly last: boolean;
  readonly bytes: Uint8Array;
}

/**
 * `accepted`: go on at the offset. `complete`: the snapshot is installed. `refused`: it is not wanted. `failed`: it could
 * not be received or installed; begin anew, if at all.
 */
export type SnapshotAckStatus = 'accepted' | 'complete' | 'refused' | 'failed';

/** What the receiver of a snapshot answers. */
export interface SnapshotAck {
  readonly groupId: number;
  /** The replica that receives the snapshot. */
  readonly from: number;
  readonly to: number;
  readonly streamId: number;
  readonly status: SnapshotAckStatus;
  /** Offset of the byte that is wanted next. */
  readonly offset: number;
}

/** Is told what is in a frame, in order. */
export interface FrameVisitor {
  /** Takes a heartbeat, or an answer to one, before a message is made of it. False, or no such method: it comes as a message. */
  heartbeat?(
    isAnswer: boolean,
    groupId: number,
    from: number,
    to: number,
    term: number,
    commit: number,
    context: number,
    transfer: number,
  ): boolean;
  message(groupId: number, message: Message): void;
  snapshotChunk(chunk: SnapshotChunk): void;
  snapshotAck(ack: SnapshotAck): void;
}
