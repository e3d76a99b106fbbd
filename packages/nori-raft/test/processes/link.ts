// The way from one node to another: a proxy on loopback that can be cut, reset and slowed down. Nodes dial their own
// connections for what they send, so each pair of nodes has two links, one a direction.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * `open`: all passes. `held`: connections stand, nothing passes, and what was sent arrives when the link is opened again.
 * `cut`: there are no connections, and none can be made.
 */
export type LinkMode = 'open' | 'held' | 'cut';

/** Bytes that wait in one direction before the proxy stops reading. */
const QUEUE_BYTES_MAX = 256 * 1024;

export class Link {
  /** Where the receiving node listens; undefined while it does not run. */
  target: string | undefined;
  /** Each piece arrives so much later. */
  delayMs = 0;
  #mode: LinkMode = 'open';
  readonly #server: Server;
  readonly #pipes = new Set<Pipe>();

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async open(): Promise<Link> {
    const link = new Link();
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get mode(): LinkMode {
    return this.#mode;
  }

  set mode(mode: LinkMode) {
    this.#mode = mode;
    if (mode === 'cut') this.reset();
    else for (const pipe of this.#pipes) pipe.pump();
  }

  /** Breaks the connections there are. What is on its way is lost. */
  reset(): void {
    for (const pipe of [...this.#pipes]) pipe.end();
  }

  async close(): Promise<void> {
    this.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(from: Socket): void {
    if (this.target === undefined || this.#mode === 'cut') {
      from.destroy();
      return;
    }
    const to = connect(Number(this.target.split(':')[1]), '127.0.0.1');
    const pipes = [new Pipe(this, from, to), new Pipe(this, to, from)];
    for (const pipe of pipes) {
      this.#pipes.add(pipe);
      pipe.from.once('close', () => {
        this.#pipes.delete(pipe);
        pipe.end();
      });
    }
  }
}

/** One direction of a connection. */
class Pipe {
  readonly from: Socket;
  readonly #link: Link;
  readonly #to: Socket;
  #queue: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(link: Link, from: Socket, to: Socket) {
    this.#link = link;
    this.from = from;
    this.#to = to;
    from.setNoDelay(true);
    from.on('error', () => {});
    from.on('data', (bytes) => {
      this.#queue.push({ bytes, dueMs: performance.now() + link.delayMs });
      this.#queuedBytes += bytes.length;
      this.pump();
    });
    to.on('drain', () => this.pump());
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
