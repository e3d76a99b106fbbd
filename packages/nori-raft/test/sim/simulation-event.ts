// Events of the simulation and what travels over its network.
import type { DiskResult } from 'nori-testkit';
import type { Message } from '../../src/index.js';
import { MESSAGE_TYPES } from '../../src/message.js';
import type { ReadKind } from './plan.js';
import type { Command, MapInput } from './replicated-map.js';

export type EventKind =
  /** A message arrives at `node`. */
  | 'delivery'
  /** The timer of a process. */
  | 'tick'
  /** The disk is done with something. */
  | 'disk'
  /** The state machine gets to apply. */
  | 'apply'
  /** A read gets to look at the state machine, or to answer. */
  | 'read'
  /** The transport reports to the core. */
  | 'report'
  /** A machine is started. */
  | 'start'
  /** A client's timer. */
  | 'client'
  /** A fault begins or ends. */
  | 'fault'
  /** The operator looks around. */
  | 'watch';

const KINDS: readonly EventKind[] = [
  'delivery',
  'tick',
  'disk',
  'apply',
  'read',
  'report',
  'start',
  'client',
  'fault',
  'watch',
];

export const KIND_CODE = Object.fromEntries(KINDS.map((kind, i) => [kind, i + 1])) as Readonly<
  Record<EventKind, number>
>;

/** One shape for all, so that the loop stays fast. */
export interface SimEvent {
  readonly kind: EventKind;
  /** 0: none. */
  readonly node: number;
  /** Incarnation of the process it is meant for; -1: whichever runs. */
  readonly epoch: number;
  readonly data: unknown;
  /** Of `disk`, once the disk is done. */
  result: DiskResult | undefined;
}

export function simEvent(kind: EventKind, node: number, epoch: number, data: unknown): SimEvent {
  return { kind, node, epoch, data, result: undefined };
}

/** What a client asks of a node. */
export interface ClientRequest {
  readonly type: 'client-request';
  readonly client: number;
  readonly attempt: number;
  readonly input: MapInput;
  /** A write, or a read by way of the log. */
  readonly command: Command | undefined;
  readonly read: ReadKind;
  readonly padding: number;
}

/** `retry`: nothing is known to have happened; ask again, maybe at `leader`. */
export interface ClientReply {
  readonly type: 'client-reply';
  readonly attempt: number;
  readonly result: 'ok' | 'retry';
  readonly output: number;
  /** 0: unknown. */
  readonly leader: number;
}

export type Payload = Message | ClientRequest | ClientReply;

const TYPES: readonly Payload['type'][] = [...MESSAGE_TYPES, 'client-request', 'client-reply'];

export const TYPE_CODE = Object.fromEntries(TYPES.map((type, i) => [type, i + 1])) as Readonly<
  Record<Payload['type'], number>
>;

/** A message for people. */
export function payloadText(m: Payload): string {
  if (m.type === 'client-request') {
    const { f, key, value, expected } = m.input;
    return `${f} key ${key}${f === 'put' ? ` = ${value}` : f === 'cas' ? ` ${expected} -> ${value}` : ''} (attempt ${m.attempt}${m.command === undefined ? `, by ${m.read}` : `, sequence ${m.command.sequence}`})`;
  }
  if (m.type === 'client-reply') return `${m.result} ${m.result === 'ok' ? m.output : `leader ${m.leader}`}`;
  const parts = [`${m.type} term ${m.term}`];
  if (m.index > 0) parts.push(`at ${m.logTerm}/${m.index}`);
  if (m.entries.length > 0) parts.push(`entries ${m.entries.map(({ term, index }) => `${term}/${index}`).join(' ')}`);
  if (m.commit > 0) parts.push(`commit ${m.commit}`);
  if (m.snapshot !== undefined) parts.push(`of ${m.snapshot.term}/${m.snapshot.index}`);
  if (m.reject) parts.push(`rejected, hint ${m.logTerm}/${m.rejectHint}`);
  if (m.context > 0) parts.push(`context ${m.context}`);
  if (m.transfer > 0) parts.push(`transfer ${m.transfer}`);
  return parts.join(' ');
}
