// Takes requests from streams, and answers them. How much strangers can make it hold is bounded.
import type { Server, Socket } from 'node:net';
import { formatHostPort } from '../address.js';
import { FrameCollector, writeFrame } from './frames.js';
import { plainAddress } from './sockets.js';

const CONNECTIONS_MAX = 256;
/** Of unfinished frames, over all connections. */
const HELD_BYTES_MAX = 64 * 2 ** 20;
const CONNECTION_TIMEOUT_MS = 10_000;

/** Gets the frames of requests. */
export interface StreamReceiver {
  frame(stream: number, from: string, frame: Uint8Array): void;
  refused(reason: 'malformed' | 'overload'): void;
}

export class StreamServer {
  /** What comes before there is a receiver is refused. */
  receiver: StreamReceiver | undefined;
  readonly #sockets = new Map<number, Socket>();
  #next = 0;
  #heldBytes = 0;

  /** To be called with each connection of a server. */
  accept(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    if (this.#sockets.size >= CONNECTIONS_MAX) {
      this.#refuse(socket, 'overload');
      return;
    }
    const stream = ++this.#next;
    this.#sockets.set(stream, socket);
    const collector = new FrameCollector();
    const from = formatHostPort(plainAddress(socket.remoteAddress ?? ''), socket.remotePort ?? 0);
    const timer = setTimeout(() => socket.destroy(), CONNECTION_TIMEOUT_MS);
    let held = 0;
    const release = () => {
      this.#heldBytes -= held;
      held = 0;
    };
    socket.on('close', () => {
      clearTimeout(timer);
      this.#sockets.delete(stream);
      release();
    });
    socket.on('data', (chunk) => {
      try {
        const frame = collector.add(chunk);
        this.#heldBytes += collector.bytes - held;
        held = collector.bytes;
        if (frame !== undefined) {
          socket.removeAllListeners('data');
          socket.resume();
          release();
          if (this.receiver === undefined) socket.destroy();
          else this.receiver.frame(stream, from, frame);
        } else if (this.#heldBytes > HELD_BYTES_MAX) this.#refuse(socket, 'overload');
      } catch {
        this.#refuse(socket, 'malformed');
      }
    });
  }

  /** Answers a request, if who made it is still there. */
  reply(stream: number, frame: Uint8Array): void {
    const socket = this.#sockets.get(stream);
    if (socket === undefined) return;
    writeFrame(socket, frame);
    socket.end();
  }

  /** Ends a request without an answer. */
  drop(stream: number): void {
    this.#sockets.get(stream)?.destroy();
  }

  async close(server: Server): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.#sockets.values()) socket.destroy();
    await closed;
  }

  #refuse(socket: Socket, reason: 'malformed' | 'overload'): void {
    this.receiver?.refused(reason);
    socket.destroy();
  }
}
