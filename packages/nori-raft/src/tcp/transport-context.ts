// What the connections of one transport share: who the node is, whom it knows, whom to tell.
import type { Lane, NodeId, PeerReceiver } from '../multi/ports.js';
import { type Answer, encodeAnswer, type Hello, type Verdict } from './handshake-codec.js';
import type { ResolvedTcpOptions } from './options.js';
import type { PeerEvent, TransportCounters } from './peer-events.js';
import type { Socket } from './sockets.js';

export class TransportContext {
  readonly options: ResolvedTcpOptions;
  receiver: PeerReceiver | undefined;
  /** Set by `close`: nobody is told anything any more. */
  closing = false;
  readonly counters: TransportCounters = {
    framesSent: 0,
    bytesSent: 0,
    framesReceived: 0,
    bytesReceived: 0,
    framesDropped: 0,
    framesLost: 0,
    connects: 0,
    disconnects: 0,
    dialFailures: 0,
    refusals: 0,
    badConnections: 0,
  };
  /** Every socket that is not closed yet, whatever it is for. */
  readonly sockets = new Set<Socket>();
  /** What each peer has shown. */
  readonly #incarnations = new Map<NodeId, string>();

  constructor(options: ResolvedTcpOptions) {
    this.options = options;
  }

  hello(peer: NodeId, lane: Lane): Hello {
    const { clusterId, nodeId, incarnation } = this.options;
    return { lane, clusterId, from: nodeId, to: peer, incarnation };
  }

  answer(verdict: Verdict, detail: string): Uint8Array {
    const { clusterId, nodeId, incarnation } = this.options;
    return encodeAnswer({ verdict, clusterId, nodeId, incarnation, detail } satisfies Answer);
  }

  accepts(peer: NodeId, incarnation: string): boolean {
    return this.options.acceptIncarnation(peer, incarnation, this.#incarnations.get(peer));
  }

  /** The handshake with `peer` has succeeded. */
  remember(peer: NodeId, incarnation: string): void {
    this.#incarnations.set(peer, incarnation);
  }

  track(socket: Socket): void {
    if (this.sockets.has(socket)) return;
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
  }

  /** A socket with a last word on its way is given some time to send it. */
  destroyLater(socket: Socket): void {
    const { clock, connectTimeoutMs } = this.options;
    const timer = clock.setTimer(connectTimeoutMs, () => socket.destroy(), { unref: true });
    socket.once('close', () => timer.cancel());
  }

  unreachable(peer: NodeId): void {
    if (!this.closing) this.receiver?.onUnreachable(peer);
  }

  emit(event: PeerEvent): void {
    if (this.closing) return;
    const { counters } = this;
    if (event.type === 'connected') counters.connects++;
    else if (event.type === 'dial-failed') counters.dialFailures++;
    else if (event.type === 'refused') counters.refusals++;
    else if (event.type === 'dropped') counters.framesDropped++;
    else {
      counters.disconnects++;
      if (event.reason === 'bad-bytes') counters.badConnections++;
    }
    this.options.onEvent?.(event);
  }
}
