// Carries frames between nodes of one process: for tests, examples and simulations. When a frame arrives is up to an
// injected function; whatever that does, frames keep their order per sender, receiver and lane, as on a socket.
import { RaftError } from '../errors.js';
import type { Lane, NodeId, PeerReceiver, PeerTransport } from './ports.js';

/** Options of {@link MemoryNodeNetwork}. */
export interface MemoryNodeNetworkOptions {
  /**
   * Calls `deliver` later, never at once: once per frame. Give a clock's `nextTurn`, or a timer of random length to
   * simulate delays. Default: `queueMicrotask`.
   */
  readonly schedule?: (deliver: () => void) => void;
  /** Bytes on the way from one node to another on one lane; more are dropped. Default 64 MiB. */
  readonly queueBytesMax?: number;
}

interface Queue {
  frames: Uint8Array[];
  bytes: number;
}

/** A network in memory. */
export class MemoryNodeNetwork {
  readonly #schedule: (deliver: () => void) => void;
  readonly #queueBytesMax: number;
  readonly #receivers = new Map<NodeId, PeerReceiver>();
  readonly #queues = new Map<string, Queue>();
  readonly #cut = new Set<string>();

  constructor(options: MemoryNodeNetworkOptions = {}) {
    this.#schedule = options.schedule ?? queueMicrotask;
    this.#queueBytesMax = options.queueBytesMax ?? 64 * 1024 * 1024;
  }

  /** A node's end of the network. After `close`, ask for a new one. */
  transport(nodeId: NodeId): PeerTransport {
    let receiver: PeerReceiver | undefined;
    return {
      nodeId,
      start: async (given) => {
        if (receiver !== undefined || this.#receivers.has(nodeId)) {
          throw new RaftError('RAFT_MISUSE', `Node "${nodeId}" has a transport that was started already.`);
        }
        receiver = given;
        this.#receivers.set(nodeId, given);
      },
      send: (to, lane, frame) => receiver !== undefined && this.#send(nodeId, receiver, to, lane, frame),
      queuedBytes: (to, lane) => this.#queues.get(queueKey(nodeId, to, lane))?.bytes ?? 0,
      close: async () => {
        if (receiver === undefined || this.#receivers.get(nodeId) !== receiver) return;
        this.#receivers.delete(nodeId);
        for (const peer of this.#receivers.keys()) this.#breakConnections(peer, nodeId);
      },
    };
  }

  /** Nothing passes between the two any more; what is on its way is lost. Both are told. */
  disconnect(a: NodeId, b: NodeId): void {
    this.#cut.add(pairKey(a, b));
    this.#breakConnections(a, b);
    this.#breakConnections(b, a);
  }

  /** Takes {@link MemoryNodeNetwork.disconnect} back. */
  reconnect(a: NodeId, b: NodeId): void {
    this.#cut.delete(pairKey(a, b));
  }

  #send(from: NodeId, sender: PeerReceiver, to: NodeId, lane: Lane, frame: Uint8Array): boolean {
    // A transport that was closed sends nothing, even if another one has taken its node's place.
    if (this.#receivers.get(from) !== sender || from === to) return false;
    if (!this.#receivers.has(to) || this.#cut.has(pairKey(from, to))) {
      this.#schedule(() => this.#tell(from, sender, to));
      return false;
    }
    const key = queueKey(from, to, lane);
    let queue = this.#queues.get(key);
    if (queue === undefined) this.#queues.set(key, (queue = { frames: [], bytes: 0 }));
    if (queue.bytes + frame.length > this.#queueBytesMax) return false;
    queue.frames.push(frame);
    queue.bytes += frame.length;
    this.#schedule(() => this.#deliver(queue, from, to, lane));
    return true;
  }

  /** Delivers the oldest frame of a lane: which one was sent with this call does not matter. */
  #deliver(queue: Queue, from: NodeId, to: NodeId, lane: Lane): void {
    const frame = queue.frames.shift();
    if (frame === undefined) return;
    queue.bytes -= frame.length;
    this.#receivers.get(to)?.onFrame(from, lane, frame);
  }

  /** What `node` has sent to `peer`, or `peer` to `node`, is lost; `node` is told. */
  #breakConnections(node: NodeId, peer: NodeId): void {
    for (const lane of ['control', 'bulk'] as const) {
      for (const key of [queueKey(node, peer, lane), queueKey(peer, node, lane)]) {
        const queue = this.#queues.get(key);
        if (queue === undefined) continue;
        queue.frames = [];
        queue.bytes = 0;
        // Deliveries under way find the old queue, which stays empty.
        this.#queues.delete(key);
      }
    }
    const receiver = this.#receivers.get(node);
    if (receiver !== undefined && node !== peer) this.#schedule(() => this.#tell(node, receiver, peer));
  }

  #tell(node: NodeId, receiver: PeerReceiver, peer: NodeId): void {
    if (this.#receivers.get(node) === receiver) receiver.onUnreachable(peer);
  }
}

function queueKey(from: NodeId, to: NodeId, lane: Lane): string {
  return JSON.stringify([from, to, lane]);
}

function pairKey(a: NodeId, b: NodeId): string {
  return JSON.stringify(a < b ? [a, b] : [b, a]);
}
