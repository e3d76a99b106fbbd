// `nori-raft/tcp-transport`: carries frames between nodes over TCP, with TLS if wanted. The layout of what is sent is in
// docs/formats/peer-connection.md, why it is sockets in docs/adr/0008-peer-transport.md.
//
// Each node dials two connections to each peer, one per lane, for what it sends itself; what it receives comes on those
// that the peers have dialled. So every node sees by its own connections whom it can reach, makes them anew whenever it
// wants, and nobody has to agree on who dials whom.
import type { AddressInfo } from 'node:net';
import { RaftError } from './errors.js';
import type { Lane, NodeId, PeerReceiver, PeerTransport } from './multi/ports.js';
import { IncomingConnection } from './tcp/incoming-connection.js';
import { resolveTcpOptions, type TcpTransportOptions } from './tcp/options.js';
import { OutgoingLink } from './tcp/outgoing-link.js';
import { formatPeerAddress, parsePeerAddress } from './tcp/peer-address.js';
import type { DropReason, TransportCounters } from './tcp/peer-events.js';
import { addressOf, createListener, describeError, type Server, type Socket } from './tcp/sockets.js';
import { TransportContext } from './tcp/transport-context.js';

export type { PeerTlsOptions, TcpTransportOptions } from './tcp/options.js';
export type {
  ConnectionDirection,
  DisconnectReason,
  DropReason,
  PeerEvent,
  RefusalReason,
  TransportCounters,
} from './tcp/peer-events.js';

const LANES: readonly Lane[] = ['control', 'bulk'];

/** Connections that have not said yet who they are; more are closed at once. */
const UNKNOWN_CONNECTIONS_MAX = 256;

interface Peer {
  readonly address: string;
  readonly links: Readonly<Record<Lane, OutgoingLink>>;
}

/**
 * A {@link PeerTransport} over TCP. Frames go out together when they are sent in one turn, or while earlier ones are being
 * written. A frame that is received is a view of a buffer that nobody else writes to.
 */
export class TcpTransport implements PeerTransport {
  readonly #context: TransportContext;
  readonly #incoming = new Set<IncomingConnection>();
  readonly #paused = new Set<Lane>();
  #addresses: ReadonlyMap<NodeId, string> = new Map();
  #peers = new Map<NodeId, Peer>();
  #server: Server | undefined;
  #starting: Promise<void> | undefined;
  #started = false;
  /** Connections that were accepted and are not closed yet. */
  #accepted = 0;
  #address = '';
  #closed: Promise<void> | undefined;

  /** @throws RaftError RAFT_INVALID_OPTION */
  constructor(options: TcpTransportOptions) {
    this.#context = new TransportContext(resolveTcpOptions(options));
  }

  get nodeId(): NodeId {
    return this.#context.options.nodeId;
  }

  /** Where it listens, with the port that was given to it. Empty before the start. */
  get address(): string {
    return this.#address;
  }

  get counters(): Readonly<TransportCounters> {
    return { ...this.#context.counters };
  }

  /**
   * Listens, then dials the peers.
   * @throws RaftError RAFT_LISTEN_FAILED when the address is in use, or is not one of this machine
   */
  async start(receiver: PeerReceiver): Promise<void> {
    if (this.#starting !== undefined) throw new RaftError('RAFT_MISUSE', 'The transport was started already.');
    if (this.#closed !== undefined) throw new RaftError('RAFT_MISUSE', 'The transport is closed.');
    this.#context.receiver = receiver;
    this.#starting = this.#listen();
    await this.#starting;
    // Closed in the meantime.
    if (this.#closed !== undefined) return;
    this.#started = true;
    this.setPeers(this.#addresses);
  }

  /**
   * Says who the peers are and where: `host:port`, IPv6 in brackets. Connections to and from nodes that are not among them
   * any more end; those to a node whose address has changed are made anew. This node itself may be among them.
   * @throws RaftError RAFT_INVALID_OPTION; then nothing has changed
   */
  setPeers(addresses: ReadonlyMap<NodeId, string>): void {
    for (const address of addresses.values()) parsePeerAddress(address);
    this.#addresses = new Map(addresses);
    if (!this.#started || this.#closed !== undefined) return;
    const added: Peer[] = [];
    for (const [peer, { address, links }] of this.#peers) {
      if (addresses.get(peer) === address) continue;
      this.#peers.delete(peer);
      for (const lane of LANES) links[lane].remove();
    }
    for (const connection of this.#incoming) {
      if (!this.#addresses.has(connection.peer)) connection.end('removed', 'it is not a peer any more');
    }
    for (const [peer, address] of this.#addresses) {
      if (peer === this.nodeId || this.#peers.has(peer)) continue;
      const link = (lane: Lane) => new OutgoingLink(this.#context, peer, lane, parsePeerAddress(address));
      const entry = { address, links: { control: link('control'), bulk: link('bulk') } };
      this.#peers.set(peer, entry);
      added.push(entry);
    }
    for (const { links } of added) for (const lane of LANES) links[lane].dial();
  }

  /**
   * Sends a frame, or drops it. The frame must not change any more.
   * @throws RaftError RAFT_MISUSE when it is empty or over `frameBytesMax`
   */
  send(to: NodeId, lane: Lane, frame: Uint8Array): boolean {
    const { options } = this.#context;
    if (frame.length === 0 || frame.length > options.frameBytesMax) {
      const why = `A frame of ${frame.length} bytes cannot be sent: it must have 1 to ${options.frameBytesMax}.`;
      throw new RaftError('RAFT_MISUSE', why);
    }
    const peer = this.#peers.get(to);
    if (peer !== undefined && this.#closed === undefined) return peer.links[lane].send(frame);
    const reason: DropReason = 'unknown-peer';
    this.#context.emit({ type: 'dropped', peer: to, lane, bytes: frame.length, reason });
    return false;
  }

  queuedBytes(to: NodeId, lane: Lane): number {
    return this.#peers.get(to)?.links[lane].queuedBytes ?? 0;
  }

  /**
   * Reads nothing more on a lane, from any peer, until {@link TcpTransport.resumeReading}: the peers' queues fill up instead
   * of this node's memory. A few frames that were read already still come. Connections stay alive.
   */
  pauseReading(lane: Lane): void {
    this.#paused.add(lane);
    for (const connection of this.#incoming) if (connection.lane === lane) connection.pauseReading();
  }

  resumeReading(lane: Lane): void {
    this.#paused.delete(lane);
    for (const connection of this.#incoming) if (connection.lane === lane) connection.resumeReading();
  }

  /**
   * Stops listening and receiving, lets what is queued go out for `closeTimeoutMs`, ends all connections. When it
   * resolves, no socket and no timer is left.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen(): Promise<void> {
    const { options } = this.#context;
    const server = createListener(options, {
      onConnection: (raw) => this.#accept(raw),
      onSocket: (socket) => this.#greet(socket),
      onTlsError: (error, address) => this.#refuseUnknown('tls', describeError(error), address),
    });
    const { host, port } = parsePeerAddress(options.listen);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        reject(new RaftError('RAFT_LISTEN_FAILED', `Cannot listen at ${options.listen}: ${describeError(error)}.`));
      });
      server.listen(port, host, resolve);
    });
    // Accepting may fail later, for want of file descriptors; it goes on by itself.
    server.on('error', () => {});
    this.#server = server;
    const bound = server.address() as AddressInfo;
    this.#address = formatPeerAddress(bound.address, bound.port);
  }

  async #close(): Promise<void> {
    const context = this.#context;
    const { clock, closeTimeoutMs } = context.options;
    context.closing = true;
    await this.#starting?.catch(() => {});
    const server = this.#server;
    const stopped = server === undefined ? undefined : new Promise((resolve) => server.close(resolve));
    for (const connection of this.#incoming) connection.end('closed', '');
    const links = [...this.#peers.values()].flatMap((peer) => [peer.links.control, peer.links.bulk]);
    let timer: { cancel(): void } | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = clock.setTimer(closeTimeoutMs, resolve);
    });
    await Promise.race([Promise.all(links.map((link) => link.close())), timeout]);
    timer?.cancel();
    for (const link of links) link.destroy();
    const sockets = [...context.sockets];
    const ended = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const socket of sockets) socket.destroy();
    await Promise.all([...ended, stopped]);
  }

  #accept(raw: Socket): void {
    if (this.#closed !== undefined) {
      raw.destroy();
      return;
    }
    if (this.#accepted - this.#incoming.size >= UNKNOWN_CONNECTIONS_MAX) {
      this.#refuseUnknown('busy', 'too many connections that have not said who they are', addressOf(raw));
      raw.destroy();
      return;
    }
    // Whoever leaves before TLS is agreed leaves an error that concerns nobody.
    raw.on('error', () => {});
    this.#context.track(raw);
    this.#accepted++;
    raw.once('close', () => {
      this.#accepted--;
    });
  }

  #greet(socket: Socket): void {
    if (this.#closed !== undefined) {
      socket.destroy();
      return;
    }
    this.#context.track(socket);
    new IncomingConnection(
      this.#context,
      {
        isPeer: (nodeId) => this.#addresses.has(nodeId),
        isReadingPaused: (lane) => this.#paused.has(lane),
        opened: (connection) => this.#opened(connection),
        ended: (connection) => this.#incoming.delete(connection),
      },
      socket,
    );
  }

  #opened(connection: IncomingConnection): void {
    const { peer, lane } = connection;
    for (const other of this.#incoming) {
      if (other.peer === peer && other.lane === lane) other.end('replaced', 'the node has made a new connection');
    }
    this.#incoming.add(connection);
    // The peer is there: no reason to wait any longer before dialling it.
    const links = this.#peers.get(peer)?.links;
    if (links !== undefined) for (const each of LANES) links[each].dial();
  }

  #refuseUnknown(reason: 'tls' | 'busy', detail: string, address: string): void {
    this.#context.emit({ type: 'refused', by: 'us', direction: 'in', peer: undefined, reason, detail, address });
  }
}
