// A connection that another node has dialled, for what that node sends:
//
//   hello ──answer──▶ confirmation ──▶ open ──▶ ended
//     └──────refused──────┴─────────────────────▶ ended
import { RaftError } from '../errors.js';
import type { Lane, NodeId } from '../multi/ports.js';
import { FrameStreamReader, LENGTH_BYTES, SIGN_OF_LIFE } from './frame-stream.js';
import {
  decodeAnswer,
  decodeHello,
  type HandshakeMessage,
  HandshakeReader,
  type Hello,
  PROTOCOL_VERSION,
  type Verdict,
} from './handshake-codec.js';
import { LifeWatch } from './life-watch.js';
import type { DisconnectReason, RefusalReason } from './peer-events.js';
import { addressOf, certificateProblem, describeError, plainBytes, type Socket } from './sockets.js';
import type { TransportContext } from './transport-context.js';

/** What a connection needs of its transport. */
export interface IncomingHost {
  isPeer(nodeId: NodeId): boolean;
  isReadingPaused(lane: Lane): boolean;
  /** The handshake is complete: from here on it stands for (peer, lane). */
  opened(connection: IncomingConnection): void;
  ended(connection: IncomingConnection): void;
}

export class IncomingConnection {
  readonly #context: TransportContext;
  readonly #host: IncomingHost;
  readonly #socket: Socket;
  readonly #address: string;
  readonly #frames: FrameStreamReader;
  #state: 'hello' | 'confirmation' | 'open' | 'ended' = 'hello';
  #handshake = new HandshakeReader();
  #hello: Hello | undefined;
  #timer: { cancel(): void } | undefined;
  #life: LifeWatch | undefined;
  #lastError = '';

  constructor(context: TransportContext, host: IncomingHost, socket: Socket) {
    this.#context = context;
    this.#host = host;
    this.#socket = socket;
    this.#address = addressOf(socket);
    const { clock, connectTimeoutMs, frameBytesMax } = context.options;
    this.#frames = new FrameStreamReader(frameBytesMax, (frame) => this.#receive(frame));
    this.#timer = clock.setTimer(connectTimeoutMs, () => {
      this.#refused('us', 'timeout', `no agreement after ${connectTimeoutMs} ms`);
      socket.destroy();
    });
    socket.on('error', (error) => {
      this.#lastError = describeError(error);
    });
    socket.on('close', () => this.#closed());
    socket.on('data', (chunk: Uint8Array) => this.#read(plainBytes(chunk)));
  }

  /** Who is at the other end; known once the connection is open. */
  get peer(): NodeId {
    return this.#hello!.from;
  }

  get lane(): Lane {
    return this.#hello!.lane;
  }

  pauseReading(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    // Bytes that wait are read before the next interval ends.
    if (this.#life !== undefined) this.#life.heard = true;
    this.#socket.resume();
  }

  /** Ends it, for a reason that the other side may guess. */
  end(reason: DisconnectReason, detail: string): void {
    if (this.#state !== 'open') return;
    this.#stop();
    this.#socket.destroy();
    const { peer, lane } = this;
    this.#context.emit({ type: 'disconnected', peer, lane, direction: 'in', reason, detail });
  }

  #read(bytes: Uint8Array): void {
    if (this.#life !== undefined) this.#life.heard = true;
    if (this.#state === 'open') this.#readFrames(bytes);
    else if (this.#state !== 'ended') this.#readHandshake(bytes);
  }

  #readHandshake(bytes: Uint8Array): void {
    const message = this.#handshake.push(bytes);
    if (message === undefined) return;
    if (message === 'bad') {
      this.#refused('us', 'malformed', 'what was sent is no handshake');
      this.#socket.destroy();
      return;
    }
    this.#handshake = new HandshakeReader();
    if (this.#state === 'hello') this.#greet(message);
    else this.#confirm(message);
    // What came behind this message belongs to the next step.
    if (message.rest.length > 0) this.#read(message.rest);
  }

  #greet({ version, body }: HandshakeMessage): void {
    if (version !== PROTOCOL_VERSION) {
      this.#refuse('version', `its protocol is ${version}, ours ${PROTOCOL_VERSION}`);
      return;
    }
    const hello = decodeHello(body);
    if (hello === undefined) {
      this.#refuse('malformed', 'the hello is unreadable');
      return;
    }
    this.#hello = hello;
    const problem = this.#problemOf(hello);
    if (problem !== undefined) {
      this.#refuse(...problem);
      return;
    }
    this.#state = 'confirmation';
    this.#socket.write(this.#context.answer('accepted', ''));
  }

  #problemOf({ clusterId, from, to, incarnation }: Hello): [Exclude<Verdict, 'accepted'>, string] | undefined {
    const { options } = this.#context;
    const { nodeId } = options;
    if (clusterId !== options.clusterId) {
      return ['cluster', `"${nodeId}" is of cluster "${options.clusterId}", "${from}" of "${clusterId}"`];
    }
    if (from === nodeId) return ['self', `"${nodeId}" has reached itself, or another node with its id`];
    if (to !== nodeId) return ['wrong-node', `this is "${nodeId}", not "${to}"`];
    if (!this.#host.isPeer(from)) return ['unknown-node', `"${nodeId}" does not know "${from}"`];
    const problem = certificateProblem(options, this.#socket, from);
    if (problem !== undefined) return ['certificate', problem];
    if (!this.#context.accepts(from, incarnation)) {
      return ['incarnation', `log "${incarnation}" of "${from}" is not the one it had before`];
    }
    return undefined;
  }

  #confirm({ version, body }: HandshakeMessage): void {
    const answer = version === PROTOCOL_VERSION ? decodeAnswer(body) : undefined;
    if (answer === undefined) {
      this.#refused('us', 'malformed', 'the confirmation is unreadable');
      this.#socket.destroy();
      return;
    }
    if (answer.verdict !== 'accepted') {
      this.#refused('peer', answer.verdict, answer.detail);
      this.#socket.destroy();
      return;
    }
    // The list of peers may have changed since the hello.
    if (!this.#host.isPeer(this.peer)) {
      this.#refused('us', 'unknown-node', `"${this.peer}" is not a peer any more`);
      this.#socket.destroy();
      return;
    }
    this.#open();
  }

  #open(): void {
    const { clock, lifeIntervalMs } = this.#context.options;
    const { peer, lane } = this;
    this.#timer?.cancel();
    this.#state = 'open';
    this.#life = new LifeWatch(
      clock,
      lifeIntervalMs,
      () => {
        // Nothing can be heard while nothing is read.
        if (this.#socket.isPaused()) this.#life!.heard = true;
        if (this.#socket.writableLength === 0) this.#socket.write(SIGN_OF_LIFE);
      },
      () => this.end('silent', 'nothing was heard from it'),
    );
    this.#context.remember(peer, this.#hello!.incarnation);
    if (this.#host.isReadingPaused(lane)) this.#socket.pause();
    this.#host.opened(this);
    this.#context.emit({ type: 'connected', peer, lane, direction: 'in' });
  }

  #readFrames(bytes: Uint8Array): void {
    try {
      this.#frames.push(bytes, () => this.#state === 'open');
    } catch (error) {
      if (!(error instanceof RaftError && error.code === 'RAFT_BAD_FRAME')) throw error;
      this.end('bad-bytes', error.message);
    }
  }

  #receive(frame: Uint8Array): void {
    const { counters, receiver, closing } = this.#context;
    if (closing) return;
    counters.framesReceived++;
    counters.bytesReceived += frame.length + LENGTH_BYTES;
    receiver?.onFrame(this.peer, this.lane, frame);
  }

  /** Says why, then closes. */
  #refuse(reason: Exclude<Verdict, 'accepted'>, detail: string): void {
    this.#socket.end(this.#context.answer(reason, detail));
    this.#context.destroyLater(this.#socket);
    this.#refused('us', reason, detail);
  }

  #refused(by: 'us' | 'peer', reason: RefusalReason, detail: string): void {
    this.#stop();
    const peer = this.#hello?.from;
    this.#context.emit({ type: 'refused', by, direction: 'in', peer, reason, detail, address: this.#address });
  }

  #closed(): void {
    if (this.#state === 'open') this.end(this.#lastError === '' ? 'closed' : 'error', this.#lastError);
    // Before it was open: it left without a word, and nobody counts on it.
    else if (this.#state !== 'ended') this.#stop();
  }

  #stop(): void {
    this.#state = 'ended';
    this.#timer?.cancel();
    this.#life?.stop();
    this.#host.ended(this);
  }
}
