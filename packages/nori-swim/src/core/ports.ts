// What goes into the core and what comes out of it. The core does nothing by itself: whoever drives it carries out its actions, and
// steps it with what happens.
import type { Address, NodeId } from '../member.js';
import type { MembershipEvent } from '../membership-events.js';
import type { Message, Refusal, StreamReply, StreamRequest } from './messages.js';

/** A source of numbers in [0, 1). */
export type Random = () => number;

/** What happens to a node. */
export type CoreInput =
  /** The time that `nextWakeMs` named has come. Harmless at any other time. */
  | { readonly type: 'tick' }
  /** A packet has arrived; `from` is where it came from. */
  | { readonly type: 'packet'; readonly from: Address; readonly messages: readonly Message[] }
  /** A request has arrived on a stream, to be answered by a `reply` with the same number. */
  | { readonly type: 'request'; readonly stream: number; readonly from: Address; readonly message: StreamRequest }
  /** A `request` of this node was answered, or was not. */
  | { readonly type: 'reply'; readonly exchange: number; readonly message: StreamReply }
  | { readonly type: 'no-reply'; readonly exchange: number; readonly reason: 'failed' | 'no-answer' }
  /** Ask for membership at an address; a `joined` or `join-failed` with this ticket follows. */
  | { readonly type: 'join'; readonly ticket: number; readonly to: Address }
  /** Say goodbye; a `left` follows. */
  | { readonly type: 'leave' }
  /** Pass bytes on to everybody. */
  | { readonly type: 'broadcast'; readonly data: Uint8Array }
  | { readonly type: 'metadata'; readonly metadata: Uint8Array }
  /** The event loop was held up for so long at worst since this was last said. */
  | { readonly type: 'loop-delay'; readonly delayMs: number };

/** What a node wants done. */
export type CoreAction =
  /** Send one datagram. */
  | { readonly type: 'send'; readonly to: Address; readonly messages: readonly Message[] }
  /** Send a request over a stream of its own; step with `reply` or `no-reply`, after `timeoutMs` at the latest. */
  | {
      readonly type: 'request';
      readonly exchange: number;
      readonly to: Address;
      readonly message: StreamRequest;
      readonly timeoutMs: number;
    }
  | { readonly type: 'reply'; readonly stream: number; readonly message: StreamReply }
  | { readonly type: 'event'; readonly event: MembershipEvent }
  /** Keep this durably: the next run begins above it. */
  | { readonly type: 'persist'; readonly incarnation: number }
  | { readonly type: 'joined'; readonly ticket: number; readonly id: NodeId }
  | {
      readonly type: 'join-failed';
      readonly ticket: number;
      readonly reason: 'failed' | 'no-answer' | Refusal;
    }
  | { readonly type: 'left' }
  /** A probe ended. `rttMs` if the member answered the ping itself. */
  | { readonly type: 'probed'; readonly result: 'direct' | 'helper' | 'tcp' | 'failed'; readonly rttMs?: number }
  /** Something that came in was not used. */
  | { readonly type: 'ignored'; readonly reason: IgnoredReason };

/** Why something that was well-formed was not used. */
export type IgnoredReason =
  | 'misdirected'
  | 'members-full'
  | 'messages-full'
  | 'relays-full'
  | 'unknown-origin'
  | 'version';
