// Options of the TCP transport, with their defaults and limits.
import { RaftError } from '../errors.js';
import type { DriverClock, NodeId } from '../multi/ports.js';
import { checkHandshakeString } from './handshake-codec.js';
import { parsePeerAddress } from './peer-address.js';
import type { PeerEvent } from './peer-events.js';

/** Certificates for both sides: every node proves to every other one who it is. TLS 1.3. */
export interface PeerTlsOptions {
  /** Certificates of the authorities that are trusted, PEM. */
  readonly ca: string | Uint8Array;
  /** This node's certificate, for servers and clients alike, PEM. */
  readonly cert: string | Uint8Array;
  /** The key to it, PEM. */
  readonly key: string | Uint8Array;
  /**
   * Whether a certificate must name the node id of the node that shows it, as a DNS name of its alternative names (or
   * as its common name, if it has none). Default true. Otherwise any certificate of the authorities serves any node.
   */
  readonly checkNodeName?: boolean;
}

/** Options of `TcpTransport`. */
export interface TcpTransportOptions {
  readonly nodeId: NodeId;
  /** Nodes of different clusters refuse each other. */
  readonly clusterId: string;
  /**
   * Names the log of this node: made once with the log, the same at every start. A node that comes back with another
   * one has lost its log, and with it its promises.
   */
  readonly incarnation: string;
  /** Where to listen: `host:port`, IPv6 in brackets, port 0 for any. */
  readonly listen: string;
  readonly clock: DriverClock;
  /** A source of randomness in [0, 1). */
  readonly random: () => number;
  readonly tls?: PeerTlsOptions;
  /**
   * Whether to talk to `peer`, which shows `incarnation`. `known` is what it showed this transport before, if anything.
   * Default: only if both are the same, or there is nothing known. A node that remembers across restarts compares here.
   */
  readonly acceptIncarnation?: (peer: NodeId, incarnation: string, known: string | undefined) => boolean;
  /** Is told of connections that come and go, of refusals, of frames that are dropped. Must not throw. */
  readonly onEvent?: (event: PeerEvent) => void;
  /** Bytes of one frame. Default 8 MiB, which MultiRaft needs. The same on all nodes. */
  readonly frameBytesMax?: number;
  /** Bytes that wait for a peer on its control connection. Default 16 MiB; not below `frameBytesMax`. */
  readonly controlQueueBytesMax?: number;
  /** Bytes that wait for a peer on its bulk connection. Default 64 MiB; not below `frameBytesMax`. */
  readonly bulkQueueBytesMax?: number;
  /** How long a connection may take until both sides have agreed. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** First wait before a connection is tried again; doubles with each failure, and varies by half. Default 100. */
  readonly retryDelayMinMs?: number;
  /** Longest such wait. Default 2,000. */
  readonly retryDelayMaxMs?: number;
  /** How often each side of a connection shows that it is alive; four times without end it. Default 2,000. */
  readonly lifeIntervalMs?: number;
  /** How long `close` lets what is queued go out. Default 500. */
  readonly closeTimeoutMs?: number;
}

const MIB = 1024 * 1024;

export interface ResolvedTcpOptions extends Required<Omit<TcpTransportOptions, 'tls' | 'onEvent'>> {
  readonly tls: Required<PeerTlsOptions> | undefined;
  readonly onEvent: ((event: PeerEvent) => void) | undefined;
}

/** @throws RaftError RAFT_INVALID_OPTION */
export function resolveTcpOptions(options: TcpTransportOptions): ResolvedTcpOptions {
  const { tls, acceptIncarnation } = options;
  const frameBytesMax = options.frameBytesMax ?? 8 * MIB;
  const resolved: ResolvedTcpOptions = {
    ...options,
    tls: tls === undefined ? undefined : { ...tls, checkNodeName: tls.checkNodeName ?? true },
    onEvent: options.onEvent,
    acceptIncarnation:
      acceptIncarnation ?? ((_peer, incarnation, known) => known === undefined || known === incarnation),
    frameBytesMax,
    controlQueueBytesMax: options.controlQueueBytesMax ?? 16 * MIB,
    bulkQueueBytesMax: options.bulkQueueBytesMax ?? 64 * MIB,
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
    retryDelayMinMs: options.retryDelayMinMs ?? 100,
    retryDelayMaxMs: options.retryDelayMaxMs ?? 2_000,
    lifeIntervalMs: options.lifeIntervalMs ?? 2_000,
    closeTimeoutMs: options.closeTimeoutMs ?? 500,
  };
  if (options.nodeId === '') throw new RaftError('RAFT_INVALID_OPTION', 'nodeId must not be empty.');
  checkHandshakeString('nodeId', options.nodeId);
  checkHandshakeString('clusterId', options.clusterId);
  checkHandshakeString('incarnation', options.incarnation);
  parsePeerAddress(options.listen);
  checkRange('frameBytesMax', frameBytesMax, 1, 0xffff_ffff);
  checkRange('controlQueueBytesMax', resolved.controlQueueBytesMax, frameBytesMax, Number.MAX_SAFE_INTEGER);
  checkRange('bulkQueueBytesMax', resolved.bulkQueueBytesMax, frameBytesMax, Number.MAX_SAFE_INTEGER);
  checkRange('retryDelayMaxMs', resolved.retryDelayMaxMs, resolved.retryDelayMinMs, DELAY_MAX_MS);
  for (const name of ['connectTimeoutMs', 'retryDelayMinMs', 'lifeIntervalMs', 'closeTimeoutMs'] as const) {
    checkRange(name, resolved[name], 1, DELAY_MAX_MS);
  }
  return resolved;
}

/** What timers can wait. */
const DELAY_MAX_MS = 2 ** 31 - 1;

function checkRange(name: string, value: number, min: number, max: number): void {
  if (!(value >= min && value <= max)) {
    throw new RaftError('RAFT_INVALID_OPTION', `${name} must be from ${min} to ${max}; it is ${value}.`);
  }
}
