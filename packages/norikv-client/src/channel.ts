// The way to one store: a queue, and a connection with a pipeline that is made again whenever it ends.
//
//   connecting ──> ready ──> connecting (at once)
//       │  ^         │
//       v  │         v
//     waiting     closed                (backoff with jitter between failures)
//
// Operations gathered in one tick leave in one frame. With nothing under way they leave at the end of the running callback,
// which keeps a lone caller fast; under load at the end of the loop's turn, which makes frames full.
import type { Transport } from '@connectrpc/connect';
import type { ClusterView as ViewMessage } from 'norikv-protocol';
import { Connection } from './connection.js';
import { errorText, NoriError } from './errors.js';
import { type AttemptFailure, type Operation, type OperationHolder, STATE } from './operation.js';
import { OperationQueue } from './operation-queue.js';
import type { ResolvedOptions } from './options.js';
import { Pipeline, type PipelineHost, type StreamEnd } from './pipeline.js';
import { backoffMs } from './retry.js';
import type { ChannelStats } from './types.js';
import type { WriteIdentity } from './write-identity.js';

/** Rows that are sent at once when nothing is under way, so that the node works while the callers go on asking. */
const EAGER_ROWS = 64;

/** gRPC status of a stream that a draining node ends. Any other means that the node did not like what it got. */
const GRPC_UNAVAILABLE = 14;

/** What a channel needs of the client. */
export interface ChannelHost {
  readonly options: ResolvedOptions;
  readonly identity: WriteIdentity;
  now(): number;
  /** @throws NoriError to refuse the node */
  onView(channel: Channel, view: ViewMessage): void;
  onReady(channel: Channel): void;
  /** The connection has ended or could not be made; the channel will try again. */
  onDown(channel: Channel): void;
  succeeded(operation: Operation, result: unknown, nowMs: number): void;
  failed(operation: Operation, failure: AttemptFailure): void;
  /**
   * The stream ended after the operation was sent and before it was answered: what became of it is not known, whatever
   * status the stream ended with, since that speaks of the stream or of one frame in it.
   *
   * @param refused the node ended the stream for what was sent on it, perhaps another operation
   */
  lost(operation: Operation, message: string, refused: boolean): void;
  framesSent(rows: number): void;
}

/** A connection that comes back. */
export class Channel implements OperationHolder, PipelineHost {
  readonly address: string;
  readonly #host: ChannelHost;
  readonly #queue = new OperationQueue();
  #state: ChannelStats['state'] = 'connecting';
  #draining = false;
  #connection: Connection | undefined;
  #pipeline: Pipeline | undefined;
  #timer: NodeJS.Timeout | undefined;
  #scheduled = false;
  /** Connections in a row that brought no result. */
  #failures = 0;
  #connects = 0;
  #lastError: Error | undefined;

  constructor(address: string, host: ChannelHost) {
    this.address = address;
    this.#host = host;
    this.#connect();
  }

  get state(): ChannelStats['state'] {
    return this.#state;
  }

  /** Attempts in a row that failed; 0: none, or none yet. */
  get failures(): number {
    return this.#failures;
  }

  /** Why the last connection ended or could not be made. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** True if no operation is with the channel. */
  get idle(): boolean {
    return this.#queue.size === 0 && (this.#pipeline?.inFlight.rows ?? 0) === 0;
  }

  /** For calls beside the pipeline; undefined unless the channel is ready. */
  get transport(): Transport | undefined {
    return this.#state === 'ready' ? this.#connection?.transport : undefined;
  }

  get identity(): WriteIdentity {
    return this.#host.identity;
  }

  get inFlightBytesMax(): number {
    return this.#host.options.inFlightBytesMax;
  }

  /** Takes an operation, to be sent with the others of this tick, or when there is a connection. */
  enqueue(operation: Operation): void {
    operation.state = STATE.queued;
    operation.channel = this;
    this.#queue.push(operation);
    if (this.#pipeline === undefined || this.#draining) return;
    if (this.#queue.size >= EAGER_ROWS && this.#pipeline.inFlight.rows === 0) this.#flush();
    else this.#schedule();
  }

  release(operation: Operation, cancel: boolean): void {
    // The state is not set to done yet: it says where the operation is.
    if (operation.state === STATE.sent) {
      this.#pipeline?.release(operation, cancel);
      if (cancel) this.#schedule();
    } else {
      operation.state = STATE.done;
      this.#queue.noteDead();
    }
    operation.channel = undefined;
  }

  /** Takes back, of what waits and of what was sent, all that `isMoved` says. */
  takeMoved(isMoved: (operation: Operation) => boolean): Operation[] {
    const moved: Operation[] = [];
    for (const operation of this.#queue.takeAll()) {
      if (isMoved(operation)) moved.push(operation);
      else this.#queue.push(operation);
    }
    const pipeline = this.#pipeline;
    if (pipeline === undefined) return moved;
    for (const operation of pipeline.inFlight.operations()) {
      // Taking one back may have ended the connection, and with it given back the others.
      if (operation.state !== STATE.sent || operation.channel !== this || !isMoved(operation)) continue;
      pipeline.release(operation, true);
      moved.push(operation);
    }
    if (this.#pipeline !== undefined) this.#schedule();
    return moved;
  }

  /** Takes back what has not been sent. */
  takeQueued(): Operation[] {
    return this.#queue.takeAll();
  }

  stats(): ChannelStats {
    return {
      address: this.address,
      state: this.#state,
      queued: this.#queue.size,
      inFlight: this.#pipeline?.inFlight.rows ?? 0,
      reconnects: Math.max(0, this.#connects - 1),
      lastError: this.#lastError === undefined ? undefined : errorText(this.#lastError),
    };
  }

  /** Ends the connection for good. What is queued or in flight stays the owner's to settle. */
  close(): void {
    this.#state = 'closed';
    clearTimeout(this.#timer);
    this.#pipeline?.close();
    this.#connection?.close();
    this.#pipeline = undefined;
    this.#connection = undefined;
  }

  // What the pipeline calls.

  now(): number {
    return this.#host.now();
  }

  succeeded(operation: Operation, result: unknown, nowMs: number): void {
    this.#host.succeeded(operation, result, nowMs);
  }

  failed(operation: Operation, failure: AttemptFailure): void {
    this.#host.failed(operation, failure);
  }

  framesSent(rows: number): void {
    this.#host.framesSent(rows);
  }

  onProgress(): void {
    this.#failures = 0;
    this.#connection?.noteReceived();
  }

  onRoom(): void {
    this.#schedule();
  }

  onEnd(end: StreamEnd): void {
    const { message, status } = end;
    if (status === undefined) this.#down(new Error(message));
    else {
      const text = `The node ended the stream with gRPC status ${status}: ${message}`;
      this.#down(new Error(text), status !== GRPC_UNAVAILABLE);
    }
  }

  #connect(): void {
    this.#state = 'connecting';
    this.#draining = false;
    try {
      this.#connection = new Connection(this.address, this.#host.options, {
        onView: (view) => this.#host.onView(this, view),
        onReady: (session) => {
          this.#connects++;
          this.#state = 'ready';
          this.#pipeline = new Pipeline(session, this);
          this.#schedule();
          this.#host.onReady(this);
        },
        onDraining: () => {
          this.#draining = true;
          this.#pipeline?.drain();
        },
        onEnd: (error) => this.#down(error),
      });
    } catch (error) {
      queueMicrotask(() => this.#down(error as Error));
    }
  }

  #down(error: Error, refused = false): void {
    if (this.#state === 'closed') return;
    const wasReady = this.#state === 'ready';
    const sent = this.#pipeline?.inFlight.takeAll() ?? [];
    this.#pipeline?.close();
    this.#connection?.close();
    this.#pipeline = undefined;
    this.#connection = undefined;
    this.#lastError = error;
    this.#state = 'waiting';
    this.#reconnectLater(wasReady);
    for (const operation of sent) this.#host.lost(operation, errorText(error), refused);
    this.#host.onDown(this);
  }

  #reconnectLater(wasReady: boolean): void {
    const { reconnectDelayMinMs, reconnectDelayMaxMs } = this.#host.options;
    // A connection that worked is made again at once; one that never brought a result counts as a failure.
    const atOnce = wasReady && this.#failures === 0;
    this.#failures++;
    const delayMs = atOnce ? 0 : backoffMs(this.#failures, reconnectDelayMinMs, reconnectDelayMaxMs, Math.random);
    this.#timer = setTimeout(() => this.#connect(), delayMs);
  }

  #schedule(): void {
    if (this.#scheduled || this.#pipeline === undefined) return;
    this.#scheduled = true;
    // A nextTick from within a microtask runs when all microtasks have: it gathers the callers one answer has woken.
    if (this.#pipeline.inFlight.rows === 0) process.nextTick(this.#flushScheduled);
    else setImmediate(this.#flushScheduled);
  }

  readonly #flushScheduled = (): void => {
    this.#scheduled = false;
    this.#flush();
  };

  #flush(): void {
    if (!this.#draining) this.#pipeline?.flush(this.#queue);
  }
}

/** Whether a channel's error says that its node may not be used at all. */
export const isMismatch = (error: Error | undefined): error is NoriError =>
  error instanceof NoriError && error.code === 'CLUSTER_MISMATCH';
