// `Kv.Pipeline` on a node:http2 core stream, in the gRPC wire format: the hot path of the node.
//
//   open ──client half-closes──> finishing ──all answered──> ended (OK)
//     │ └──drain()─────────────> finishing ──all answered──> ended (UNAVAILABLE)
//     ├──malformed bytes───────────────────────────────────> ended (INVALID_ARGUMENT)
//     └──reset, connection lost────────────────────────────> gone
//
// Back-pressure: while the runner is full (too many operations under way, or too many bytes waiting to be sent), nothing
// more is read, so that the flow control of HTTP/2 stops the caller.
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Clock } from 'nori-io';
import { MessageSplitter } from 'norikv-protocol';
import { NodeError } from '../../domain/node-error.js';
import { toNodeError } from './error-details.js';
import { grpcTrailers } from './grpc-status.js';
import { OperationFrameDecoder } from './operation-frame-decoder.js';
import { OperationRunner, type RunnerContext, type RunnerOutput } from './operation-runner.js';
import type { ResultColumns } from './result-columns.js';

/** Bytes that may wait to be sent before the stream stops to read. */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;

const decoder = new OperationFrameDecoder();

/** Serves one stream from its headers to its end. */
export class PipelineStream implements RunnerOutput {
  readonly #stream: ServerHttp2Stream;
  readonly #clock: Clock;
  readonly #runner: OperationRunner;
  readonly #splitter: MessageSplitter;
  readonly #onEnded: (stream: PipelineStream) => void;
  #paused = false;
  /** Set when nothing more is read: what the stream ends with once all is answered. */
  #finishing: { readonly error: NodeError | undefined } | undefined;
  #trailers: Record<string, string> | undefined;
  /** When the last bytes came, or reading went on, in the middle of a message; infinity: between messages. */
  #partialSinceMs = Number.POSITIVE_INFINITY;

  /** @param onEnded called once, when the stream is closed */
  constructor(stream: ServerHttp2Stream, context: RunnerContext, onEnded: (stream: PipelineStream) => void) {
    this.#stream = stream;
    this.#clock = context.clock;
    this.#onEnded = onEnded;
    this.#runner = new OperationRunner({ ...context, output: this });
    this.#splitter = new MessageSplitter((message) => this.#runner.submit(decoder.decode(message)));
    stream.on('error', ignore);
    stream.on('close', () => this.#closed());
    stream.on('wantTrailers', () => this.#sendTrailers());
    stream.on('drain', () => this.#runner.advance());
    stream.on('data', (chunk: Uint8Array) => this.#read(chunk));
    stream.on('end', () => this.#inputEnded());
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc+proto', 'grpc-accept-encoding': 'identity' },
      { waitForTrailers: true },
    );
  }

  get congested(): boolean {
    return this.#stream.writableLength > OUTPUT_BYTES_MAX;
  }

  write(results: ResultColumns): void {
    if (!this.#stream.destroyed && this.#trailers === undefined) this.#stream.write(results.toGrpcMessage());
  }

  settled(): void {
    this.#balance();
  }

  /** Reads no more; answers what was read, then ends with `UNAVAILABLE`. */
  drain(): void {
    this.#finish(new NodeError('UNAVAILABLE', 'The node is shutting down; connect to another or try again'));
  }

  /** Ends the stream if half a message has been waiting for its other half for `timeoutMs`, and not for this node. */
  endIfStalled(nowMs: number, timeoutMs: number): void {
    if (this.#paused || nowMs - this.#partialSinceMs <= timeoutMs) return;
    this.#fail(new NodeError('DEADLINE_EXCEEDED', `Half a message arrived, and no more of it for ${timeoutMs} ms`));
  }

  #read(chunk: Uint8Array): void {
    if (this.#finishing !== undefined || this.#trailers !== undefined) return;
    this.#runner.cork();
    try {
      this.#splitter.push(chunk);
      this.#runner.uncork();
    } catch (error) {
      this.#fail(toNodeError(error));
      return;
    }
    this.#partialSinceMs = this.#splitter.pendingBytes === 0 ? Number.POSITIVE_INFINITY : this.#clock.monotonic();
    this.#balance();
  }

  /** Reads, stops reading or ends the stream, as the runner's state asks for. */
  #balance(): void {
    if (this.#finishing !== undefined && this.#runner.idle) {
      this.#end(this.#finishing.error);
      return;
    }
    const full = this.#runner.full;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) {
      this.#stream.pause();
      return;
    }
    // The rest of a message could not come before: its time begins now.
    if (this.#partialSinceMs !== Number.POSITIVE_INFINITY) this.#partialSinceMs = this.#clock.monotonic();
    this.#stream.resume();
  }

  #inputEnded(): void {
    if (this.#splitter.pendingBytes > 0) {
      this.#fail(new NodeError('INVALID_ARGUMENT', 'The stream ended in the middle of a message'));
    } else this.#finish(undefined);
  }

  #finish(error: NodeError | undefined): void {
    if (this.#finishing !== undefined) return;
    this.#finishing = { error };
    this.#partialSinceMs = Number.POSITIVE_INFINITY;
    this.#balance();
  }

  #fail(error: NodeError): void {
    this.#runner.close();
    this.#end(error);
  }

  #end(error: NodeError | undefined): void {
    if (this.#trailers !== undefined || this.#stream.destroyed) return;
    this.#trailers = grpcTrailers(error);
    this.#partialSinceMs = Number.POSITIVE_INFINITY;
    this.#stream.resume();
    this.#stream.end();
  }

  #sendTrailers(): void {
    this.#stream.sendTrailers(this.#trailers ?? grpcTrailers(undefined));
    // A caller that is still sending is told to stop, after the trailers.
    this.#clock.nextTurn(() => this.#stream.close(constants.NGHTTP2_NO_ERROR));
  }

  #closed(): void {
    this.#runner.close();
    this.#onEnded(this);
  }
}

const ignore = (): void => {};
