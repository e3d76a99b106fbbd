// The HTTP port: health, metrics, REST on keys, the status page and live events. See kv-routes.ts, node-routes.ts and
// events-socket.ts for what each path does; this file listens, checks who asks, finds the route and shuts down.
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from 'nori-io';
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
import { SingleOperations } from '../net/single-operation.js';
import type { EventHub } from './event-hub.js';
import { type EventsFormat, type EventsLimits, EventsSocket } from './events-socket.js';
import { KV_METHODS, KvRoutes } from './kv-routes.js';
import {
  healthReport,
  type MetricsPage,
  sendCluster,
  sendHealth,
  sendLiveness,
  sendMetrics,
  sendReadiness,
} from './node-routes.js';
import { choiceParameter, parseQuery } from './query.js';
import { sendError, sendHttpError, sendText } from './reply.js';
import { STATUS_PAGE } from './status-page.js';

/** What the HTTP port is made of. */
export interface HttpPortOptions {
  readonly node: KvNode;
  readonly clock: Clock;
  readonly meter: Meter;
  readonly logger: Logger;
  readonly metrics: RequestMetrics;
  readonly readiness: Readiness;
  readonly events: EventHub;
  readonly metricsPage: MetricsPage;
  readonly address: ListenAddress;
  /** Host names accepted beside the address; lower case. Default: none. */
  readonly allowedHosts?: readonly string[];
  /** Connections; more are refused. Default 1,024. */
  readonly connectionsMax?: number;
  /** How long a request may take to arrive. Default 30 s. */
  readonly requestTimeoutMs?: number;
  readonly eventsLimits?: Partial<EventsLimits>;
}

interface Route {
  readonly parameters: readonly string[];
  readonly send: (response: ServerResponse, query: ReadonlyMap<string, string>) => void;
}

const CONNECTIONS_MAX = 1024;
const REQUEST_TIMEOUT_MS = 30_000;
const HEADER_BYTES_MAX = 16 * 1024;
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const IDLE_TIMEOUT_MS = 120_000;
const KV_PREFIX = '/kv/';
const EVENTS_PATH = '/ws/events';
const EVENTS_FORMATS: readonly EventsFormat[] = ['msgpack', 'json'];
const READ_METHODS = ['GET', 'HEAD'] as const;

/** What a page of this node may load and do: itself only. */
const CONTENT_POLICY =
  "default-src 'none'; connect-src 'self' ws:; img-src data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Serves people, probes and scripts. */
export class HttpPort implements Transport {
  readonly #options: HttpPortOptions;
  readonly #logger: Logger;
  readonly #server: http.Server;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #kv: KvRoutes;
  readonly #events: EventsSocket;
  readonly #connections: Gauge;
  readonly #sockets = new Set<Socket>();
  /** Those of the sockets that speak WebSocket now. */
  readonly #upgraded = new Set<Duplex>();
  readonly #requests = new RequestTracker();
  #hosts: HostPolicy;
  #onEmpty: (() => void) | undefined;
  #draining = false;
  #closed = false;

  constructor(options: HttpPortOptions) {
    const { node, clock, metrics, meter, logger, readiness } = options;
    this.#options = options;
    this.#logger = logger;
    this.#hosts = new HostPolicy(options.address.host, options.allowedHosts ?? []);
    this.#connections = meter.gauge('http_connections', {}, { help: 'Open connections on the HTTP port.' });
    const status = () => healthReport(node, readiness);
    this.#events = new EventsSocket(options.events, clock, status, options.eventsLimits);
    this.#kv = new KvRoutes({
      operations: new SingleOperations(node, clock, metrics),
      after: (delayMs, fn) => clock.setTimer(delayMs, fn, { unref: true }),
      defect: (error) => logger.error({ err: error }, 'A request failed'),
    });
    this.#routes = this.#createRoutes();
    this.#server = this.#createServer();
  }

  async listen(): Promise<ListenAddress> {
    const address = await listenOn(this.#server, this.#options.address, '--http-addr');
    this.#server.on('error', (error) => this.#logger.error({ err: error }, 'The HTTP port failed to accept'));
    this.#hosts = new HostPolicy(this.#options.address.host, [
      ...(this.#options.allowedHosts ?? []),
      address.host.toLowerCase(),
    ]);
    return address;
  }

  async drain(timeoutMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.#server.close();
    this.#requests.drain([...this.#sockets].filter((socket) => !this.#upgraded.has(socket)));
    this.#events.close();
    if (this.#sockets.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.#options.clock.setTimer(timeoutMs, resolve);
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
    this.#events.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #createServer(): http.Server {
    const requestTimeoutMs = this.#options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    const server = http.createServer({
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: Math.min(10_000, requestTimeoutMs),
      noDelay: true,
    });
    // Whoever does not read an answer is let go; WebSockets are not subject to it.
    server.timeout = IDLE_TIMEOUT_MS;
    server.maxConnections = this.#options.connectionsMax ?? CONNECTIONS_MAX;
    server.on('drop', () => this.#logger.warn({}, 'An HTTP connection was refused: there are too many'));
    server.on('connection', (socket) => this.#track(socket));
    server.on('request', (request, response) => this.#serve(request, response));
    // Nothing is read before the request has been looked at: see KvRoutes.
    server.on('checkContinue', (request, response) => this.#serve(request, response));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    return server;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    this.#connections.add(1);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#upgraded.delete(socket);
      this.#connections.add(-1);
      if (this.#sockets.size === 0) this.#onEmpty?.();
    });
  }

  #createRoutes(): ReadonlyMap<string, Route> {
    const { node, readiness, metricsPage } = this.#options;
    const verbose = (query: ReadonlyMap<string, string>) => query.has('verbose');
    return new Map<string, Route>([
      ['/', { parameters: [], send: (response) => sendPage(response) }],
      ['/livez', { parameters: ['verbose'], send: (response, query) => sendLiveness(response, verbose(query)) }],
      [
        '/readyz',
        { parameters: ['verbose'], send: (response, query) => sendReadiness(response, readiness, verbose(query)) },
      ],
      ['/health', { parameters: [], send: (response) => sendHealth(response, node, readiness) }],
      ['/metrics', { parameters: [], send: (response) => sendMetrics(response, metricsPage) }],
      ['/meta/cluster', { parameters: [], send: (response) => sendCluster(response, node) }],
    ]);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.#requests.track(request, response);
    response.setHeader('x-content-type-options', 'nosniff');
    const refused = this.#hosts.refuse(request.headers.host, request.headers.origin);
    if (refused !== undefined) {
      sendHttpError(response, 403, 'FORBIDDEN', refused);
      return;
    }
    const [path, search] = splitTarget(request.url ?? '/');
    if (path.startsWith(KV_PREFIX)) {
      if (!allows(KV_METHODS, request, response)) return;
      void this.#kv.serve(request, response, path.slice(KV_PREFIX.length), search);
      return;
    }
    const route = this.#routes.get(path);
    if (route === undefined) {
      if (path === EVENTS_PATH) sendHttpError(response, 426, 'UPGRADE_REQUIRED', 'This path speaks WebSocket only');
      else sendHttpError(response, 404, 'NO_SUCH_PATH', `There is nothing at ${path}; keys are at /kv/{key}`);
    } else if (allows(READ_METHODS, request, response)) this.#send(route, response, search);
  }

  #send(route: Route, response: ServerResponse, search: string): void {
    try {
      route.send(response, parseQuery(search, route.parameters));
    } catch (error) {
      if (!(error instanceof NodeError)) this.#logger.error({ err: error }, 'A request failed');
      if (!response.headersSent) sendError(response, error);
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      this.#serveInstead(request, socket as Socket);
      return;
    }
    const [path, search] = splitTarget(request.url ?? '/');
    const refused = this.#hosts.refuse(request.headers.host, request.headers.origin);
    if (refused !== undefined) refuseUpgrade(socket, '403 Forbidden', refused);
    else if (path !== EVENTS_PATH) refuseUpgrade(socket, '404 Not Found', `WebSockets are at ${EVENTS_PATH}`);
    else if (this.#draining) refuseUpgrade(socket, '503 Service Unavailable', 'The node is shutting down');
    else if (this.#events.full) refuseUpgrade(socket, '503 Service Unavailable', 'There are too many watchers');
    else {
      try {
        const text = parseQuery(search, ['format']).get('format');
        const format = choiceParameter('format', text, EVENTS_FORMATS, 'msgpack');
        this.#upgraded.add(socket);
        this.#events.upgrade(request, socket, head, format);
      } catch (error) {
        refuseUpgrade(socket, '400 Bad Request', error instanceof Error ? error.message : String(error));
      }
    }
  }

  /** Answers a request that offers another protocol (`h2c`, as some clients do by default) as if it did not. */
  #serveInstead(request: IncomingMessage, socket: Socket): void {
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) {
      refuseUpgrade(socket, '400 Bad Request', 'A request with a body must not ask for an upgrade');
      return;
    }
    const response = new http.ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.on('finish', () => socket.end());
    this.#serve(request, response);
  }
}

/** Path and query of a request target; the target of a proxy request (`http://host/path`) has none that is known here. */
const splitTarget = (target: string): readonly [path: string, search: string] => {
  const mark = target.indexOf('?');
  return mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)];
};

const allows = (methods: readonly string[], request: IncomingMessage, response: ServerResponse): boolean => {
  if (methods.includes(request.method ?? '')) return true;
  response.setHeader('allow', methods.join(', '));
  sendHttpError(
    response,
    405,
    'METHOD_NOT_ALLOWED',
    `${request.method} is not allowed here: use ${methods.join(', ')}`,
  );
  return false;
};

const sendPage = (response: ServerResponse): void => {
  response.setHeader('content-security-policy', CONTENT_POLICY);
  sendText(response, 200, STATUS_PAGE, 'text/html');
};

const refuseUpgrade = (socket: Duplex, status: string, message: string): void => {
  const text = `${message}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
};
