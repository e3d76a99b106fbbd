// What goes between the nodes of a cluster: Raft's frames and a few calls of the node itself, over the same connections of nori-raft's
// TCP transport. Raft's frames begin with the version of their format, which is small; those of calls with 0x80
// (docs/formats/peer-call.md). Both lanes, handshakes and refusals are nori-raft's (docs/formats/peer-connection.md).
import type { Clock, TimerHandle } from 'nori-io';
import type { Lane, PeerReceiver, PeerTransport } from 'nori-raft';
import { type PeerEvent, TcpTransport } from 'nori-raft/tcp-transport';
import { ERROR_TABLE, type ErrorCodeName, errorCodeName } from 'norikv-protocol';
import { ByteReader } from '../domain/byte-reader.js';
import { readText, writeText } from '../domain/byte-text.js';
import { ByteWriter } from '../domain/byte-writer.js';
import { asNodeError, NodeError } from '../domain/node-error.js';
import type { PeerCalls, PeerHandler, PeerMethod } from '../ports/peer-calls.js';

/** What a transport is made of. */
export interface NodeTransportOptions {
  readonly nodeId: string;
  readonly clusterId: string;
  /** Of this node's log. */
  readonly incarnation: string;
  /** host:port. */
  readonly listen: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Whether to talk to a node that shows this incarnation of its log; `known`: what it has shown since this one started. */
  readonly accepts: (nodeId: string, incarnation: string, known: string | undefined) => boolean;
  readonly onEvent: (event: PeerEvent) => void;
  readonly handler: PeerHandler;
}

const CALL_FRAME = 0x80;
/** What is larger goes beside the entries of logs, so that no sign of life waits behind it. */
const CONTROL_BYTES_MAX = 64 * 1024;
const KIND = { request: 1, answer: 2, error: 3 } as const;

interface Pending {
  readonly nodeId: string;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: NodeError) => void;
  readonly timer: TimerHandle;
}

/** nori-raft's transport with calls beside it. */
export class NodeTransport implements PeerTransport, PeerCalls {
  readonly nodeId: string;
  readonly #tcp: TcpTransport;
  readonly #clock: Clock;
  readonly #handler: PeerHandler;
  readonly #pending = new Map<number, Pending>();
  readonly #connected = new Set<string>();
  #lastCall = 0;

  constructor(options: NodeTransportOptions) {
    const { handler, accepts, onEvent, ...rest } = options;
    this.nodeId = options.nodeId;
    this.#clock = options.clock;
    this.#handler = handler;
    this.#tcp = new TcpTransport({
      ...rest,
      acceptIncarnation: accepts,
      onEvent: (event) => {
        this.#followConnection(event);
        onEvent(event);
      },
    });
  }

  #followConnection(event: PeerEvent): void {
    if (event.type === 'connected' && event.direction === 'out' && event.lane === 'control') {
      this.#connected.add(event.peer);
    } else if (event.type === 'disconnected' && event.direction === 'out' && event.lane === 'control') {
      this.#connected.delete(event.peer);
      for (const [id, { nodeId, reject }] of this.#pending) {
        if (nodeId !== event.peer) continue;
        this.#settle(id);
        reject(new NodeError('UNAVAILABLE', `The connection to node ${event.peer} ended.`));
      }
    }
  }

  /** Where it listens, with the port that was given to it. Empty before the start. */
  get address(): string {
    return this.#tcp.address;
  }

  /** Says who the peers are and where (host:port). Addresses that are none are left out. */
  setPeers(addresses: ReadonlyMap<string, string>): void {
    this.#tcp.setPeers(addresses);
  }

  async start(receiver: PeerReceiver): Promise<void> {
    await this.#tcp.start({
      onFrame: (from, lane, frame) => {
        if (frame[0] === CALL_FRAME) this.#receive(from, frame);
        else receiver.onFrame(from, lane, frame);
      },
      onUnreachable: (peer) => receiver.onUnreachable(peer),
    });
  }

  send(to: string, lane: Lane, frame: Uint8Array): boolean {
    return this.#tcp.send(to, lane, frame);
  }

  queuedBytes(to: string, lane: Lane): number {
    return this.#tcp.queuedBytes(to, lane);
  }

  async close(): Promise<void> {
    for (const [id, { reject }] of this.#pending) {
      this.#settle(id);
      reject(new NodeError('UNAVAILABLE', 'The node is shutting down.'));
    }
    await this.#tcp.close();
  }

  reachable(): readonly string[] {
    return [...this.#connected];
  }

  call(nodeId: string, method: PeerMethod, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const id = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(timeoutMs, () => {
        this.#settle(id);
        reject(new NodeError('UNAVAILABLE', `Node ${nodeId} did not answer within ${timeoutMs} ms.`));
      });
      this.#pending.set(id, { nodeId, resolve, reject, timer });
      if (this.#sendFrame(nodeId, KIND.request, id, method, body)) return;
      this.#settle(id);
      reject(new NodeError('UNAVAILABLE', `Node ${nodeId} cannot be reached.`));
    });
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.timer.cancel();
    return pending;
  }

  #sendFrame(to: string, kind: number, id: number, method: number, body: Uint8Array): boolean {
    const frame = new ByteWriter(body.length + 32);
    frame.u8(CALL_FRAME);
    frame.u8(kind);
    frame.varint(id);
    frame.varint(method);
    frame.bytes(body);
    return this.#tcp.send(to, body.length > CONTROL_BYTES_MAX ? 'bulk' : 'control', frame.view());
  }

  #receive(from: string, frame: Uint8Array): void {
    const reader = new ByteReader(frame, 1);
    let kind: number;
    let id: number;
    let method: number;
    let body: Uint8Array;
    try {
      kind = reader.u8();
      id = reader.varint();
      method = reader.varint();
      body = reader.bytes(reader.remaining);
    } catch {
      return;
    }
    if (kind === KIND.request) void this.#answer(from, id, method, body);
    else if (this.#pending.get(id)?.nodeId !== from) return;
    else if (kind === KIND.answer) this.#settle(id)?.resolve(body);
    else this.#settle(id)?.reject(decodeError(body));
  }

  async #answer(from: string, id: number, method: number, body: Uint8Array): Promise<void> {
    try {
      this.#sendFrame(from, KIND.answer, id, method, await this.#handler(from, method, body));
    } catch (error) {
      this.#sendFrame(from, KIND.error, id, method, encodeError(asNodeError(error)));
    }
  }
}

const encodeError = (error: NodeError): Uint8Array => {
  const to = new ByteWriter(256);
  to.varint(ERROR_TABLE[error.code].number);
  for (const text of [error.message, error.leader?.id ?? '', error.leader?.address ?? '']) writeText(text, to);
  return to.view();
};

const decodeError = (body: Uint8Array): NodeError => {
  try {
    const from = new ByteReader(body);
    const code: ErrorCodeName = errorCodeName(from.varint());
    const message = readText(from);
    const id = readText(from);
    const address = readText(from);
    return new NodeError(code, message, id === '' ? {} : { leader: { id, address } });
  } catch (cause) {
    return new NodeError('INTERNAL', 'The answer of another node cannot be understood.', { cause });
  }
};
