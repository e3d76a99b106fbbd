// The services as foreign clients see them: @grpc/grpc-js, plain HTTP/1.1 with JSON, Connect and gRPC-web from Connect.
import http2 from 'node:http2';
import { gzipSync } from 'node:zlib';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import {
  Admin,
  ErrorDetailSchema,
  frameMessage,
  GetRequestSchema,
  GetResponseSchema,
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  Kv,
  Meta,
  OperationFrameSchema,
  PutRequestSchema,
  PutResponseSchema,
  type ResultFrame,
  ResultFrameSchema,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from 'norikv-protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NodeError } from '../../../src/domain/node-error.js';
import { collectRows, type FrameInit, PipelineClient, type Row, utf8 } from '../support/pipeline-client.js';
import { eventually, startClientPort } from '../support/ports.js';

let server: Awaited<ReturnType<typeof startClientPort>>;

beforeEach(async () => {
  server = await startClientPort();
});

afterEach(() => server.transport.close());

const codec = <I extends DescMessage, O extends DescMessage>(input: I, output: O) => ({
  serialize: (message: MessageInitShape<I>) => Buffer.from(toBinary(input, create(input, message))),
  deserialize: (bytes: Buffer): MessageShape<O> => fromBinary(output, new Uint8Array(bytes)),
});

const connect = () => createClient(Kv, createConnectTransport({ baseUrl: server.url, httpVersion: '1.1' }));

const postJson = async (path: string, body: string, headers: Record<string, string> = {}) => {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

describe('a gRPC client of another make', () => {
  let client: grpc.Client;

  beforeEach(() => {
    client = new grpc.Client(server.target, grpc.credentials.createInsecure());
  });

  afterEach(() => client.close());

  const unary = <I extends DescMessage, O extends DescMessage>(
    path: string,
    input: I,
    output: O,
    message: MessageInitShape<I>,
  ): Promise<MessageShape<O>> =>
    new Promise((resolve, reject) => {
      const { serialize, deserialize } = codec(input, output);
      client.makeUnaryRequest(path, serialize, deserialize, message, (error, response) =>
        error === null ? resolve(response!) : reject(error),
      );
    });

  test('puts and gets', async () => {
    const value = new Uint8Array([0, 255, 10]);
    const put = await unary('/norikv.v1.Kv/Put', PutRequestSchema, PutResponseSchema, { key: utf8('a'), value });
    expect(put.version).toMatchObject({ term: 1n, index: 1n });
    const got = await unary('/norikv.v1.Kv/Get', GetRequestSchema, GetResponseSchema, { key: utf8('a') });
    expect(got.found).toBe(true);
    expect(Buffer.from(got.value).equals(Buffer.from(value))).toBe(true);
    const none = await unary('/norikv.v1.Kv/Get', GetRequestSchema, GetResponseSchema, { key: utf8('b') });
    expect(none).toMatchObject({ found: false });
  });

  test('is told status, message and detail of an error', async () => {
    const put = { key: utf8('a'), value: utf8('1'), ifAbsent: true };
    await unary('/norikv.v1.Kv/Put', PutRequestSchema, PutResponseSchema, put);
    const error = await unary('/norikv.v1.Kv/Put', PutRequestSchema, PutResponseSchema, put).catch(
      (reason: grpc.ServiceError) => reason,
    );
    expect(error).toMatchObject({ code: grpc.status.ALREADY_EXISTS, details: 'The key exists' });
    const [status] = (error as grpc.ServiceError).metadata.get('grpc-status-details-bin');
    expect(Buffer.from(status as Buffer).includes('norikv.v1.ErrorDetail')).toBe(true);
  });

  test('is refused a request over the limit, by name', async () => {
    const put = { key: utf8('a'), value: new Uint8Array(3 << 20) };
    const error: grpc.ServiceError = await unary('/norikv.v1.Kv/Put', PutRequestSchema, PutResponseSchema, put).catch(
      (reason) => reason,
    );
    expect(error.code).toBe(grpc.status.INVALID_ARGUMENT);
    // This client leaves some characters of a message encoded.
    expect(decodeURIComponent(error.details)).toMatch(/31457\d\d bytes: the limit is 2097152/);
  });

  test('pipelines frames and is told why a malformed one was refused', async () => {
    const { serialize, deserialize } = codec(OperationFrameSchema, ResultFrameSchema);
    const call = client.makeBidiStreamRequest('/norikv.v1.Kv/Pipeline', serialize, deserialize);
    const rows = new Map<number, Row>();
    let status: grpc.StatusObject | undefined;
    call.on('data', (frame: ResultFrame) => collectRows(frame, rows, (id) => id === 1));
    call.on('status', (received: grpc.StatusObject) => (status = received));
    call.on('error', () => {});
    call.write({ kinds: new Uint8Array([2]), keys: [utf8('a')], values: [utf8('v')] });
    await eventually(() => rows.size === 1);
    call.write({ firstId: 1, kinds: new Uint8Array([1]), keys: [utf8('a')] });
    await eventually(() => rows.size === 2);
    expect(Buffer.from(rows.get(1)!.value!).toString()).toBe('v');
    call.write({ kinds: new Uint8Array([1]) });
    await eventually(() => status !== undefined);
    expect(status).toMatchObject({ code: grpc.status.INVALID_ARGUMENT, details: expect.stringContaining('kinds') });
  });

  test('ends a pipeline in good order', async () => {
    const { serialize, deserialize } = codec(OperationFrameSchema, ResultFrameSchema);
    const call = client.makeBidiStreamRequest('/norikv.v1.Kv/Pipeline', serialize, deserialize);
    let rows = 0;
    let status: grpc.StatusObject | undefined;
    call.on('data', (frame: ResultFrame) => (rows += frame.ids.length));
    call.on('status', (received: grpc.StatusObject) => (status = received));
    call.write({ kinds: new Uint8Array([2, 2]), keys: ['a', 'b'].map(utf8), values: ['1', '2'].map(utf8) });
    call.end();
    await eventually(() => status !== undefined);
    expect(status).toMatchObject({ code: grpc.status.OK });
    expect(rows).toBe(2);
  });

  test('checks health, and watches it change', async () => {
    const check = (service: string) =>
      unary('/grpc.health.v1.Health/Check', HealthCheckRequestSchema, HealthCheckResponseSchema, { service });
    for (const service of ['', Kv.typeName, Meta.typeName, Admin.typeName, Health.typeName]) {
      expect(await check(service)).toMatchObject({ status: 1 });
    }
    await expect(check('other.Service')).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    const { serialize, deserialize } = codec(HealthCheckRequestSchema, HealthCheckResponseSchema);
    const statuses: number[] = [];
    const unknown: number[] = [];
    let ended: grpc.StatusObject | undefined;
    const watch = (service: string, into: number[]) =>
      client
        .makeServerStreamRequest('/grpc.health.v1.Health/Watch', serialize, deserialize, { service })
        .on('data', (message) => into.push(message.status))
        .on('error', () => {})
        .on('status', (status) => (ended = status));
    watch('', statuses);
    watch('other.Service', unknown);
    await eventually(() => statuses.length === 1 && unknown.length === 1);
    server.node.ready = false;
    await eventually(() => statuses.length === 2);
    expect(await check(Kv.typeName)).toMatchObject({ status: 2 });
    expect(await check(Admin.typeName)).toMatchObject({ status: 1 });
    server.node.ready = true;
    await eventually(() => statuses.length === 3);
    server.readiness.drain();
    const drained = server.transport.drain(5_000);
    await eventually(() => ended !== undefined);
    client.close();
    await drained;
    expect(statuses).toEqual([1, 2, 1, 2]);
    expect(unknown).toEqual([3]);
    expect(ended).toMatchObject({ code: grpc.status.UNAVAILABLE });
  });

  test('learns the services by reflection, with all it needs to call them', async () => {
    const { serialize, deserialize } = codec(ServerReflectionRequestSchema, ServerReflectionResponseSchema);
    const call = client.makeBidiStreamRequest(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      serialize,
      deserialize,
    );
    const answers: ServerReflectionResponse[] = [];
    call.on('data', (answer: ServerReflectionResponse) => answers.push(answer));
    call.on('error', () => {});
    const ask = async (messageRequest: MessageInitShape<typeof ServerReflectionRequestSchema>['messageRequest']) => {
      const count = answers.length;
      call.write({ host: 'h', messageRequest: messageRequest! });
      await eventually(() => answers.length > count);
      return answers[count]!.messageResponse;
    };
    const files = (response: ServerReflectionResponse['messageResponse']): FileDescriptorProto[] => {
      if (response.case !== 'fileDescriptorResponse') throw new Error(`unexpected ${response.case}`);
      return response.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    };
    const list = await ask({ case: 'listServices', value: '' });
    expect(list.case === 'listServicesResponse' && list.value.service.map(({ name }) => name).sort()).toEqual([
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'norikv.v1.Admin',
      'norikv.v1.Kv',
      'norikv.v1.Meta',
    ]);
    for (const value of ['norikv.v1.Kv', 'norikv.v1.Kv.Put', 'norikv.v1.PutRequest', 'norikv.v1.PutRequest.ttl_ms']) {
      const found = files(await ask({ case: 'fileContainingSymbol', value }));
      expect(found.map(({ name }) => name)).toEqual(['norikv/v1/kv.proto', 'norikv/v1/types.proto']);
    }
    expect(files(await ask({ case: 'fileByFilename', value: 'norikv/v1/types.proto' }))).toHaveLength(1);
    const missing = await ask({ case: 'fileContainingSymbol', value: 'norikv.v1.Nothing' });
    expect(missing).toMatchObject({ case: 'errorResponse', value: { errorCode: grpc.status.NOT_FOUND } });
    const extension = await ask({ case: 'allExtensionNumbersOfType', value: 'norikv.v1.PutRequest' });
    expect(extension.case).toBe('errorResponse');
    call.end();
  });
});

describe('JSON over HTTP/1.1', () => {
  const base64 = (text: string) => Buffer.from(text).toString('base64');

  test('puts, gets and deletes', async () => {
    const put = await postJson('/norikv.v1.Kv/Put', JSON.stringify({ key: base64('user:42'), value: base64('alice') }));
    expect(put).toEqual({ status: 200, body: { version: { term: '1', index: '1' } } });
    const got = await postJson('/norikv.v1.Kv/Get', JSON.stringify({ key: base64('user:42') }));
    expect(got.body).toEqual({ found: true, value: base64('alice'), version: { term: '1', index: '1' } });
    const removed = await postJson('/norikv.v1.Kv/Delete', JSON.stringify({ key: base64('user:42') }));
    expect(removed.body).toEqual({ deleted: true, version: { term: '1', index: '2' } });
    expect((await postJson('/norikv.v1.Kv/Get', JSON.stringify({ key: base64('user:42') }))).body).toEqual({});
  });

  test.each([
    ['malformed JSON', '/norikv.v1.Kv/Get', '{"key":', /JSON/],
    ['an unknown field', '/norikv.v1.Kv/Put', '{"key":"YQ==","ifNotExists":true}', /ifNotExists/],
    ['a negative time to live', '/norikv.v1.Kv/Put', '{"key":"YQ==","ttlMs":"-1"}', /ttl_?ms/i],
    [
      'a time to live over 2^53',
      '/norikv.v1.Kv/Put',
      '{"key":"YQ==","ttlMs":"9007199254740992"}',
      /ttl_ms is 9007199254740992/,
    ],
    ['an unknown consistency', '/norikv.v1.Kv/Get', '{"key":"YQ==","consistency":"STRONG"}', /consistency|STRONG/],
    [
      'an unknown consistency by number',
      '/norikv.v1.Kv/Get',
      '{"key":"YQ==","consistency":9}',
      /consistency is 9: allowed are/,
    ],
    ['an empty key', '/norikv.v1.Kv/Get', '{}', /key has 0 bytes: allowed are 1 to 1024/],
    [
      'a client id of the wrong length',
      '/norikv.v1.Kv/Put',
      '{"key":"YQ==","identity":{"clientId":"YQ==","sequence":"1"}}',
      /identity.client_id has 1 bytes: must be 16/,
    ],
    [
      'sequence 0',
      '/norikv.v1.Kv/Put',
      '{"key":"YQ==","identity":{"clientId":"AAAAAAAAAAAAAAAAAAAAAA=="}}',
      /identity.sequence is 0/,
    ],
    [
      'a version over 2^53',
      '/norikv.v1.Kv/Delete',
      '{"key":"YQ==","ifVersion":{"term":"1","index":"9007199254740993"}}',
      /if_version.index/,
    ],
  ])('is refused with invalid_argument on %s', async (_what, path, body, expected) => {
    const response = await postJson(path, body);
    expect(response.status).toBe(400);
    expect(response.body.code).toBe('invalid_argument');
    expect(response.body.message).toMatch(expected);
  });

  test.each([
    ['announced', (body: string) => body],
    [
      'chunked',
      (body: string) =>
        new ReadableStream({
          start(controller) {
            const bytes = utf8(body);
            for (let at = 0; at < bytes.length; at += 65_536) controller.enqueue(bytes.slice(at, at + 65_536));
            controller.close();
          },
        }),
    ],
  ])('is refused over the limit, %s', async (_how, toBody) => {
    const response = await fetch(`${server.url}/norikv.v1.Kv/Put`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: toBody(`{"key":"YQ==","value":"${'A'.repeat(3 << 20)}"}`),
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(400);
    expect((await response.json()) as object).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('the limit is 2097152'),
      details: [{ type: 'norikv.v1.ErrorDetail' }],
    });
  });

  test('is answered over the limit on HTTP/2 too, before the caller has sent it all', async () => {
    const session = http2.connect(server.url);
    for (let i = 0; i < 10; i++) {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/norikv.v1.Kv/Put',
        'content-type': 'application/json',
        'content-length': 3 << 20,
      });
      let status: unknown;
      let text = '';
      stream.on('error', () => {}).on('response', (headers) => (status = headers[':status']));
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      stream.end(Buffer.alloc(3 << 20, 0x20));
      await eventually(() => stream.closed);
      expect(status).toBe(400);
      expect(text).toContain('The request has 3145728 bytes: the limit is 2097152');
    }
    session.destroy();
  });

  test('is refused over the limit when it is compressed', async () => {
    const response = await fetch(`${server.url}/norikv.v1.Kv/Put`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: gzipSync(`{"key":"YQ==","value":"${'A'.repeat(3 << 20)}"}`),
    });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('the limit is 2097152');
  });
});

describe('a Connect client', () => {
  test('is given error details it can read', async () => {
    const client = connect();
    await client.put({ key: utf8('a'), value: utf8('1') });
    const error = ConnectError.from(
      await client.put({ key: utf8('a'), ifVersion: { term: 1n, index: 99n } }).catch((reason: unknown) => reason),
    );
    expect(error.code).toBe(Code.FailedPrecondition);
    expect(error.findDetails(ErrorDetailSchema)).toMatchObject([{ code: 2, current: { term: 1n, index: 1n } }]);
  });

  test('is told whom to ask and when to come back', async () => {
    server.node.failure = new NodeError('NOT_LEADER', 'Not here', {
      leader: { id: 'n2', address: '10.0.0.2:7447' },
      retryAfterMs: 12.3,
    });
    const error = ConnectError.from(
      await connect()
        .get({ key: utf8('a') })
        .catch((reason: unknown) => reason),
    );
    expect(error.code).toBe(Code.Unavailable);
    expect(error.findDetails(ErrorDetailSchema)).toMatchObject([
      { code: 5, leaderId: 'n2', leaderAddress: '10.0.0.2:7447', retryAfterMs: 13 },
    ]);
  });

  test('scans pages', async () => {
    const client = connect();
    for (const key of ['a1', 'a2', 'a3', 'b1']) await client.put({ key: utf8(key), value: utf8(key) });
    const page = await client.scan({ prefix: utf8('a'), limit: 2, start: utf8('a'), reverse: false, consistency: 2 });
    expect(page.entries.map(({ key }) => Buffer.from(key).toString())).toEqual(['a1', 'a2']);
    expect(page.entries[0]!.version).toMatchObject({ term: 1n, index: 1n });
    expect(server.node.scans[0]).toMatchObject({ consistency: 'linearizable', end: undefined, limit: 2 });
    const rest = await client.scan({ prefix: utf8('a'), limit: 2, token: page.nextToken });
    expect(rest.entries.map(({ key }) => Buffer.from(key).toString())).toEqual(['a3']);
    expect(rest.nextToken).toHaveLength(0);
    expect(server.meter.value('kv_requests_total', { operation: 'scan', status: 'OK' })).toBe(2);
  });

  test('hands its deadline to the node', async () => {
    await createClient(Kv, createConnectTransport({ baseUrl: server.url, httpVersion: '1.1' })).get(
      { key: utf8('a') },
      { timeoutMs: 5_000 },
    );
    const left = server.node.deadlines[0]! - server.clock.monotonic();
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(5_000);
  });

  test('cancels a write that was not started by going away', async () => {
    server.node.holding = true;
    const controller = new AbortController();
    const put = connect().put({ key: utf8('a'), value: utf8('1') }, { signal: controller.signal });
    await eventually(() => server.node.heldWrites === 1);
    controller.abort();
    await expect(put).rejects.toMatchObject({ code: Code.Canceled });
    await eventually(() => server.node.writes[0]!.cancelled);
  });

  test('runs a batch as one call, each row by itself', async () => {
    const frame = await connect().batch({
      kinds: new Uint8Array([2, 1, 2]),
      keys: ['a', 'b', ''].map(utf8),
      values: ['1', '2'].map(utf8),
    });
    const rows = new Map<number, Row>();
    collectRows(frame, rows, (id) => id === 1);
    expect([0, 1, 2].map((id) => rows.get(id)!.status)).toEqual([0, 1, 2]);
    expect(await connect().batch({})).toMatchObject({ ids: [] });
    await expect(connect().batch({ kinds: new Uint8Array([1]) })).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  test('is told of rows whose values do not fit one response', async () => {
    const client = connect();
    await client.put({ key: utf8('big'), value: new Uint8Array(1 << 20) });
    const frame = await client.batch({
      kinds: new Uint8Array(8).fill(1),
      keys: Array.from({ length: 8 }, () => utf8('big')),
    });
    const rows = new Map<number, Row>();
    collectRows(frame, rows, () => true);
    const statuses = [...rows.values()].map(({ status }) => status);
    expect(statuses.filter((status) => status === 0).length).toBeGreaterThanOrEqual(2);
    expect(rows.get(7)).toMatchObject({ status: 2, error: { code: 10 } });
  });

  test('is told of the cluster at once and of every change, until the node drains', async () => {
    const meta = createClient(Meta, createConnectTransport({ baseUrl: server.url, httpVersion: '1.1' }));
    const epochs: bigint[] = [];
    let end: unknown;
    const watching = (async () => {
      for await (const { view } of meta.watchCluster({})) {
        epochs.push(view!.epoch);
        expect(view).toMatchObject({ shardCount: 4, keyHash: 'xxh64-jump-v1', shardLeaders: [1, 1, 1, 1] });
      }
    })().catch((reason: unknown) => (end = reason));
    await eventually(() => epochs.length === 1);
    server.node.changeCluster();
    await eventually(() => epochs.length === 2);
    await server.transport.drain(5_000);
    await watching;
    expect(epochs).toEqual([1n, 2n]);
    expect(ConnectError.from(end).code).toBe(Code.Unavailable);
    expect(server.node.clusterListeners).toBe(0);
  });

  test('stops to be told when it goes away', async () => {
    const meta = createClient(Meta, createConnectTransport({ baseUrl: server.url, httpVersion: '1.1' }));
    const controller = new AbortController();
    for await (const _ of meta.watchCluster({}, { signal: controller.signal })) break;
    controller.abort();
    await eventually(() => server.node.clusterListeners === 0);
  });

  test('reads the status and flushes', async () => {
    const admin = createClient(Admin, createConnectTransport({ baseUrl: server.url, httpVersion: '1.1' }));
    expect(await admin.status({})).toMatchObject({
      nodeId: 'node-1',
      uptimeMs: 1234n,
      ready: true,
      activeShards: 3,
      storage: { memtableBytes: 100n, levelTables: [1, 2], levelBytes: [500, 1500] },
      log: { segments: 1, bytes: 4096n },
    });
    await admin.flush({});
    expect(server.node.flushes).toBe(1);
  });
});

describe('Pipeline through every protocol', () => {
  const frames: FrameInit[] = [
    {
      firstId: 0,
      kinds: new Uint8Array([2, 2, 1]),
      keys: ['a', 'b', 'none'].map(utf8),
      values: ['1', ''].map(utf8),
    },
    { firstId: 10, kinds: new Uint8Array([2, 1]), keys: ['a', ''].map(utf8), values: [utf8('2')], ifAbsentRows: [0] },
  ];

  const plain = (rows: Map<number, Row>) =>
    [...rows]
      .sort(([a], [b]) => a - b)
      .map(([id, { status, value, error }]) => [
        id,
        status,
        value === undefined ? undefined : Buffer.from(value).toString(),
        error?.code,
        error?.message,
      ]);

  const viaCore = async () => {
    const client = new PipelineClient(server.url);
    let sent = 0;
    for (const frame of frames) {
      client.send(frame);
      await client.answered((sent += frame.keys!.length));
    }
    client.destroy();
    return plain(client.rows);
  };

  const via = async (transport: ReturnType<typeof createConnectTransport>) => {
    const rows = new Map<number, Row>();
    async function* requests() {
      let sent = 0;
      for (const frame of frames) {
        yield create(OperationFrameSchema, frame);
        sent += frame.keys!.length;
        await eventually(() => rows.size === sent);
      }
    }
    for await (const frame of createClient(Kv, transport).pipeline(requests())) collectRows(frame, rows, () => false);
    return plain(rows);
  };

  test('gives the same answers', async () => {
    const expected = await viaCore();
    expect(expected.map(([id, status]) => [id, status])).toEqual([
      [0, 0],
      [1, 0],
      [2, 1],
      [10, 2],
      [11, 2],
    ]);
    const baseUrl = server.url;
    const transports = [
      createConnectTransport({ baseUrl, httpVersion: '2' }),
      createConnectTransport({ baseUrl, httpVersion: '2', useBinaryFormat: false }),
      createGrpcTransport({ baseUrl }),
      createGrpcTransport({ baseUrl, useBinaryFormat: false }),
      createGrpcWebTransport({ baseUrl, httpVersion: '2' }),
    ];
    for (const transport of transports) expect(await via(transport)).toEqual(expected);
  });

  test('refuses a malformed frame with the same message', async () => {
    const messages = new Set<string>();
    const baseUrl = server.url;
    for (const transport of [
      createGrpcTransport({ baseUrl }),
      createConnectTransport({ baseUrl, httpVersion: '2' }),
      createGrpcWebTransport({ baseUrl, httpVersion: '2' }),
    ]) {
      async function* requests() {
        yield create(OperationFrameSchema, { kinds: new Uint8Array([1]) });
      }
      const call = (async () => {
        for await (const _ of createClient(Kv, transport).pipeline(requests()));
      })();
      const error = ConnectError.from(await call.catch((reason: unknown) => reason));
      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.findDetails(ErrorDetailSchema)).toMatchObject([{ code: 1 }]);
      messages.add(error.rawMessage);
    }
    expect([...messages]).toEqual(['Operation frame refused: kinds has 1 elements: expected 0, one for each key']);
  });

  test('bounds what waits for a caller of the generic path that does not read', async () => {
    await connect().put({ key: utf8('big'), value: new Uint8Array(256 * 1024) });
    const rows = 400;
    const frame = create(OperationFrameSchema, {
      kinds: new Uint8Array(rows).fill(1),
      keys: Array.from({ length: rows }, () => utf8('big')),
    });
    const session = http2.connect(server.url);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/norikv.v1.Kv/Pipeline',
      'content-type': 'application/connect+proto',
    });
    stream.end(frameMessage(toBinary(OperationFrameSchema, frame)));
    await eventually(() => server.node.deadlines.length >= 16);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(server.node.deadlines.length).toBeLessThan(100);
    let bytes = 0;
    stream.on('data', (chunk: Uint8Array) => (bytes += chunk.length));
    await eventually(() => stream.closed);
    expect(bytes).toBeGreaterThan(rows * 256 * 1024);
    session.destroy();
  });
});
