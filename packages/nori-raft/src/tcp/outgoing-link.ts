// What a node sends to one peer on one lane: a connection that it dials, again and again, and a bounded queue before it.
//
//   waiting ──dial──▶ connecting ──accepted──▶ open
//      ▲                  │                     │
//      └──────────────────┴────── failed ◀──────┘          any of them ──close──▶ closed
//
// Frames are accepted while connecting and open. Whatever ends a connection also loses its queue: Raft sends again.
import { RaftError } from '../errors.js';
import type { Lane, NodeId } from '../multi/ports.js';
import { FrameStreamReader, framesToWrite, LENGTH_BYTES, SIGN_OF_LIFE } from './frame-stream.js';
import {
  type Answer,
  decodeAnswer,
  encodeHello,
  HandshakeReader,
  PROTOCOL_VERSION,
  type Verdict,
} from './handshake-codec.js';
import { LifeWatch } from './life-watch.js';
import type { PeerAddress } from './peer-address.js';
import type { DisconnectReason, RefusalReason } from './peer-events.js';
import { addressOf, describeError, dial, plainBytes, type Socket } from './sockets.js';
import type { TransportContext } from './transport-context.js';

/** Bytes written at once; at least one frame. What waits behind them is not the operating system's yet. */
const WRITE_BYTES_MAX = 1024 * 1024;

export class OutgoingLink {
  readonly #context: TransportContext;
  readonly #peer: NodeId;
  readonly #lane: Lane;
  readonly #address: PeerAddress;
  readonly #queueBytesMax: number;
  #state: 'waiting' | 'connecting' | 'open' | 'closed' = 'waiting';
  #socket: Socket | undefined;
  /** Retry, or the time a handshake may take. */
  #timer: { cancel(): void } | undefined;
  #life: LifeWatch | undefined;
  #failures = 0;
  #openedMs = 0;
  #lastError = '';
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writing = false;
  #flushScheduled = false;
  #wroteInInterval = false;
  #resolveDrained: (() => void) | undefined;

  constructor(context: TransportContext, peer: NodeId, lane: Lane, address: PeerAddress) {
    this.#context = context;
    this.#peer = peer;
    this.#lane = lane;
    this.#address = address;
    const { controlQueueBytesMax, bulkQueueBytesMax } = context.options;
    this.#queueBytesMax = lane === 'control' ? controlQueueBytesMax : bulkQueueBytesMax;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  send(frame: Uint8Array): boolean {
    const { length } = frame;
    if (this.#state !== 'open' && this.#state !== 'connecting') return this.#drop(length, 'unreachable');
    if (this.#queuedBytes + length > this.#queueBytesMax) return this.#drop(length, 'queue-full');
    this.#queue.push(frame);
    this.#queuedBytes += length;
    // Frames of one turn go together; so do all that come while a write is under way.
    if (this.#state === 'open' && !this.#writing && !this.#flushScheduled) {
      this.#flushScheduled = true;
      queueMicrotask(() => {
        this.#flushScheduled = false;
        this.#flush();
      });
    }
    return true;
  }

  /** Tries to connect now: at first, and when there is a sign that the peer is back. */
  dial(): void {
    if (this.#state !== 'waiting') return;
    this.#timer?.cancel();
    this.#state = 'connecting';
    this.#lastError = '';
    const { options } = this.#context;
    const socket = dial(options, this.#peer, this.#address, () => {
      if (this.#socket === socket) socket.write(encodeHello(this.#context.hello(this.#peer, this.#lane)));
    });
    this.#socket = socket;
    this.#context.track(socket);
    this.#timer = options.clock.setTimer(options.connectTimeoutMs, () => {
      this.#lastError = `no agreement after ${options.connectTimeoutMs} ms`;
      socket.destroy();
    });
    const handshake = new HandshakeReader();
    let signs: FrameStreamReader | undefined;
    socket.on('error', (error) => {
      if (this.#lastError === '') this.#lastError = describeError(error);
    });
    socket.on('close', () => {
      if (this.#socket === socket) this.#disconnected(this.#lastError === '' ? 'closed' : 'error', this.#lastError);
    });
    socket.on('data', (chunk: Uint8Array) => {
      if (this.#socket !== socket) return;
      if (this.#life !== undefined) this.#life.heard = true;
      if (signs !== undefined) {
        this.#readSigns(signs, plainBytes(chunk));
        return;
      }
      const message = handshake.push(plainBytes(chunk));
      if (message === undefined) return;
      if (message === 'bad') {
        this.#refuse('malformed', 'the answer is no handshake');
        return;
      }
      if (message.version !== PROTOCOL_VERSION) {
        this.#refuse('version', `its protocol is ${message.version}, ours ${PROTOCOL_VERSION}`);
        return;
      }
      const answer = decodeAnswer(message.body);
      if (answer === undefined) {
        this.#refuse('malformed', 'the answer is unreadable');
        return;
      }
      if (!this.#agree(answer)) return;
      signs = new FrameStreamReader(0, () => {});
      this.#readSigns(signs, message.rest);
    });
  }

  /** Lets what is queued go out. Resolves when the peer has read it, or the connection has ended. */
  async close(): Promise<void> {
    if (this.#state !== 'open') {
      this.destroy();
      return;
    }
    const drained = new Promise<void>((resolve) => {
      this.#resolveDrained = resolve;
    });
    this.#flush();
    await drained;
  }

  /** Ends it at once. */
  destroy(): void {
    this.#state = 'closed';
    const socket = this.#socket;
    this.#forget();
    socket?.destroy();
  }

  /** The peer is not one any more, or has moved. */
  remove(): void {
    const wasOpen = this.#state === 'open';
    this.destroy();
    if (wasOpen) this.#tellDisconnected('removed', '');
  }

  /** @returns whether both sides agree now */
  #agree(answer: Answer): boolean {
    const { clusterId } = this.#context.options;
    const { nodeId, incarnation, verdict } = answer;
    if (verdict !== 'accepted') {
      this.#refused('peer', verdict, answer.detail);
      return false;
    }
    if (answer.clusterId !== clusterId) {
      this.#refuse('cluster', `"${this.#peer}" is of cluster "${answer.clusterId}", this node of "${clusterId}"`);
      return false;
    }
    if (nodeId !== this.#peer) {
      this.#refuse('wrong-node', `the node at this address is "${nodeId}", not "${this.#peer}"`);
      return false;
    }
    if (!this.#context.accepts(nodeId, incarnation)) {
      this.#refuse('incarnation', `log "${incarnation}" of "${nodeId}" is not the one it had before`);
      return false;
    }
    this.#opened(incarnation);
    return true;
  }

  #opened(incarnation: string): void {
    const { options } = this.#context;
    this.#timer?.cancel();
    this.#state = 'open';
    this.#openedMs = options.clock.monotonic();
    this.#socket!.write(this.#context.answer('accepted', ''));
    this.#life = new LifeWatch(
      options.clock,
      options.lifeIntervalMs,
      () => {
        if (!this.#wroteInInterval && this.#socket?.writableLength === 0) this.#socket.write(SIGN_OF_LIFE);
        this.#wroteInInterval = false;
      },
      () => this.#fail('silent', 'nothing was heard from it'),
    );
    this.#context.remember(this.#peer, incarnation);
    this.#context.emit({ type: 'connected', peer: this.#peer, lane: this.#lane, direction: 'out' });
    this.#flush();
  }

  #readSigns(signs: FrameStreamReader, bytes: Uint8Array): void {
    try {
      signs.push(bytes, () => true);
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
      this.#fail('bad-bytes', 'the side that accepts must not send frames');
    }
  }

  #flush(): void {
    const socket = this.#socket;
    if (this.#state !== 'open' || this.#writing || socket === undefined) return;
    if (this.#queue.length === 0) {
      if (this.#resolveDrained !== undefined) this.#endGently(socket);
      return;
    }
    const frames = this.#takeFrames();
    let bytes = 0;
    for (const { length } of frames) bytes += length;
    const pieces = framesToWrite(frames);
    this.#writing = true;
    this.#wroteInInterval = true;
    socket.cork();
    for (let i = 0; i < pieces.length - 1; i++) socket.write(pieces[i]!);
    socket.write(pieces[pieces.length - 1]!, (error) => {
      // An error also closes the socket, which has its own handler.
      if (this.#socket !== socket || error != null) return;
      const { counters } = this.#context;
      counters.framesSent += frames.length;
      counters.bytesSent += bytes + frames.length * LENGTH_BYTES;
      this.#queuedBytes -= bytes;
      this.#writing = false;
      this.#flush();
    });
    socket.uncork();
  }

  #takeFrames(): Uint8Array[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length) {
      bytes += this.#queue[count]!.length;
      if (count > 0 && bytes > WRITE_BYTES_MAX) break;
      count++;
    }
    if (count < this.#queue.length) return this.#queue.splice(0, count);
    const all = this.#queue;
    this.#queue = [];
    return all;
  }

  /** Everything is written: the peer closes its side when it has read it. */
  #endGently(socket: Socket): void {
    this.#state = 'closed';
    this.#forget();
    socket.once('close', () => this.#resolveDrained?.());
    socket.end();
  }

  /** Says why to the peer, then closes. */
  #refuse(reason: Exclude<Verdict, 'accepted'>, detail: string): void {
    this.#socket?.end(this.#context.answer(reason, detail));
    this.#refused('us', reason, detail);
  }

  #refused(by: 'us' | 'peer', reason: RefusalReason, detail: string): void {
    const socket = this.#socket!;
    const address = addressOf(socket);
    const peer = this.#peer;
    if (by === 'peer') socket.destroy();
    else this.#context.destroyLater(socket);
    this.#retry();
    this.#context.emit({ type: 'refused', by, direction: 'out', peer, reason, detail, address });
    this.#context.unreachable(peer);
  }

  #fail(reason: DisconnectReason, detail: string): void {
    const socket = this.#socket;
    this.#disconnected(reason, detail);
    socket?.destroy();
  }

  #disconnected(reason: DisconnectReason, detail: string): void {
    const wasOpen = this.#state === 'open';
    const retryMs = this.#retry();
    if (wasOpen) this.#tellDisconnected(reason, detail);
    else {
      const why = detail === '' ? 'it was closed' : detail;
      this.#context.emit({ type: 'dial-failed', peer: this.#peer, lane: this.#lane, detail: why, retryMs });
    }
    this.#context.unreachable(this.#peer);
  }

  #tellDisconnected(reason: DisconnectReason, detail: string): void {
    this.#context.emit({ type: 'disconnected', peer: this.#peer, lane: this.#lane, direction: 'out', reason, detail });
  }

  /** Forgets the connection and makes the next one later. @returns when */
  #retry(): number {
    const { clock, random, retryDelayMinMs, retryDelayMaxMs } = this.#context.options;
    // A connection that lasted was a good one.
    if (this.#state === 'open' && clock.monotonic() - this.#openedMs >= retryDelayMaxMs) this.#failures = 0;
    const delayMs = Math.min(retryDelayMaxMs, retryDelayMinMs * 2 ** Math.min(this.#failures, 30));
    const retryMs = delayMs * (0.5 + random() / 2);
    this.#failures++;
    this.#forget();
    if (this.#resolveDrained !== undefined) {
      this.#state = 'closed';
      this.#resolveDrained();
      return retryMs;
    }
    this.#state = 'waiting';
    this.#timer = clock.setTimer(retryMs, () => this.dial());
    return retryMs;
  }

  #forget(): void {
    this.#timer?.cancel();
    this.#life?.stop();
    this.#life = undefined;
    this.#socket = undefined;
    this.#context.counters.framesLost += this.#queue.length;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#writing = false;
  }

  #drop(bytes: number, reason: 'unreachable' | 'queue-full'): false {
    this.#context.emit({ type: 'dropped', peer: this.#peer, lane: this.#lane, bytes, reason });
    return false;
  }
}
