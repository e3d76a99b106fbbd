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

/**
 * A message. A class rather than a literal: what is made by a literal whose numbers have once been large is converted again
 * when it is first read, each time.
 */
export class MessageRecord implements Message {
  type: MessageType;
  from: number;
  to: number;
  term: number;
  index: number;
  logTerm: number;
  commit: number;
  entries: readonly Entry[];
  reject: boolean;
  rejectHint: number;
  snapshot: Snapshot | undefined;
  context: number;
  transfer: number;

  constructor(
    type: MessageType,
    from: number,
    to: number,
    term: number,
    index: number,
    logTerm: number,
    commit: number,
    entries: readonly Entry[],
    reject: boolean,
    rejectHint: number,
    snapshot: Snapshot | undefined,
    context: number,
    transfer: number,
  ) {
    this.type = type;
    this.from = from;
    this.to = to;
    this.term = term;
    this.index = index;
    this.logTerm = logTerm;
    this.commit = commit;
    this.entries = entries;
    this.reject = reject;
    this.rejectHint = rejectHint;
    this.snapshot = snapshot;
    this.context = context;
    this.transfer = transfer;
  }
}

/** A message with nothing in it but its type and addresses; the caller fills in the rest before it hands it over. */
export function blankMessage(type: MessageType, from: number, to: number, term: number): MessageRecord {
  return new MessageRecord(type, from, to, term, 0, 0, 0, NO_ENTRIES, false, 0, undefined, 0, 0);
}
