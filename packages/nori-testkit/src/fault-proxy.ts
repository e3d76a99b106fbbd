// A TCP proxy on loopback that stands before a process and can be cut, held, slowed down and reset. It tells by the first bytes of a
// connection who has dialled, and has a link of its own for each sender: so single ways between processes can be disturbed.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * `open`: all passes. `held`: connections stand, nothing passes, and what was sent arrives when the link is opened again.
 * `cut`: there are no connections, and none can be made.
 */
export type FaultLinkMode = 'open' | 'held' | 'cut';

/** Options of {@link FaultProxy.open}. */
export interface FaultProxyOptions {
  /** Who has dialled, by what a connection begins with; undefined: more bytes are needed. Default: everybody is ''. */
  readonly senderOf?: (head: Buffer) => string | undefined;
  /** Source of randomness in [0, 1), for losses. Default: `Math.random`. */
  readonly random?: () => number;
}

/** Bytes that wait in one direction before the proxy stops reading. */
const QUEUE_BYTES_MAX = 256 * 1024;
/** Whoever has not said who it is by then has nothing to say. */
const HEAD_BYTES_MAX = 4096;

/** The way from one sender to the process behind the proxy, and back on the connections that the sender has made. */
export class FaultLink {
  /** Each piece arrives so much later. */
  delayMs = 0;
  /** Share of the pieces that are lost; a connection that loses one breaks, since TCP hides no loss that lasts. */
  lossRate = 0;
  readonly random: () => number;
  readonly #pipes = new Set<Pipe>();
  #mode: FaultLinkMode = 'open';

  constructor(random: () => number) {
    this.random = random;
  }

  get mode(): FaultLinkMode {
    return this.#mode;
  }

  set mode(mode: FaultLinkMode) {
    this.#mode = mode;
    if (mode === 'cut') this.reset();
    else for (const pipe of this.#pipes) pipe.pump();
  }

  /** Breaks the connections there are. What is on its way is lost. */
  reset(): void {
    for (const pipe of [...this.#pipes]) pipe.end();
  }

  /** All as it should be. */
  heal(): void {
    this.delayMs = 0;
    this.lossRate = 0;
    this.mode = 'open';
  }

  /** Joins a connection to the one behind the proxy. For the proxy. */
  carry(from: Socket, to: Socket, head: Buffer): void {
    const there = new Pipe(this, from, to);
    for (const pipe of [there, new Pipe(this, to, from)]) {
      this.#pipes.add(pipe);
      pipe.from.once('close', () => {
        this.#pipes.delete(pipe);
        pipe.end();
      });
    }
    there.take(head);
  }
}

/** See the head of the file. */
export class FaultProxy {
  /** host:port of the process; undefined: nobody is there. */
  target: string | undefined;
  readonly #options: FaultProxyOptions;
  readonly #server: Server;
  readonly #links = new Map<string, FaultLink>();
  readonly #unnamed = new Set<Socket>();

  private constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async open(options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** host:port to dial. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What `sender` sends goes this way. */
  link(sender = ''): FaultLink {
    let link = this.#links.get(sender);
    if (link === undefined) {
      link = new FaultLink(this.#options.random ?? Math.random);
      this.#links.set(sender, link);
    }
    return link;
  }

  async close(): Promise<void> {
    for (const link of this.#links.values()) link.reset();
    for (const socket of this.#unnamed) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(from: Socket): void {
    const { senderOf } = this.#options;
    from.on('error', () => {});
    if (senderOf === undefined) {
      this.#join(from, '', Buffer.alloc(0));
      return;
    }
    let head = Buffer.alloc(0);
    this.#unnamed.add(from);
    from.once('close', () => this.#unnamed.delete(from));
    const listen = (bytes: Buffer) => {
      head = Buffer.concat([head, bytes]);
      const sender = senderOf(head);
      if (sender === undefined) {
        if (head.length > HEAD_BYTES_MAX) from.destroy();
        return;
      }
      from.off('data', listen);
      from.pause();
      this.#unnamed.delete(from);
      this.#join(from, sender, head);
    };
    from.on('data', listen);
  }

  #join(from: Socket, sender: string, head: Buffer): void {
    const link = this.link(sender);
    if (this.target === undefined || link.mode === 'cut') {
      from.resetAndDestroy();
      return;
    }
    const colon = this.target.lastIndexOf(':');
    link.carry(from, connect(Number(this.target.slice(colon + 1)), this.target.slice(0, colon)), head);
  }
}

/** One direction of a connection. */
class Pipe {
  readonly from: Socket;
  readonly #link: FaultLink;
  readonly #to: Socket;
  #queue: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(link: FaultLink, from: Socket, to: Socket) {
    this.#link = link;
    this.from = from;
    this.#to = to;
    from.setNoDelay(true);
    from.on('error', () => {});
    from.on('data', (bytes) => this.take(bytes));
    to.on('drain', () => this.pump());
  }

  take(bytes: Buffer): void {
    const link = this.#link;
    if (link.lossRate > 0 && link.random() < link.lossRate) {
      this.end();
      return;
    }
    this.#queue.push({ bytes, dueMs: performance.now() + link.delayMs });
    this.#queuedBytes += bytes.length;
    this.pump();
  }

  pump(): void {
    clearTimeout(this.#timer);
    while (this.#queue.length > 0 && this.#link.mode === 'open' && this.#to.writableLength < QUEUE_BYTES_MAX) {
      const waitMs = this.#queue[0]!.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs);
        break;
      }
      const { bytes } = this.#queue.shift()!;
      this.#queuedBytes -= bytes.length;
      this.#to.write(bytes);
    }
    if (this.#queuedBytes >= QUEUE_BYTES_MAX) this.from.pause();
    else this.from.resume();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#queuedBytes = 0;
    // With an RST, as by a firewall or a machine that went down.
    this.from.resetAndDestroy();
    this.#to.resetAndDestroy();
  }
}
