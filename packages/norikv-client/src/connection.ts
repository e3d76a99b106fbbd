// One HTTP/2 session with one node: made, verified by the first view of its cluster watch, kept alive by pings, ended once.
// Nothing else is sent on it before that view has been accepted, since the address may belong to another cluster by now.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { createClient, type Transport } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { type ClusterView, LIMITS, Meta } from 'norikv-protocol';
import { errorText } from './errors.js';
import type { ResolvedOptions } from './options.js';

const WINDOW_BYTES = 8 * 1024 * 1024;
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
const SESSION_MEMORY_MB = 64;
const WATCH_RETRY_MS = 200;

/** What happens to a connection. */
export interface ConnectionEvents {
  /** A view has arrived. Throwing refuses the node and ends the connection. */
  onView(view: ClusterView): void;
  /** The first view was accepted. */
  onReady(session: ClientHttp2Session): void;
  /** The node is going away: nothing new may be sent. */
  onDraining(): void;
  /** Called once, unless {@link Connection.close} was called before. */
  onEnd(error: Error): void;
}

/** A session from the dial to its end. */
export class Connection {
  /** For calls beside the pipeline; they travel on the same session. */
  readonly transport: Transport;
  readonly #options: ResolvedOptions;
  readonly #events: ConnectionEvents;
  readonly #session: ClientHttp2Session;
  readonly #aborted = new AbortController();
  /** Streams of calls beside the pipeline. */
  readonly #calls = new Set<ClientHttp2Stream>();
  #timer: NodeJS.Timeout | undefined;
  #receivedMs = performance.now();
  readonly #address: string;
  #ready = false;
  /** True while a view is being handed on: if that throws, it ends the connection, not only the watch. */
  #refused = false;
  #ended = false;

  constructor(address: string, options: ResolvedOptions, events: ConnectionEvents) {
    this.#address = address;
    this.#options = options;
    this.#events = events;
    const authority = `http://${address}`;
    const { hostname, port } = new URL(`${authority}/`);
    this.#session = connect(authority, {
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
      maxSessionMemory: SESSION_MEMORY_MB,
      createConnection: () =>
        connectTcp({
          host: hostname.replace(/^\[|\]$/g, ''),
          port: Number(port || 80),
          noDelay: true,
          keepAlive: true,
        }),
    });
    this.#timer = setTimeout(() => {
      this.#end(new Error(`No answer within ${options.connectTimeoutMs} ms`));
    }, options.connectTimeoutMs);
    this.#session.on('connect', () => this.#session.setLocalWindowSize(WINDOW_BYTES));
    this.#session.on('error', (error) => this.#end(error));
    this.#session.on('goaway', () => this.#drain());
    this.#session.on('close', () => this.#end(new Error('The connection was closed')));
    this.transport = createGrpcTransport({
      baseUrl: authority,
      readMaxBytes: LIMITS.responseBytesMax,
      writeMaxBytes: LIMITS.requestBytesMax,
      acceptCompression: [],
      sessionManager: {
        authority,
        request: async (method, path, headers, requestOptions) => this.#request(method, path, headers, requestOptions),
        notifyResponseByteRead: () => this.noteReceived(),
      },
    });
    void this.#watch();
  }

  /** Says that something was received: the node lives. */
  noteReceived(): void {
    this.#receivedMs = performance.now();
  }

  /** Ends the connection without telling the owner. Idempotent. */
  close(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#aborted.abort();
    // Before the session is destroyed, for two reasons. Streams that go with it end without an error, and their callers
    // would wait for the deadline. And Node.js 20 resets each of them while others are gone already: if one of those
    // still had to say that it ends (a pipeline that the node has reset), HTTP/2 goes round in circles for ever.
    for (const call of this.#calls) call.close(constants.NGHTTP2_CANCEL);
    this.#session.destroy();
  }

  #request(
    method: string,
    path: string,
    headers: Parameters<ClientHttp2Session['request']>[0],
    options: Parameters<ClientHttp2Session['request']>[1],
  ): ClientHttp2Stream {
    const stream = this.#session.request(
      {
        ...headers,
        [constants.HTTP2_HEADER_METHOD]: method,
        [constants.HTTP2_HEADER_PATH]: path,
        // Node.js would leave out the brackets of an IPv6 address.
        [constants.HTTP2_HEADER_AUTHORITY]: this.#address,
      },
      options,
    );
    // The caller listens too, but only after a promise has settled.
    stream.on('error', () => {});
    this.#calls.add(stream);
    stream.on('close', () => this.#calls.delete(stream));
    return stream;
  }

  async #watch(): Promise<void> {
    const meta = createClient(Meta, this.transport);
    while (!this.#ended) {
      try {
        // Epoch 0, since leaders may have changed within the epoch that is known.
        const views = meta.watchCluster({ knownEpoch: 0n }, { signal: this.#aborted.signal });
        for await (const { view } of views) {
          this.noteReceived();
          if (view !== undefined) this.#accept(view);
        }
        if (!this.#ready) throw new Error('The node sent no view of the cluster');
      } catch (error) {
        if (!this.#ready || this.#refused) {
          this.#end(error instanceof Error ? error : new Error(errorText(error)));
          return;
        }
      }
      // The watch alone has ended; the session tells by itself if it has too.
      if (!this.#ended) await new Promise((resolve) => setTimeout(resolve, WATCH_RETRY_MS).unref());
    }
  }

  #accept(view: ClusterView): void {
    if (this.#ended) return;
    this.#refused = true;
    this.#events.onView(view);
    if (!this.#ready) {
      this.#ready = true;
      clearTimeout(this.#timer);
      this.#schedulePing(this.#options.pingIntervalMs);
      this.#events.onReady(this.#session);
    }
    this.#refused = false;
  }

  #schedulePing(delayMs: number): void {
    this.#timer = setTimeout(() => {
      const silentMs = performance.now() - this.#receivedMs;
      const left = this.#options.pingIntervalMs - silentMs;
      if (left > 0) this.#schedulePing(left);
      else this.#ping();
    }, delayMs);
  }

  #ping(): void {
    const sentMs = performance.now();
    const answered = (error: Error | null): void => {
      if (this.#ended || error !== null) return;
      clearTimeout(this.#timer);
      this.noteReceived();
      this.#schedulePing(this.#options.pingIntervalMs);
    };
    this.#timer = setTimeout(() => {
      // After a standstill of this process the answer may lie in the socket: look there first.
      setImmediate(() => {
        if (this.#ended) return;
        if (this.#receivedMs >= sentMs) this.#schedulePing(this.#options.pingIntervalMs);
        else this.#end(new Error(`No answer to a ping within ${this.#options.pingTimeoutMs} ms`));
      });
    }, this.#options.pingTimeoutMs);
    try {
      this.#session.ping(answered);
    } catch (error) {
      this.#end(error as Error);
    }
  }

  #drain(): void {
    if (this.#ended) return;
    this.#aborted.abort();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.#end(new Error('The node went away without finishing')),
      this.#options.connectTimeoutMs,
    );
    this.#events.onDraining();
  }

  #end(error: Error): void {
    if (this.#ended) return;
    this.close();
    this.#events.onEnd(error);
  }
}
