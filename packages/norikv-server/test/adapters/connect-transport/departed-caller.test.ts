// Callers that go away in the middle of a call are no defects of the node: its log does not call them errors.
import http2 from 'node:http2';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import {
  frameMessage,
  Health,
  HealthCheckRequestSchema,
  Meta,
  OperationFrameSchema,
  WatchClusterRequestSchema,
} from 'norikv-protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { utf8 } from '../support/pipeline-client.js';
import { eventually, startClientPort } from '../support/ports.js';

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

let server: Awaited<ReturnType<typeof startClientPort>>;
let lines: Line[];

beforeEach(async () => {
  lines = [];
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    lines.push({ level, message, fields });
  };
  server = await startClientPort({}, { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') });
});

afterEach(() => server.transport.close());

const aboveDebug = (): Line[] => lines.filter(({ level }) => level !== 'debug');

test.each<[string, (baseUrl: string) => Transport]>([
  ['Connect over HTTP/1.1', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' })],
  ['Connect over HTTP/2', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2' })],
  ['gRPC', (baseUrl) => createGrpcTransport({ baseUrl })],
  ['gRPC-web', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' })],
])('a watch that is aborted is no error, by %s', async (_name, transportTo) => {
  const transport = transportTo(server.url);
  const abort = new AbortController();
  for (const watch of [
    createClient(Meta, transport).watchCluster({}, { signal: abort.signal }),
    createClient(Health, transport).watch({}, { signal: abort.signal }),
  ]) {
    await watch[Symbol.asyncIterator]().next();
  }
  abort.abort();
  await eventually(() => server.node.clusterListeners === 0);
  await eventually(() => lines.length >= 2);
  expect(aboveDebug()).toEqual([]);
});

/** Paths, and requests that leave the call open. Of a pipeline, half a message: its body is being read. */
const OPEN_CALLS: [string, Uint8Array][] = [];
const addCall = <I extends DescMessage>(path: string, input: I, message: MessageInitShape<I>, bytes?: number) =>
  OPEN_CALLS.push([path, frameMessage(toBinary(input, create(input, message))).subarray(0, bytes)]);
addCall('/norikv.v1.Meta/WatchCluster', WatchClusterRequestSchema, {});
addCall('/grpc.health.v1.Health/Watch', HealthCheckRequestSchema, {});
addCall('/norikv.v1.Kv/Pipeline', OperationFrameSchema, { kinds: new Uint8Array([1]), keys: [utf8('a')] }, 9);
addCall('/norikv.v1.Kv/Pipeline', OperationFrameSchema, {
  kinds: new Uint8Array([2]),
  keys: [utf8('a')],
  values: [utf8('v')],
});

test.each([
  ['is cut with its connection', undefined],
  ['is reset with NO_ERROR', http2.constants.NGHTTP2_NO_ERROR],
  ['is reset with INTERNAL_ERROR', http2.constants.NGHTTP2_INTERNAL_ERROR],
  ['is reset with CANCEL', http2.constants.NGHTTP2_CANCEL],
])('a call that %s is no error', async (_name, code) => {
  server.node.holding = true;
  for (const contentType of ['application/grpc+proto', 'application/grpc-web+proto']) {
    for (const [path, bytes] of OPEN_CALLS) {
      lines.length = 0;
      const session = http2.connect(server.url).on('error', () => {});
      const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': contentType, te: 'trailers' });
      stream.on('error', () => {});
      stream.write(bytes);
      // The PING is answered after what was sent before it has been taken.
      await new Promise((resolve) => session.ping(resolve));
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (code !== undefined) stream.close(code);
      else session.destroy();
      await new Promise((resolve) => setTimeout(resolve, 10));
      session.destroy();
      await eventually(() => server.meter.value('rpc_connections') === 0);
      expect(aboveDebug()).toEqual([]);
    }
  }
});

test('what the node gets wrong is an error still', async () => {
  server.node.cluster = () => {
    throw new TypeError('a defect');
  };
  const meta = createClient(Meta, createConnectTransport({ baseUrl: server.url, httpVersion: '1.1' }));
  await expect(meta.watchCluster({})[Symbol.asyncIterator]().next()).rejects.toThrow('a defect');
  expect(aboveDebug()).toMatchObject([
    { level: 'error', message: 'A call failed', fields: { method: 'WatchCluster', err: { message: 'a defect' } } },
  ]);
});
