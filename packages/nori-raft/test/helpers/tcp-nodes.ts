// Transports on loopback, and bare sockets that speak their protocol well or badly. Nothing here waits for time to pass: all
// waits are for something to happen.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import type { DriverClock, Lane, NodeId } from '../../src/multi/ports.js';
import {
  decodeAnswer,
  decodeHello,
  encodeAnswer,
  encodeHello,
  HandshakeReader,
} from '../../src/tcp/handshake-codec.js';
import { parsePeerAddress } from '../../src/tcp/peer-address.js';
import { type PeerEvent, TcpTransport, type TcpTransportOptions } from '../../src/tcp-transport.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The real clock, which knows how many timers are pending. */
export class CountingClock implements DriverClock {
  readonly timers = new Set<object>();
  now = () => Date.now();
  monotonic = () => performance.now();
  nextTurn = (fn: () => void) => void setImmediate(fn);

  setTimer(delayMs: number, fn: () => void): { cancel(): void } {
    const key = {};
    const timer = setTimeout(() => {
      this.timers.delete(key);
      fn();
    }, delayMs);
    this.timers.add(key);
    return {
      cancel: () => {
        clearTimeout(timer);
        this.timers.delete(key);
      },
    };
  }
}

/** What has happened, and a way to wait until something has. */
export class Journal<T> {
  readonly items: T[] = [];
  readonly #waiters = new Set<() => void>();

  add(item: T): void {
    this.items.push(item);
    for (const waiter of [...this.#waiters]) waiter();
  }

  /** The first item from `from` on for which `test` holds, once there is one. */
  async find<U extends T>(test: (item: T) => item is U, from?: number): Promise<U>;
  async find(test: (item: T) => boolean, from?: number): Promise<T>;
  async find(test: (item: T) => boolean, from = 0): Promise<T> {
    await this.until(() => this.items.slice(from).some(test));
    return this.items.slice(from).find(test)!;
  }

  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const waiter = () => {
        if (!done()) return;
        this.#waiters.delete(waiter);
        resolve();
      };
      this.#waiters.add(waiter);
      waiter();
    });
  }
}

export interface ReceivedFrame {
  readonly from: NodeId;
  readonly lane: Lane;
  readonly frame: Uint8Array;
}

export type EventOf<T extends PeerEvent['type']> = Extract<PeerEvent, { type: T }>;

export class TestNode {
  readonly clock = new CountingClock();
  readonly events = new Journal<PeerEvent>();
  readonly frames = new Journal<ReceivedFrame>();
  readonly unreachable = new Journal<NodeId>();
  readonly transport: TcpTransport;
  onFrame: ((frame: ReceivedFrame) => void) | undefined;

  constructor(nodeId: NodeId, options: Partial<TcpTransportOptions> = {}) {
    this.transport = new TcpTransport({
      nodeId,
      clusterId: 'test',
      incarnation: `log of ${nodeId}`,
      listen: '127.0.0.1:0',
      clock: this.clock,
      random: Math.random,
      retryDelayMinMs: 5,
      retryDelayMaxMs: 50,
      onEvent: (event) => this.events.add(event),
      ...options,
    });
    cleanups.push(() => this.transport.close());
  }

  async start(): Promise<this> {
    await this.transport.start({
      onFrame: (from, lane, frame) => {
        this.frames.add({ from, lane, frame });
        this.onFrame?.({ from, lane, frame });
      },
      onUnreachable: (peer) => this.unreachable.add(peer),
    });
    return this;
  }

  get address(): string {
    return this.transport.address;
  }

  /** Waits for an event that has these fields. */
  event<T extends PeerEvent['type']>(type: T, fields: Partial<EventOf<T>> = {}, from = 0): Promise<EventOf<T>> {
    return this.events.find((event): event is EventOf<T> => {
      if (event.type !== type) return false;
      return Object.entries(fields).every(([name, value]) => event[name as keyof PeerEvent] === value);
    }, from);
  }

  /** Waits until this node can send to `peer`. */
  async connectedTo(peer: NodeId, from = 0): Promise<void> {
    await this.#connected(peer, 'out', from);
  }

  /** Waits until `peer` can send to this node, as this node sees it. */
  async connectedFrom(peer: NodeId, from = 0): Promise<void> {
    await this.#connected(peer, 'in', from);
  }

  async #connected(peer: NodeId, direction: 'in' | 'out', from: number): Promise<void> {
    for (const lane of ['control', 'bulk'] as const) await this.event('connected', { peer, lane, direction }, from);
  }
}

/** Starts nodes that know each other. */
export async function startNodes(...nodes: TestNode[]): Promise<void> {
  for (const node of nodes) await node.start();
  introduce(...nodes);
  for (const node of nodes) {
    for (const { transport } of nodes) {
      if (transport === node.transport) continue;
      await node.connectedTo(transport.nodeId);
      await node.connectedFrom(transport.nodeId);
    }
  }
}

/** How many TCP handles this process has. A handle that was closed counts until the event loop has turned twice. */
export async function tcpHandles(): Promise<number> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
}

export function introduce(...nodes: TestNode[]): void {
  const addresses = new Map(nodes.map((node) => [node.transport.nodeId, node.address]));
  for (const node of nodes) node.transport.setPeers(addresses);
}

/** An end of a connection that is no transport. */
export class BareSocket {
  readonly socket: Socket;
  readonly received = new Journal<Uint8Array>();
  readonly closed: Promise<void>;

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.received.add(new Uint8Array(chunk)));
    cleanups.push(() => socket.destroy());
  }

  static async dial(address: string): Promise<BareSocket> {
    const socket = connect(parsePeerAddress(address));
    const bare = new BareSocket(socket);
    await once(socket, 'connect');
    return bare;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received.items);
  }

  /** The first message of a handshake that the other side has sent. */
  async handshake() {
    const read = () => new HandshakeReader().push(new Uint8Array(this.bytes));
    await this.received.until(() => read() !== undefined);
    const message = read();
    if (message === 'bad' || message === undefined) throw new Error('That was no handshake.');
    return message;
  }

  async answer() {
    return decodeAnswer((await this.handshake()).body)!;
  }

  async hello() {
    return decodeHello((await this.handshake()).body)!;
  }
}

/** Says hello and is accepted: as a node that knows the protocol. */
export async function dialAs(from: NodeId, node: TestNode, lane: Lane = 'control'): Promise<BareSocket> {
  const bare = await BareSocket.dial(node.address);
  const ids = { clusterId: 'test', incarnation: `log of ${from}` };
  bare.socket.write(encodeHello({ ...ids, lane, from, to: node.transport.nodeId }));
  await bare.answer();
  bare.socket.write(encodeAnswer({ ...ids, verdict: 'accepted', nodeId: from, detail: '' }));
  return bare;
}

/** Accepts connections and hands them over, the first first. */
export class BareServer {
  readonly server: Server;
  readonly accepted = new Journal<BareSocket>();

  private constructor() {
    this.server = createServer((socket) => this.accepted.add(new BareSocket(socket)));
    cleanups.push(() => this.server.close());
  }

  static async listen(): Promise<BareServer> {
    const bare = new BareServer();
    bare.server.listen(0, '127.0.0.1');
    await once(bare.server, 'listening');
    return bare;
  }

  get address(): string {
    const address = this.server.address();
    return address !== null && typeof address === 'object' ? `127.0.0.1:${address.port}` : '';
  }

  /** The first connection of a lane, with its hello read. */
  async connection(lane: Lane): Promise<BareSocket> {
    for (let i = 0; ; i++) {
      await this.accepted.until(() => this.accepted.items.length > i);
      const bare = this.accepted.items[i]!;
      if ((await bare.hello()).lane === lane) return bare;
    }
  }
}

/** What a node that accepts answers. */
export function acceptance(nodeId: NodeId, fields: Partial<Parameters<typeof encodeAnswer>[0]> = {}): Uint8Array {
  const incarnation = `log of ${nodeId}`;
  return encodeAnswer({ verdict: 'accepted', clusterId: 'test', nodeId, incarnation, detail: '', ...fields });
}
