// Makes messages: all of one shape, so that the code that handles them stays fast.
import type { Entry, Message, MessageType, Snapshot } from './types.js';

/** Shared by all messages without entries. */
export const NO_ENTRIES: readonly Entry[] = Object.freeze([]);

/** All types. Their order is part of the format of frames (docs/formats/raft-frame.md): append only. */
export const MESSAGE_TYPES: readonly MessageType[] = [
  'append',
  'append-response',
  'heartbeat',
  'heartbeat-response',
  'vote',
  'vote-response',
  'pre-vote',
  'pre-vote-response',
  'snapshot',
  'timeout-now',
  'transfer-leader',
  'propose',
  'read-index',
  'read-index-response',
];

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A message with nothing in it but its type and addresses; the caller fills in the rest before it hands it over. */
export function blankMessage(type: MessageType, from: number, to: number, term: number): Mutable<Message> {
  return {
    type,
    from,
    to,
    term,
    index: 0,
    logTerm: 0,
    commit: 0,
    entries: NO_ENTRIES,
    reject: false,
    rejectHint: 0,
    snapshot: undefined as Snapshot | undefined,
    context: 0,
    transfer: 0,
  };
}
