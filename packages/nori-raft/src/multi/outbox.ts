// Messages of one turn, gathered per node and lane, so that each peer gets one frame a lane and turn.
import type { Message, MessageType } from '../types.js';
import { FrameEncoder } from './frame-codec.js';
import type { Lane, NodeId, PeerTransport } from './ports.js';
import type { HeartbeatNumbers } from './rest-table.js';

/** What tells whether a leader is alive, or makes one, must not wait behind entries. */
const BULK: ReadonlySet<MessageType> = new Set(['append', 'snapshot', 'propose']);
/** A frame is sent when it has grown to this, so that it does not occupy a connection for long. */
const FRAME_BYTES = 256 * 1024;

interface Peer {
  readonly control: FrameEncoder;
  readonly bulk: FrameEncoder;
}

export class Outbox {
  readonly #transport: PeerTransport;
  readonly #peers = new Map<NodeId, Peer>();
  /** Peers that have something to be sent. */
  readonly #open = new Set<NodeId>();
  framesSent = 0;
  framesDropped = 0;

  constructor(transport: PeerTransport) {
    this.#transport = transport;
  }

  add(to: NodeId, groupId: number, message: Message): void {
    const peer = this.#peer(to);
    // An append without entries tells the commit index: it is small, but must not overtake the entries before it.
    const lane: Lane = BULK.has(message.type) ? 'bulk' : 'control';
    const encoder = peer[lane];
    if (!encoder.offer(groupId, message)) {
      if (encoder.messageCount > 0) this.#send(to, lane, encoder);
      encoder.add(groupId, message);
    }
    if (encoder.bytes >= FRAME_BYTES) this.#send(to, lane, encoder);
    else this.#open.add(to);
  }

  /** As {@link Outbox.add}, without a message. */
  addHeartbeat(to: NodeId, heartbeat: HeartbeatNumbers): void {
    const { control } = this.#peer(to);
    if (control.bytes >= FRAME_BYTES || !control.fitsHeartbeat) this.#send(to, 'control', control);
    control.addHeartbeat(heartbeat.isAnswer, heartbeat.groupId, heartbeat);
    this.#open.add(to);
  }

  #peer(to: NodeId): Peer {
    let peer = this.#peers.get(to);
    if (peer === undefined) {
      peer = { control: new FrameEncoder(), bulk: new FrameEncoder() };
      this.#peers.set(to, peer);
    }
    return peer;
  }

  get isEmpty(): boolean {
    return this.#open.size === 0;
  }

  /** Sends what has been gathered. */
  flush(): void {
    for (const to of this.#open) {
      const { control, bulk } = this.#peers.get(to)!;
      if (control.messageCount > 0) this.#send(to, 'control', control);
      if (bulk.messageCount > 0) this.#send(to, 'bulk', bulk);
    }
    this.#open.clear();
  }

  #send(to: NodeId, lane: Lane, encoder: FrameEncoder): void {
    const frame = encoder.finish();
    let isSent = false;
    try {
      isSent = this.#transport.send(to, lane, frame);
    } catch {
      // Not worth the log, whose writes end in the same turn: what a transport does not send is lost, as on any network.
    }
    if (isSent) this.framesSent++;
    else this.framesDropped++;
  }
}
