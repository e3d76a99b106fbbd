// What a TCP transport tells about its connections.
import type { Lane, NodeId } from '../multi/ports.js';

/** `out`: connections that this node dialled, for what it sends. `in`: those that it accepted. */
export type ConnectionDirection = 'in' | 'out';

/** Why a handshake failed; see docs/formats/peer-connection.md. */
export type RefusalReason =
  | 'version'
  | 'malformed'
  | 'cluster'
  | 'self'
  | 'wrong-node'
  | 'unknown-node'
  | 'certificate'
  | 'incarnation'
  /** The TLS handshake failed before ours began. */
  | 'tls'
  /** The other side did not say what it should in time. */
  | 'timeout'
  /** Too many connections that have not said yet who they are. */
  | 'busy';

export type DisconnectReason =
  /** The other side closed it. */
  | 'closed'
  /** The operating system or TLS reported an error. */
  | 'error'
  /** Nothing was heard for four intervals. */
  | 'silent'
  /** The other side sent what it must not. */
  | 'bad-bytes'
  /** The same node has made a new connection. */
  | 'replaced'
  /** The node is not among the peers any more, or has another address. */
  | 'removed';

export type DropReason = 'unknown-peer' | 'unreachable' | 'queue-full';

/** What happens to connections. */
export type PeerEvent =
  | { readonly type: 'connected'; readonly peer: NodeId; readonly lane: Lane; readonly direction: ConnectionDirection }
  | {
      readonly type: 'disconnected';
      readonly peer: NodeId;
      readonly lane: Lane;
      readonly direction: ConnectionDirection;
      readonly reason: DisconnectReason;
      readonly detail: string;
    }
  /** A connection could not be made; it is tried again after `retryMs`. */
  | {
      readonly type: 'dial-failed';
      readonly peer: NodeId;
      readonly lane: Lane;
      readonly detail: string;
      readonly retryMs: number;
    }
  /** A handshake failed; `by` says who refused. With direction `in`, `peer` is what the other side claims to be. */
  | {
      readonly type: 'refused';
      readonly by: 'us' | 'peer';
      readonly direction: ConnectionDirection;
      readonly peer: NodeId | undefined;
      readonly reason: RefusalReason;
      readonly detail: string;
      readonly address: string;
    }
  /** A frame was not accepted by `send`. */
  | {
      readonly type: 'dropped';
      readonly peer: NodeId;
      readonly lane: Lane;
      readonly bytes: number;
      readonly reason: DropReason;
    };

/** Totals since the transport was made. */
export interface TransportCounters {
  /** Handed to the operating system. */
  framesSent: number;
  bytesSent: number;
  framesReceived: number;
  bytesReceived: number;
  /** Refused by `send`. */
  framesDropped: number;
  /** Accepted by `send` and lost with a connection. */
  framesLost: number;
  connects: number;
  disconnects: number;
  dialFailures: number;
  refusals: number;
  /** Connections dropped, after the handshake, because of what the other side sent. */
  badConnections: number;
}
