// One `Kv.Pipeline` stream in gRPC's wire format on a node:http2 core stream: operation frames out, result frames in.
// Generic RPC layers cost about ten times what HTTP/2 itself costs (a promise and several objects a message), and this is
// the path of every get and put.
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2';
import { LIMITS, MessageSplitter, ProtocolError } from 'norikv-protocol';
import { FrameReader, type ResultListener } from './frame-reader.js';
import { FrameWriter } from './frame-writer.js';
import { InFlight } from './in-flight.js';
import { type Operation, STATE } from './operation.js';
import type { OperationQueue } from './operation-queue.js';
import type { WriteIdentity } from './write-identity.js';

/** Frames are cut at about so many bytes: larger ones gain nothing and delay what is behind them. */
const FRAME_BYTES = 128 * 1024;
const FRAME_ROWS = 512;
/** What may wait in the stream's own buffer, unsent. */
const UNSENT_BYTES_MAX = 1024 * 1024;
/** Rows sent and not answered. */
const IN_FLIGHT_ROWS_MAX = 16_384;
/** So many unanswered rows that nobody waits for any more: the node answers pings, but does not work. */
const FORGOTTEN_MAX = 65_536;
const ID_WRAP = 0xfff0_0000;

/** Why a stream ended. `status`: the gRPC status, if the node gave one other than OK. */
export interface StreamEnd {
  readonly message: string;
  readonly status: number | undefined;
}

/** What a pipeline needs of its channel. */
export interface PipelineHost extends ResultListener {
  readonly identity: WriteIdentity;
  /** Of the node. */
  readonly address: string;
  readonly inFlightBytesMax: number;
  /** Milliseconds of the client's clock. */
  now(): number;
  /** A valid result frame has arrived. */
  onProgress(): void;
  /** There is room again for what waits in the queue. */
  onRoom(): void;
  /** The stream is of no more use. Called once; not after {@link Pipeline.close}. */
  onEnd(end: StreamEnd): void;
  framesSent(rows: number): void;
}

/** A stream of frames. */
export class Pipeline {
  readonly #host: PipelineHost;
  readonly #stream: ClientHttp2Stream;
  readonly #writer: FrameWriter;
  readonly inFlight = new InFlight();
  #nextId = 1;
  #ended = false;
  #blocked = false;
  /** Ids to be cancelled with the next frame that is not large. */
  readonly #cancels: number[] = [];
  #status: number | undefined;
  #statusMessage = '';

  constructor(session: ClientHttp2Session, host: PipelineHost) {
    this.#host = host;
    this.#writer = new FrameWriter(host.identity);
    this.#stream = session.request(
      {
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: '/norikv.v1.Kv/Pipeline',
        [constants.HTTP2_HEADER_AUTHORITY]: host.address,
        [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc+proto',
        [constants.HTTP2_HEADER_TE]: 'trailers',
        [constants.HTTP2_HEADER_USER_AGENT]: 'norikv-client',
      },
      { endStream: false },
    );
    const reader = new FrameReader(this.inFlight, host);
    const splitter = new MessageSplitter((message) => {
      reader.read(message, host.now());
      host.onProgress();
    }, LIMITS.responseBytesMax);
    this.#stream.on('response', (headers) => {
      const status = Number(headers[constants.HTTP2_HEADER_STATUS]);
      if (status !== 200) this.#end(`The node answered with HTTP status ${status}`);
      else this.#readStatus(headers);
    });
    this.#stream.on('trailers', (headers) => this.#readStatus(headers));
    this.#stream.on('data', (chunk: Buffer) => {
      if (this.#ended) return;
      try {
        splitter.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.#end(error.message);
        return;
      }
      if (this.#blocked) this.#unblock();
    });
    this.#stream.on('drain', () => {
      if (this.#blocked) this.#unblock();
    });
    this.#stream.on('error', (error) => this.#end(error.message));
    this.#stream.on('end', () => this.#end('The node ended the stream'));
    this.#stream.on('close', () => this.#end('The stream was closed'));
  }

  /** Sends as much of the queue as there is room for. */
  flush(queue: OperationQueue): void {
    if (this.#ended) return;
    const writer = this.#writer;
    const now = Math.floor(this.#host.now());
    for (;;) {
      if (!this.#hasRoom()) {
        this.#blocked = true;
        break;
      }
      const firstId = this.#nextId;
      let bytes = 0;
      for (let operation = queue.peek(); operation !== undefined; operation = queue.peek()) {
        const count = operation.rowCount;
        const rows = writer.rows;
        if (rows > 0 && (rows + count > FRAME_ROWS || bytes + operation.bytes > FRAME_BYTES)) break;
        queue.shift();
        this.#add(operation, firstId + rows, now);
        bytes += operation.bytes;
      }
      if (writer.rows === 0) break;
      this.#write(firstId, bytes <= FRAME_BYTES);
    }
    while (this.#cancels.length > 0) this.#write(this.#nextId, true);
  }

  /** Lets go of an operation that was sent; `cancel`: and says so to the node with the next flush. */
  release(operation: Operation, cancel: boolean): void {
    this.inFlight.forget(operation);
    if (cancel && !this.#ended) {
      for (let row = 0; row < operation.rowCount; row++) this.#cancels.push(operation.id + row);
    }
    if (this.inFlight.forgotten > FORGOTTEN_MAX) this.#end('The node takes operations but does not answer them');
  }

  /** Sends no more; the node answers what it has and ends the stream. */
  drain(): void {
    this.#stream.end();
  }

  /** Ends the stream without telling the host. */
  close(): void {
    this.#ended = true;
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #hasRoom(): boolean {
    return (
      this.inFlight.rows < IN_FLIGHT_ROWS_MAX &&
      this.inFlight.bytes < this.#host.inFlightBytesMax &&
      this.#stream.writableLength < UNSENT_BYTES_MAX
    );
  }

  #unblock(): void {
    if (!this.#hasRoom()) return;
    this.#blocked = false;
    this.#host.onRoom();
  }

  #add(operation: Operation, id: number, now: number): void {
    this.#writer.add(operation, now);
    operation.state = STATE.sent;
    operation.id = id;
    operation.attemptMs = now;
    if (operation.firstSentMs < 0) operation.firstSentMs = now;
    if (operation.rows !== undefined) operation.expectRows();
    this.inFlight.add(operation);
  }

  /** @param cancels attach ids to be cancelled: not to a frame that may be near the limit of a request already */
  #write(firstId: number, cancels: boolean): void {
    const rows = this.#writer.rows;
    if (cancels && this.#cancels.length > 0) this.#writer.cancel(this.#cancels.splice(0, LIMITS.frameRowsMax));
    this.#nextId = firstId + rows >= ID_WRAP ? 1 : firstId + rows;
    this.#stream.write(this.#writer.take(firstId));
    this.#host.framesSent(rows);
  }

  #readStatus(headers: Record<string, unknown>): void {
    const status = headers['grpc-status'];
    if (status === undefined) return;
    this.#status = Number(status);
    this.#statusMessage = decodeMessage(String(headers['grpc-message'] ?? ''));
  }

  #end(message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const failed = this.#status !== undefined && this.#status !== 0;
    const said = failed && this.#statusMessage !== '' ? this.#statusMessage : message;
    this.#stream.close(constants.NGHTTP2_CANCEL);
    this.#host.onEnd({ message: said, status: failed ? this.#status : undefined });
  }
}

const decodeMessage = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};
