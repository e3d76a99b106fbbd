// Sockets as the operating system has them, with or without TLS: all that this package knows of node:net and node:tls.
import { connect, createServer, type Server, type Socket } from 'node:net';
import {
  checkServerIdentity,
  connect as connectTls,
  createServer as createTlsServer,
  type SecureContextOptions,
  TLSSocket,
} from 'node:tls';
import type { NodeId } from '../multi/ports.js';
import type { ResolvedTcpOptions } from './options.js';
import type { PeerAddress } from './peer-address.js';

export type { Server, Socket };

/** Below our own signs of life, for what the operating system can do by itself. */
const KEEP_ALIVE_DELAY_MS = 10_000;

/** Dials `peer`. `onConnect` is called once bytes can be sent, and the peer's certificate is known to be right. */
export function dial(options: ResolvedTcpOptions, peer: NodeId, address: PeerAddress, onConnect: () => void): Socket {
  const { host, port } = address;
  const { tls } = options;
  const socket =
    tls === undefined
      ? connect({ host, port }, onConnect)
      : connectTls(
          {
            host,
            port,
            ...certificates(tls),
            minVersion: 'TLSv1.3',
            checkServerIdentity: (_host, certificate) =>
              tls.checkNodeName ? checkServerIdentity(peer, certificate) : undefined,
          },
          onConnect,
        );
  return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
}

/** What a {@link Server} made by {@link createListener} reports. */
export interface ListenerEvents {
  /** A connection was made; nothing is known of it yet. Comes before `onSocket`, with the same socket if there is no TLS. */
  onConnection(raw: Socket): void;
  /** Bytes can be received; with TLS, the certificate is of an authority that is trusted. */
  onSocket(socket: Socket): void;
  onTlsError(error: Error, address: string): void;
}

export function createListener(options: ResolvedTcpOptions, events: ListenerEvents): Server {
  const common = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS };
  const { tls } = options;
  if (tls === undefined) {
    const server = createServer(common);
    server.on('connection', (socket) => {
      events.onConnection(socket);
      if (!socket.destroyed) events.onSocket(socket);
    });
    return server;
  }
  const server = createTlsServer({
    ...common,
    ...certificates(tls),
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: options.connectTimeoutMs,
  });
  server.prependListener('connection', (raw) => events.onConnection(raw));
  server.on('secureConnection', (socket) => events.onSocket(socket));
  server.on('tlsClientError', (error, socket) => {
    events.onTlsError(error, addressOf(socket));
    socket.destroy();
  });
  return server;
}

/** Why the certificate shown on `socket` does not belong to `nodeId`; undefined if it does, or need not. */
export function certificateProblem(options: ResolvedTcpOptions, socket: Socket, nodeId: NodeId): string | undefined {
  if (options.tls?.checkNodeName !== true) return undefined;
  if (!(socket instanceof TLSSocket)) return 'there is no certificate';
  return checkServerIdentity(nodeId, socket.getPeerCertificate())?.message;
}

export function addressOf(socket: Socket): string {
  return socket.remoteAddress === undefined ? '' : `${socket.remoteAddress} port ${socket.remotePort}`;
}

/** What went wrong, also when several addresses were tried. */
export function describeError(error: Error): string {
  if (error.message !== '') return error.message;
  return error instanceof AggregateError
    ? error.errors.map(String).join('; ')
    : String((error as { code?: unknown }).code);
}

/** What was read, as a plain Uint8Array. */
export function plainBytes(chunk: Uint8Array): Uint8Array {
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

function certificates(tls: NonNullable<ResolvedTcpOptions['tls']>): SecureContextOptions {
  return { ca: pem(tls.ca), cert: pem(tls.cert), key: pem(tls.key) };
}

function pem(text: string | Uint8Array): string {
  return typeof text === 'string' ? text : new TextDecoder().decode(text);
}
