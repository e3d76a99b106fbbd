// The client port: Connect, gRPC and gRPC-web, over HTTP/1.1 and HTTP/2 without TLS, on one TCP port.
//
//   net server → sniff ─┬─ http2 ─┬─ gRPC POST /norikv.v1.Kv/Pipeline → PipelineStream (core stream)
//                       │         └─ everything else ─┐
//                       └─ http1 ─────────────────────┴→ RpcHandler (connect-node)
//
// Life: `listen` → `drain` (GOAWAY; what is under way is answered; the rest is cut) → `close`.

import { setMaxListeners } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import type { Clock, TimerHandle } from 'nori-io';
import type { Gauge, Meter } from 'nori-observe';
import { NodeError } from '../../domain/node-error.js';
import type { KvNode } from '../../ports/kv.js';
import type { Logger } from '../../ports/logger.js';
import type { ListenAddress, Transport } from '../../ports/transport.js';
import { HostPolicy } from '../net/host-policy.js';
import { listenOn } from '../net/listen.js';
import type { Readiness } from '../net/readiness.js';
import type { RequestMetrics } from '../net/request-metrics.js';
import { RequestTracker } from '../net/request-tracker.js';
import { toConnectError } from './error-details.js';
import { PipelineStream } from './pipeline-stream.js';
import { type HttpVersion, sniffProtocol } from './protocol-sniffer.js';
import { createRpcHandler, end, hasSingleRequest, type RpcHandler } from './rpc-handler.js';

/** What the client port is made of. */
export interface ClientPortOptions {
  readonly node: KvNode;
  readonly clock: Clock;
  readonly meter: Meter;
  readonly logger: Logger;
  readonly metrics: RequestMetrics;
  readonly readiness: Readiness;
  readonly address: ListenAddress;
  /** Host names that browsers may use beside the address; lower case. Default: none. */
  readonly allowedHosts?: readonly string[];
  readonly limits?: Partial<ClientPortLimits>;
}

/** Bounds on what connections can hold. */
export interface ClientPortLimits {
  /** Connections; more are refused. Default 4,096. */
  readonly connectionsMax: number;
  /** Streams of one HTTP/2 connection. Default 256. */
  readonly streamsMax: number;
  /** How long a connection may be silent before it has said what it speaks. Default 5 s. */
  readonly sniffTimeoutMs: number;
  /** How long a request that is one message, or the rest of a pipeline's message, may take to arrive. Default 30 s. */
  readonly requestTimeoutMs: number;
  /** Interval of HTTP/2 PINGs; a connection that has not answered one by the next is cut. Default 20 s. */
  readonly pingIntervalMs: number;
}

const LIMITS_DEFAULT: ClientPortLimits = Object.freeze({
  connectionsMax: 4096,
  streamsMax: 256,
  sniffTimeoutMs: 5_000,
  requestTimeoutMs: 30_000,
  pingIntervalMs: 20_000,
});

const PIPELINE_PATH = '/norikv.v1.Kv/Pipeline';
/** gRPC with protobuf messages; others (JSON, gRPC-web, Connect) are served by connect-node. */
const GRPC_PROTO = /^application\/grpc(\+proto)?\s*(;|$)/i;

const WINDOW_BYTES = 4 * 1024 * 1024;
const SESSION_MEMORY_MIB = 64;
const HEADER_BYTES_MAX = 16 * 1024;
const HEADER_PAIRS_MAX = 64;
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const TCP_KEEP_ALIVE_DELAY_MS = 60_000;

/** One HTTP/2 connection and its streams. */
interface Session {
  readonly http2: http2.ServerHttp2Session;
  readonly pipelines: Set<PipelineStream>;
  /** Streams whose request is one message, and the monotonic time of their start. */
  readonly single: Map<http2.ServerHttp2Stream, number>;
  /** A PING has been sent and not been answered. */
  pinged: boolean;
  /** Bytes that had arrived when it was sent: whoever sends is alive, even if the answer is queued behind them. */
  bytesRead: number;
}

/** Serves clients. See the head of this file. */
export class ClientPort implements Transport {
  readonly #options: ClientPortOptions;
  readonly #limits: ClientPortLimits;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #handler: RpcHandler;
  readonly #tcp: net.Server;
  readonly #http1: http.Server;
  readonly #http2: http2.Http2Server;
  /** All connections, with what they speak; undefined until they have said. */
  readonly #sockets = new Map<net.Socket, HttpVersion | undefined>();
  readonly #requests = new RequestTracker();
  readonly #sessions = new Map<http2.Http2Session, Session>();
  readonly #drainController = new AbortController();
  readonly #shutdownController = new AbortController();
  readonly #connections: Gauge;
  readonly #pipelines: Gauge;
  #hosts: HostPolicy;
  #sweep: TimerHandle | undefined;
  #onEmpty: (() => void) | undefined;
  #draining = false;
  #closed = false;

  constructor(options: ClientPortOptions) {
    const { node, clock, meter, logger, metrics, readiness } = options;
    this.#options = options;
    this.#limits = { ...LIMITS_DEFAULT, ...options.limits };
    this.#clock = clock;
    this.#logger = logger;
    this.#hosts = new HostPolicy(options.address.host, options.allowedHosts ?? []);
    this.#connections = meter.gauge('rpc_connections', {}, { help: 'Open connections on the client port.' });
    this.#pipelines = meter.gauge('rpc_pipeline_streams', {}, { help: 'Open Kv.Pipeline streams on HTTP/2.' });
    const drainSignal = this.#drainController.signal;
    const shutdownSignal = this.#shutdownController.signal;
    // Every call under way listens to these.
    setMaxListeners(0, drainSignal, shutdownSignal);
    this.#handler = createRpcHandler({ node, clock, metrics, readiness, logger, drainSignal, shutdownSignal });
    this.#http1 = this.#createHttp1();
    this.#http2 = this.#createHttp2();
    this.#tcp = net.createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_DELAY_MS });
    this.#tcp.maxConnections = this.#limits.connectionsMax;
    this.#tcp.on('connection', (socket) => this.#accept(socket));
    this.#tcp.on('drop', () => this.#logger.warn({}, 'A client connection was refused: there are too many'));
  }

  async listen(): Promise<ListenAddress> {
    const address = await listenOn(this.#tcp, this.#options.address, '--rpc-addr');
    this.#tcp.on('error', (error) => this.#logger.error({ err: error }, 'The client port failed to accept'));
    this.#hosts = new HostPolicy(this.#options.address.host, [
      ...(this.#options.allowedHosts ?? []),
      address.host.toLowerCase(),
    ]);
    this.#scheduleSweep();
    return address;
  }

  async drain(timeoutMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.#tcp.close();
    this.#drainController.abort(goingAway());
    const sockets = Array.from(this.#sockets);
    this.#requests.drain(sockets.filter(([, version]) => version !== 'http2').map(([socket]) => socket));
    for (const session of this.#sessions.values()) {
      session.http2.close();
      for (const pipeline of session.pipelines) pipeline.drain();
    }
    if (this.#sockets.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.#clock.setTimer(timeoutMs, resolve);
        this.#onEmpty = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    await this.close();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#draining = true;
    this.#sweep?.cancel();
    this.#drainController.abort(goingAway());
    this.#shutdownController.abort(goingAway());
    const closed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    for (const session of this.#sessions.values()) session.http2.destroy();
    for (const socket of this.#sockets.keys()) socket.destroy();
    // Stops the timer of its request timeouts; it has never listened itself.
    this.#http1.close(ignore);
    await closed;
  }

  #createHttp1(): http.Server {
    const server = http.createServer({
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: this.#limits.requestTimeoutMs,
      requestTimeout: this.#limits.requestTimeoutMs,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: Math.min(10_000, this.#limits.requestTimeoutMs),
    });
    server.on('request', (request, response) => {
      this.#requests.track(request, response);
      if (!this.#refuse(request.headers.host, request.headers.origin, response)) this.#handler(request, response);
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket: net.Socket) => {
      if (!socket.writable) socket.destroy();
      else socket.end(`HTTP/1.1 ${statusOfClientError(error.code)}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    });
    // The server never listens by itself; this starts the check of its timeouts.
    server.emit('listening');
    return server;
  }

  #createHttp2(): http2.Http2Server {
    const server = http2.createServer({
      maxSessionMemory: SESSION_MEMORY_MIB,
      maxHeaderListPairs: HEADER_PAIRS_MAX,
      settings: {
        initialWindowSize: WINDOW_BYTES,
        maxConcurrentStreams: this.#limits.streamsMax,
        maxHeaderListSize: HEADER_BYTES_MAX,
        enablePush: false,
      },
    });
    server.on('session', (session) => this.#openSession(session));
    // The fourth argument, headers as they came, name and value in turn, is missing from the types.
    const onStream = (
      stream: http2.ServerHttp2Stream,
      headers: http2.IncomingHttpHeaders,
      _flags: number,
      rawHeaders: string[],
    ) => this.#openStream(stream, headers, rawHeaders);
    server.on('stream', onStream as (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void);
    server.on('sessionError', (error) => this.#logger.debug({ err: error }, 'An HTTP/2 connection failed'));
    return server;
  }

  #accept(socket: net.Socket): void {
    if (this.#draining) {
      socket.destroy();
      return;
    }
    this.#sockets.set(socket, undefined);
    this.#connections.add(1);
    socket.on('error', (error) => this.#logger.debug({ err: error }, 'A client connection failed'));
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#connections.add(-1);
      if (this.#sockets.size === 0) this.#onEmpty?.();
    });
    sniffProtocol(socket, this.#clock, this.#limits.sniffTimeoutMs, (version) => {
      this.#sockets.set(socket, version);
      if (version === 'http2') this.#http2.emit('connection', socket);
      else {
        this.#http1.emit('connection', socket);
        socket.resume();
      }
    });
  }

  #openSession(http2Session: http2.ServerHttp2Session): void {
    const session: Session = {
      http2: http2Session,
      pipelines: new Set(),
      single: new Map(),
      pinged: false,
      bytesRead: 0,
    };
    this.#sessions.set(http2Session, session);
    http2Session.setLocalWindowSize(WINDOW_BYTES);
    http2Session.on('error', (error) => this.#logger.debug({ err: error }, 'An HTTP/2 connection failed'));
    http2Session.on('close', () => this.#sessions.delete(http2Session));
    if (this.#draining) http2Session.close();
  }

  #openStream(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, rawHeaders: string[]): void {
    const session = stream.session === undefined ? undefined : this.#sessions.get(stream.session);
    if (session === undefined) {
      stream.destroy();
      return;
    }
    if (isCorePipeline(headers)) {
      const pipeline = new PipelineStream(stream, this.#options, (ended) => {
        session.pipelines.delete(ended);
        this.#pipelines.add(-1);
      });
      session.pipelines.add(pipeline);
      this.#pipelines.add(1);
      return;
    }
    stream.on('error', ignore);
    if (hasSingleRequest(headers[':path'] ?? '')) {
      session.single.set(stream, this.#clock.monotonic());
      stream.on('close', () => session.single.delete(stream));
    }
    if (headers.expect === '100-continue') stream.additionalHeaders({ ':status': 100 });
    const request = new http2.Http2ServerRequest(stream, headers, {}, rawHeaders);
    const response = new http2.Http2ServerResponse(stream);
    const host = headers[':authority'] ?? headers.host;
    if (!this.#refuse(host, headers.origin, response)) this.#handler(request, response);
  }

  #refuse(
    host: string | undefined,
    origin: string | undefined,
    response: http.ServerResponse | http2.Http2ServerResponse,
  ): boolean {
    const refused = this.#hosts.refuseBrowser(host, origin);
    if (refused === undefined) return false;
    end(response, 403, `${refused}\n`);
    return true;
  }

  #scheduleSweep(): void {
    const sweep = () => {
      for (const session of this.#sessions.values()) this.#check(session);
      if (!this.#closed) this.#scheduleSweep();
    };
    // A turn later, so that answers that came while the process stood still are read before they are missed.
    this.#sweep = this.#clock.setTimer(this.#limits.pingIntervalMs, () => this.#clock.nextTurn(sweep), { unref: true });
  }

  /**
   * Cuts a connection that did not answer the last PING, and streams whose request has stopped half way. This also finds
   * sessions that the HTTP/2 library has given up by itself (after a storm of resets): Node is not told of that.
   */
  #check(session: Session): void {
    if (session.http2.destroyed) return;
    const { bytesRead } = session.http2.socket;
    if (session.pinged && bytesRead === session.bytesRead) {
      this.#logger.debug({}, 'A client connection was cut: it did not answer a PING');
      session.http2.destroy();
      return;
    }
    session.bytesRead = bytesRead;
    session.pinged = session.http2.ping((error) => {
      if (error === null) session.pinged = false;
    });
    const nowMs = this.#clock.monotonic();
    const { requestTimeoutMs } = this.#limits;
    for (const pipeline of session.pipelines) pipeline.endIfStalled(nowMs, requestTimeoutMs);
    for (const [stream, startedMs] of session.single) {
      if (!stream.readableEnded && nowMs - startedMs > requestTimeoutMs) stream.close(http2.constants.NGHTTP2_CANCEL);
    }
  }
}

const ignore = (): void => {};

const goingAway = () => toConnectError(new NodeError('UNAVAILABLE', 'The node is shutting down; connect to another'));

const isCorePipeline = (headers: http2.IncomingHttpHeaders): boolean =>
  headers[':path'] === PIPELINE_PATH &&
  headers[':method'] === 'POST' &&
  headers.origin === undefined &&
  GRPC_PROTO.test(headers['content-type'] ?? '') &&
  (headers['grpc-encoding'] ?? 'identity') === 'identity';

const statusOfClientError = (code: string | undefined): string => {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return '431 Request Header Fields Too Large';
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return '408 Request Timeout';
    default:
      return '400 Bad Request';
  }
};
