// Makes messages: all of one shape, so that the code that handles them stays fast.
import type { Entry, Message, MessageType, Snapshot } from './types.js';

/** Shared by all messages without entries. */
export const NO_ENTRIES: readonly Entry[] = Object.freeze([]);

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
