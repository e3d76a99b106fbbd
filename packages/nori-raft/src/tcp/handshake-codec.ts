// The three messages of a handshake as bytes (docs/formats/peer-connection.md).
import { RaftError } from '../errors.js';
import type { Lane, NodeId } from '../multi/ports.js';
import type { RefusalReason } from './peer-events.js';

export const PROTOCOL_VERSION = 1;

const MAGIC = new TextEncoder().encode('NORIPEER');
const HEAD_BYTES = MAGIC.length + 3;
const BODY_BYTES_MAX = 2048;
const STRING_BYTES_MAX = 255;

/** Positions are what is sent: append only. */
const VERDICTS: readonly (Verdict | undefined)[] = [
  'accepted',
  'version',
  'malformed',
  'cluster',
  'self',
  'wrong-node',
  'unknown-node',
  'certificate',
  'incarnation',
];
const LANES: readonly (Lane | undefined)[] = [undefined, 'control', 'bulk'];

export type Verdict = 'accepted' | Exclude<RefusalReason, 'tls' | 'timeout' | 'busy'>;

/** What a node that dials says first. */
export interface Hello {
  readonly lane: Lane;
  readonly clusterId: string;
  readonly from: NodeId;
  readonly to: NodeId;
  readonly incarnation: string;
}

/** What both sides say then. */
export interface Answer {
  readonly verdict: Verdict;
  readonly clusterId: string;
  readonly nodeId: NodeId;
  readonly incarnation: string;
  readonly detail: string;
}

export function encodeHello(hello: Hello): Uint8Array {
  const { lane, clusterId, from, to, incarnation } = hello;
  return encode(LANES.indexOf(lane), [clusterId, from, to, incarnation]);
}

export function encodeAnswer(answer: Answer): Uint8Array {
  const { verdict, clusterId, nodeId, incarnation, detail } = answer;
  // By code points: a detail that is cut stays UTF-8.
  let shortened = detail;
  while (byteLength(shortened) > STRING_BYTES_MAX) shortened = [...shortened].slice(0, -8).join('');
  return encode(VERDICTS.indexOf(verdict), [clusterId, nodeId, incarnation, shortened]);
}

/** @returns undefined when it is none */
export function decodeHello(body: Uint8Array): Hello | undefined {
  const lane = LANES[body[0] ?? 0];
  const strings = readStrings(body, 4);
  if (lane === undefined || strings === undefined) return undefined;
  const [clusterId, from, to, incarnation] = strings as [string, string, string, string];
  return { lane, clusterId, from, to, incarnation };
}

/** @returns undefined when it is none */
export function decodeAnswer(body: Uint8Array): Answer | undefined {
  const verdict = body.length === 0 ? undefined : VERDICTS[body[0]!];
  const strings = readStrings(body, 4);
  if (verdict === undefined || strings === undefined) return undefined;
  const [clusterId, nodeId, incarnation, detail] = strings as [string, string, string, string];
  return { verdict, clusterId, nodeId, incarnation, detail };
}

/** @throws RaftError RAFT_INVALID_OPTION when it does not fit in a handshake */
export function checkHandshakeString(name: string, value: string): void {
  if (typeof value !== 'string' || byteLength(value) > STRING_BYTES_MAX) {
    throw new RaftError('RAFT_INVALID_OPTION', `${name} must be text of at most ${STRING_BYTES_MAX} bytes.`);
  }
}

/** One message of a handshake, its body not looked at yet. */
export interface HandshakeMessage {
  readonly version: number;
  readonly body: Uint8Array;
  /** What came behind it already. */
  readonly rest: Uint8Array;
}

/** Puts the next message of a handshake together from what a socket reads. */
export class HandshakeReader {
  #have: Uint8Array = new Uint8Array(0);

  /** @returns undefined while more is needed; `bad` as soon as it cannot become a handshake any more */
  push(chunk: Uint8Array): HandshakeMessage | 'bad' | undefined {
    // Never more than a head and a body are kept from one call to the next, so this costs nothing.
    const have = this.#have.length === 0 ? chunk : concat(this.#have, chunk);
    const magicBytes = Math.min(have.length, MAGIC.length);
    for (let i = 0; i < magicBytes; i++) if (have[i] !== MAGIC[i]) return 'bad';
    if (have.length >= HEAD_BYTES) {
      const length = have[MAGIC.length + 1]! | (have[MAGIC.length + 2]! << 8);
      if (length > BODY_BYTES_MAX) return 'bad';
      const end = HEAD_BYTES + length;
      if (have.length >= end) {
        return { version: have[MAGIC.length]!, body: have.subarray(HEAD_BYTES, end), rest: have.subarray(end) };
      }
    }
    this.#have = have;
    return undefined;
  }
}

function encode(first: number, strings: readonly string[]): Uint8Array {
  const parts = strings.map((text) => new TextEncoder().encode(text));
  const length = parts.reduce((sum, part) => sum + 1 + part.length, 1);
  const out = new Uint8Array(HEAD_BYTES + length);
  out.set(MAGIC);
  out[MAGIC.length] = PROTOCOL_VERSION;
  out[MAGIC.length + 1] = length;
  out[MAGIC.length + 2] = length >>> 8;
  let at = HEAD_BYTES;
  out[at++] = first;
  for (const part of parts) {
    out[at++] = part.length;
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function readStrings(body: Uint8Array, count: number): string[] | undefined {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const strings: string[] = [];
  let at = 1;
  for (let i = 0; i < count; i++) {
    const length = body[at++];
    if (length === undefined || length > body.length - at) return undefined;
    try {
      strings.push(decoder.decode(body.subarray(at, at + length)));
    } catch {
      return undefined;
    }
    at += length;
  }
  return at === body.length ? strings : undefined;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
