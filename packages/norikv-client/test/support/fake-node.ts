// A node for tests of the client: speaks gRPC on node:http2 core streams, keeps values in a map, applies each write once,
// and misbehaves on demand.
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  ClusterViewSchema,
  ErrorCode,
  type ErrorDetail,
  ErrorDetailSchema,
  frameMessage,
  KEY_HASH_NAME,
  MessageSplitter,
  type OperationFrame,
  OperationFrameSchema,
  OperationReader,
  ResultFrameBuilder,
  ScanRequestSchema,
  ScanResponseSchema,
  validateOperationFrame,
  WatchClusterRequestSchema,
  WatchClusterResponseSchema,
} from 'norikv-protocol';

/** A row as the node got it. */
export interface ReceivedRow {
  readonly id: number;
  readonly kind: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly consistency: number;
  readonly timeoutMs: number;
  readonly sequence: number;
  readonly ageMs: number;
  readonly ttlMs: number;
  readonly ifAbsent: boolean;
  readonly ifVersion: { readonly term: number; readonly index: number } | undefined;
  readonly atomicCount: number;
  readonly client: string;
  readonly floor: number;
}

/** One Pipeline stream, as hooks see it. */
export interface PipelineCall {
  readonly node: FakeNode;
  readonly stream: ServerHttp2Stream;
  /** Answers rows as the node would have without a hook. */
  answer(rows: readonly ReceivedRow[]): void;
  /** Carries rows out without answering them. */
  apply(rows: readonly ReceivedRow[]): void;
  /** Sends a message. */
  send(message: Uint8Array): void;
}

/** A view; stores and leaders are those of this one node unless given. */
export interface ViewInit {
  readonly clusterId: Uint8Array;
  readonly epoch: bigint;
  readonly shardCount: number;
  readonly replicationFactor: number;
  readonly keyHash: string;
  readonly nodes: { nodeId: string; state: number; version?: string }[];
  readonly stores?: { nodeId: string; store: number; address: string }[];
  readonly shardLeaders?: number[];
  readonly shardTerms?: bigint[];
  readonly shardReplicaCounts?: number[];
  readonly shardReplicas?: number[];
}

type Outcome = (builder: ResultFrameBuilder, id: number) => void;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** An error as a node sends it. */
export const errorDetail = (
  code: keyof typeof ErrorCode,
  init: Omit<MessageInitShape<typeof ErrorDetailSchema>, 'code' | '$typeName' | '$unknown'> = {},
): ErrorDetail => create(ErrorDetailSchema, { message: `scripted ${code}`, ...init, code: ErrorCode[code] });

/** A scripted node. */
export class FakeNode {
  #server: Http2Server | undefined;
  #port = 0;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #watches = new Set<ServerHttp2Stream>();
  readonly #pipelines = new Set<ServerHttp2Stream>();
  readonly #data = new Map<string, { value: Uint8Array; term: number; index: number }>();
  readonly #outcomes = new Map<string, Outcome>();
  #index = 0;

  /** Rows in the order of arrival, and frames. */
  readonly rows: ReceivedRow[] = [];
  readonly frames: OperationFrame[] = [];
  readonly cancels: number[] = [];
  scans = 0;
  connections = 0;
  /** Replaces the answer to a frame. */
  onRows: ((rows: readonly ReceivedRow[], call: PipelineCall) => void) | undefined;
  /** Replaces the answer to a row, unless it returns undefined. */
  onRow: ((row: ReceivedRow) => ErrorDetail | 'silence' | undefined) | undefined;
  /** Called with each scan before it is answered; throws or returns a gRPC status to fail it. */
  onScan: ((count: number) => number | undefined) | undefined;
  /** Takes connections but never answers on them. */
  silent = false;
  view: ViewInit = {
    clusterId: new Uint8Array(16).fill(9),
    epoch: 1n,
    shardCount: 16,
    replicationFactor: 1,
    keyHash: KEY_HASH_NAME,
    nodes: [{ nodeId: 'n1', state: 1, version: '0.1.0' }],
  };

  static async start(init: Partial<Pick<FakeNode, 'view' | 'onRows' | 'onRow' | 'silent'>> = {}): Promise<FakeNode> {
    const node = new FakeNode();
    Object.assign(node, init);
    await node.listen();
    return node;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get keys(): string[] {
    return [...this.#data.keys()].map((key) => Buffer.from(key, 'hex').toString()).sort();
  }

  /** Listens, on the same port as before if it has listened before. */
  async listen(): Promise<void> {
    const server = createServer();
    server.on('session', (session) => {
      this.connections++;
      this.#sessions.add(session);
      session.on('error', () => {});
      session.on('close', () => this.#sessions.delete(session));
    });
    server.on('stream', (stream, headers) => this.#serve(stream, String(headers[':path'])));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Ends all connections and stops listening; data stays. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    this.dropConnections();
    await closed;
  }

  dropConnections(): void {
    for (const session of this.#sessions) session.destroy();
  }

  /** Does something bad to all pipelines. */
  endPipelines(misdeed: (stream: ServerHttp2Stream) => void): void {
    for (const pipeline of this.#pipelines) misdeed(pipeline);
  }

  /** Says that it goes away, as a draining node does. */
  goAway(): void {
    for (const session of this.#sessions) session.close();
    for (const watch of this.#watches) watch.end();
  }

  /** Changes the view and sends it to all who watch. */
  publish(change: Partial<ViewInit>): void {
    this.view = { ...this.view, epoch: this.view.epoch + 1n, ...change };
    for (const watch of this.#watches) this.#sendView(watch);
  }

  #sendView(stream: ServerHttp2Stream): void {
    const stores = this.view.stores ?? [{ nodeId: 'n1', store: 0, address: this.address }];
    const shardLeaders = this.view.shardLeaders ?? new Array(this.view.shardCount).fill(1);
    const view = create(ClusterViewSchema, { ...this.view, stores, shardLeaders });
    stream.write(frameMessage(toBinary(WatchClusterResponseSchema, create(WatchClusterResponseSchema, { view }))));
  }

  #serve(stream: ServerHttp2Stream, path: string): void {
    stream.on('error', () => {});
    if (this.silent) return;
    if (path.endsWith('/WatchCluster')) this.#serveWatch(stream);
    else if (path.endsWith('/Pipeline')) this.#servePipeline(stream);
    else if (path.endsWith('/Scan')) this.#serveScan(stream);
    else this.#finish(stream, 12);
  }

  #respond(stream: ServerHttp2Stream): void {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  }

  #finish(stream: ServerHttp2Stream, status: number): void {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc+proto', 'grpc-status': String(status) },
      { endStream: true },
    );
  }

  #serveWatch(stream: ServerHttp2Stream): void {
    this.#watches.add(stream);
    stream.on('close', () => this.#watches.delete(stream));
    const splitter = new MessageSplitter((message) => {
      const { knownEpoch } = fromBinary(WatchClusterRequestSchema, message);
      this.#respond(stream);
      if (this.view.epoch > knownEpoch) this.#sendView(stream);
    });
    stream.on('data', (chunk: Buffer) => splitter.push(new Uint8Array(chunk)));
  }

  #servePipeline(stream: ServerHttp2Stream): void {
    this.#respond(stream);
    this.#pipelines.add(stream);
    stream.on('close', () => this.#pipelines.delete(stream));
    const reader = new OperationReader();
    const call: PipelineCall = {
      node: this,
      stream,
      answer: (rows) => this.#answer(rows, stream),
      apply: (rows) => this.#carryOut(rows, new ResultFrameBuilder(), () => {}),
      send: (message) => {
        if (!stream.destroyed && !stream.writableEnded) stream.write(frameMessage(message));
      },
    };
    const splitter = new MessageSplitter((message) => {
      const frame = fromBinary(OperationFrameSchema, message);
      const wrong = validateOperationFrame(frame);
      if (wrong !== undefined) throw new Error(`The client sent a bad frame: ${wrong}`);
      this.frames.push(frame);
      this.cancels.push(...frame.cancels);
      const rows: ReceivedRow[] = [];
      reader.reset(frame);
      while (reader.next()) {
        const { id, kind, key, value, consistency, timeoutMs, sequence, ageMs, ttlMs, ifAbsent, atomicCount } = reader;
        const ifVersion = reader.ifVersion ? { term: reader.ifVersionTerm, index: reader.ifVersionIndex } : undefined;
        const who = { client: hex(frame.clientId), floor: frame.floor };
        const what = { id, kind, key, value, consistency, timeoutMs };
        rows.push({ ...what, sequence, ageMs, ttlMs, ifAbsent, ifVersion, atomicCount, ...who });
      }
      this.rows.push(...rows);
      if (rows.length === 0) return;
      if (this.onRows !== undefined) this.onRows(rows, call);
      else call.answer(rows);
    });
    stream.on('data', (chunk: Buffer) => splitter.push(new Uint8Array(chunk)));
    stream.on('end', () => stream.end());
  }

  #answer(rows: readonly ReceivedRow[], stream: ServerHttp2Stream): void {
    const builder = new ResultFrameBuilder();
    this.#carryOut(rows, builder, () => {
      if (builder.bytes > 1024 * 1024) stream.write(builder.take());
    });
    if (builder.rows > 0 && !stream.destroyed && !stream.writableEnded) stream.write(builder.take());
  }

  #carryOut(rows: readonly ReceivedRow[], builder: ResultFrameBuilder, onGroup: () => void): void {
    for (let at = 0; at < rows.length; ) {
      const group = rows.slice(at, at + Math.max(1, rows[at]!.atomicCount));
      at += group.length;
      this.#answerGroup(group, builder);
      onGroup();
    }
  }

  #answerGroup(group: readonly ReceivedRow[], builder: ResultFrameBuilder): void {
    const scripted = this.onRow?.(group[0]!);
    if (scripted === 'silence') return;
    if (scripted !== undefined) {
      for (const row of group) builder.failed(row.id, scripted);
      return;
    }
    const failure = group.map((row) => this.#check(row)).find((error) => error !== undefined);
    for (const [at, row] of group.entries()) {
      if (row.sequence === 0) {
        this.#apply(row, failure)(builder, row.id);
        continue;
      }
      const identity = `${row.client}:${row.sequence}:${at}`;
      let outcome = this.#outcomes.get(identity);
      if (outcome === undefined) {
        outcome = this.#apply(row, failure);
        this.#outcomes.set(identity, outcome);
      }
      outcome(builder, row.id);
    }
  }

  #check(row: ReceivedRow): ErrorDetail | undefined {
    const entry = this.#data.get(hex(row.key));
    const current = entry === undefined ? {} : { current: { term: BigInt(entry.term), index: BigInt(entry.index) } };
    if (row.ifAbsent && entry !== undefined) return errorDetail('ALREADY_EXISTS', current);
    if (row.ifVersion !== undefined && (entry?.term !== row.ifVersion.term || entry.index !== row.ifVersion.index)) {
      return errorDetail('VERSION_MISMATCH', current);
    }
    return undefined;
  }

  #apply(row: ReceivedRow, failure: ErrorDetail | undefined): Outcome {
    const key = hex(row.key);
    const entry = this.#data.get(key);
    if (failure !== undefined) return (builder, id) => builder.failed(id, failure);
    if (row.kind === 1) {
      return (builder, id) =>
        entry === undefined ? builder.absent(id) : builder.value(id, entry.value, entry.term, entry.index);
    }
    const index = ++this.#index;
    if (row.kind === 2) this.#data.set(key, { value: row.value.slice(), term: 1, index });
    else this.#data.delete(key);
    const existed = row.kind === 2 || entry !== undefined;
    return (builder, id) => builder.written(id, 1, index, existed);
  }

  #serveScan(stream: ServerHttp2Stream): void {
    const splitter = new MessageSplitter((message) => {
      this.scans++;
      const status = this.onScan?.(this.scans);
      if (status === -1) return;
      if (status !== undefined) {
        this.#finish(stream, status);
        return;
      }
      const request = fromBinary(ScanRequestSchema, message);
      const sign = request.reverse ? -1 : 1;
      const prefix = hex(request.prefix);
      const start = request.start === undefined ? undefined : hex(request.start);
      const end = request.end === undefined ? undefined : hex(request.end);
      const from = Number(Buffer.from(request.token).toString() || '0');
      const all = [...this.#data].filter(
        ([key]) =>
          key.startsWith(prefix) &&
          (start === undefined || (request.startExclusive ? key > start : key >= start)) &&
          (end === undefined || (request.endInclusive ? key <= end : key < end)),
      );
      all.sort(([a], [b]) => (a < b ? -sign : sign));
      const to = from + (request.limit || 1000);
      const entries = all.slice(from, to).map(([key, { value, term, index }]) => ({
        key: new Uint8Array(Buffer.from(key, 'hex')),
        value,
        version: { term: BigInt(term), index: BigInt(index) },
      }));
      const nextToken = to < all.length ? new Uint8Array(Buffer.from(String(to))) : new Uint8Array(0);
      this.#respond(stream);
      const response = create(ScanResponseSchema, { entries, nextToken });
      stream.end(frameMessage(toBinary(ScanResponseSchema, response)));
    });
    stream.on('data', (chunk: Buffer) => splitter.push(new Uint8Array(chunk)));
  }
}
