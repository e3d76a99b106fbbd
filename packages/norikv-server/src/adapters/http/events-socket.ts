// `/ws/events`: live events and status over WebSocket, one binary MessagePack map a frame (`?format=json`: JSON text).
//
//   { type: 'snapshot', status, dropped, events }   at once, and after a client fell behind
//   { type: 'events', dropped, events }             every 50 ms in which there were any
//   { type: 'status', status }                      every second
//
// `dropped` counts events lost since the frame before. A frame is encoded once for all clients of a format. A client with
// over 256 KiB unsent gets no frames until that is gone, then a snapshot; one with over 4 MiB, or behind for 10 s, is cut.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { encode } from '@msgpack/msgpack';
import type { Clock, TimerHandle } from 'nori-io';
import { WebSocket, WebSocketServer } from 'ws';
import type { EventHub } from './event-hub.js';

const BATCH_INTERVAL_MS = 50;
const STATUS_INTERVAL_MS = 1_000;
/** Clients say nothing; a control frame has at most 125 bytes. */
const PAYLOAD_BYTES_MAX = 1_024;
const CLIENTS_MAX = 64;
const GOING_AWAY = 1001;
/** How long a client may take to answer the goodbye. */
const GOODBYE_MS = 1_000;

/** When a client is behind, and when it is given up. */
export interface EventsLimits {
  /** Default 256 KiB. */
  readonly skipAboveBytes: number;
  /** Default 4 MiB. */
  readonly cutAboveBytes: number;
  /** Default 10 s. */
  readonly cutAfterMs: number;
}

const LIMITS_DEFAULT: EventsLimits = Object.freeze({
  skipAboveBytes: 256 * 1024,
  cutAboveBytes: 4 * 1024 * 1024,
  cutAfterMs: 10_000,
});

/** What a frame's encoding is called in the query. */
export type EventsFormat = 'msgpack' | 'json';

interface Client {
  readonly socket: WebSocket;
  readonly format: EventsFormat;
  /** Monotonic time since when the client is behind; undefined: it is not. */
  behindSinceMs: number | undefined;
  /** Position of the first event it did not get, while it is behind. */
  missedFrom: number;
}

/** Frames encoded once for each format, at their first use. */
class Frame {
  readonly #content: unknown;
  #msgpack: Uint8Array | undefined;
  #json: string | undefined;

  constructor(content: unknown) {
    this.#content = content;
  }

  as(format: EventsFormat): Uint8Array | string {
    if (format === 'json') return (this.#json ??= JSON.stringify(this.#content));
    return (this.#msgpack ??= encode(this.#content));
  }
}

/** Sends the hub's events to WebSocket clients. */
export class EventsSocket {
  readonly #hub: EventHub;
  readonly #clock: Clock;
  readonly #status: () => unknown;
  readonly #limits: EventsLimits;
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: PAYLOAD_BYTES_MAX,
  });
  readonly #clients = new Set<Client>();
  /** Events before this position have been sent to the clients that are not behind. */
  #sent = 0;
  #statusAtMs = 0;
  #timer: TimerHandle | undefined;

  /** @param status what the dashboard shows of the node */
  constructor(hub: EventHub, clock: Clock, status: () => unknown, limits: Partial<EventsLimits> = {}) {
    this.#hub = hub;
    this.#clock = clock;
    this.#status = status;
    this.#limits = { ...LIMITS_DEFAULT, ...limits };
  }

  /** Clients now. */
  get clients(): number {
    return this.#clients.size;
  }

  /** True if no more clients are taken. */
  get full(): boolean {
    return this.#clients.size >= CLIENTS_MAX;
  }

  /** Takes over a connection that asked for the upgrade. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, format: EventsFormat): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, format));
  }

  /** Says goodbye to all clients. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#clients.size === 0) return;
    const sockets = Array.from(this.#clients, ({ socket }) => socket);
    for (const socket of sockets) socket.close(GOING_AWAY, 'The node is shutting down');
    this.#clock.setTimer(
      GOODBYE_MS,
      () => {
        for (const socket of sockets) socket.terminate();
      },
      { unref: true },
    );
  }

  #open(socket: WebSocket, format: EventsFormat): void {
    const client: Client = { socket, format, behindSinceMs: undefined, missedFrom: 0 };
    if (this.#clients.size === 0) this.#sent = this.#hub.next;
    else this.#flush();
    this.#clients.add(client);
    socket.on('error', () => socket.terminate());
    socket.on('close', () => this.#clients.delete(client));
    // What was lost before it came is no loss to a client that is new.
    socket.send(new Frame({ ...this.#snapshot(0), dropped: 0 }).as(format));
    this.#schedule();
  }

  #schedule(): void {
    if (this.#clients.size === 0) return;
    this.#timer ??= this.#clock.setTimer(
      BATCH_INTERVAL_MS,
      () => {
        this.#timer = undefined;
        this.#flush();
        this.#schedule();
      },
      { unref: true },
    );
  }

  #snapshot(from: number) {
    const { events, dropped } = this.#hub.since(from);
    return { type: 'snapshot', status: this.#status(), dropped, events };
  }

  #flush(): void {
    const nowMs = this.#clock.monotonic();
    const from = this.#sent;
    const { next, dropped, events } = this.#hub.since(from);
    this.#sent = next;
    const frames: Frame[] = [];
    if (events.length > 0) frames.push(new Frame({ type: 'events', dropped, events }));
    if (nowMs - this.#statusAtMs >= STATUS_INTERVAL_MS) {
      this.#statusAtMs = nowMs;
      frames.push(new Frame({ type: 'status', status: this.#status() }));
    }
    for (const client of this.#clients) {
      if (!this.#isReady(client, nowMs, from)) continue;
      if (client.behindSinceMs !== undefined) {
        client.behindSinceMs = undefined;
        client.socket.send(new Frame(this.#snapshot(client.missedFrom)).as(client.format));
      } else for (const frame of frames) client.socket.send(frame.as(client.format));
    }
  }

  /** False if a client gets nothing now; one that is too far behind is cut. */
  #isReady(client: Client, nowMs: number, from: number): boolean {
    const { socket } = client;
    if (socket.readyState !== WebSocket.OPEN) return false;
    const unsent = socket.bufferedAmount;
    if (unsent <= this.#limits.skipAboveBytes) return true;
    if (client.behindSinceMs === undefined) {
      client.behindSinceMs = nowMs;
      client.missedFrom = from;
    }
    if (unsent > this.#limits.cutAboveBytes || nowMs - client.behindSinceMs > this.#limits.cutAfterMs) {
      socket.terminate();
      this.#clients.delete(client);
    }
    return false;
  }
}
