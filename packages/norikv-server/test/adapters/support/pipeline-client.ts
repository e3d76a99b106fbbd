// A pipeline client on core HTTP/2 streams for tests: sends frames, or bytes that are none, and gathers what comes back.
import http2 from 'node:http2';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  type ErrorDetail,
  frameMessage,
  MessageSplitter,
  OperationFrameSchema,
  type ResultFrame,
  ResultFrameSchema,
} from 'norikv-protocol';
import { eventually } from './ports.js';

export const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

/** One row of a result, whatever frame it came in. */
export interface Row {
  readonly status: number;
  readonly value: Uint8Array | undefined;
  readonly term: number;
  readonly index: number;
  readonly error: ErrorDetail | undefined;
}

/** Adds the rows of a frame to `rows`; `isGet` tells which rows have values. */
export const collectRows = (frame: ResultFrame, rows: Map<number, Row>, isGet: (id: number) => boolean): void => {
  let values = 0;
  let errors = 0;
  frame.ids.forEach((id, i) => {
    const status = frame.statuses[i]!;
    rows.set(id, {
      status,
      value: status === 0 && isGet(id) ? frame.values[values++] : undefined,
      term: frame.terms[i] ?? frame.term,
      index: frame.indexes[i]!,
      error: status === 2 ? frame.errors[errors++] : undefined,
    });
  });
};

export type FrameInit = MessageInitShape<typeof OperationFrameSchema>;

export class PipelineClient {
  readonly session: http2.ClientHttp2Session;
  readonly stream: http2.ClientHttp2Stream;
  readonly frames: ResultFrame[] = [];
  readonly rows = new Map<number, Row>();
  readonly #gets = new Set<number>();
  headers: http2.IncomingHttpHeaders | undefined;
  trailers: http2.IncomingHttpHeaders | undefined;
  closed = false;

  constructor(url: string, session = http2.connect(url), headers: http2.OutgoingHttpHeaders = {}) {
    this.session = session;
    session.setMaxListeners(0).on('error', () => {});
    this.stream = session.request({
      ':method': 'POST',
      ':path': '/norikv.v1.Kv/Pipeline',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    const splitter = new MessageSplitter((message) => {
      const frame = fromBinary(ResultFrameSchema, message);
      this.frames.push(frame);
      collectRows(frame, this.rows, (id) => this.#gets.has(id));
    }, 8 << 20);
    this.stream.on('response', (received) => (this.headers = received));
    this.stream.on('trailers', (received) => (this.trailers = received));
    this.stream.on('data', (chunk: Buffer) => splitter.push(new Uint8Array(chunk)));
    this.stream.on('error', () => {});
    this.stream.on('close', () => (this.closed = true));
  }

  send(frame: FrameInit): void {
    const message = create(OperationFrameSchema, frame);
    message.kinds.forEach((kind, row) => {
      if (kind === 1) this.#gets.add(message.firstId + row);
    });
    this.stream.write(frameMessage(toBinary(OperationFrameSchema, message)));
  }

  /** Resolves when so many rows have been answered. */
  answered(count: number): Promise<void> {
    return eventually(() => this.rows.size >= count);
  }

  /** Resolves with the trailers when the stream has ended. */
  async ended(): Promise<http2.IncomingHttpHeaders> {
    await eventually(() => this.closed);
    return this.trailers ?? {};
  }

  destroy(): void {
    this.session.destroy();
  }
}
