import http2 from 'node:http2';
import net from 'node:net';
import { noopMeter } from 'nori-observe';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ClientPort } from '../../../src/adapters/connect-transport/client-port.js';
import { PipelineClient, utf8 } from '../support/pipeline-client.js';
import { eventually, startClientPort } from '../support/ports.js';

const SHORT_MS = 300;

let server: Awaited<ReturnType<typeof startClientPort>>;

beforeEach(async () => {
  server = await startClientPort({ sniffTimeoutMs: SHORT_MS, requestTimeoutMs: SHORT_MS, pingIntervalMs: SHORT_MS });
});

afterEach(() => server.transport.close());

/** Sends bytes on a bare connection and gathers what comes back until it ends. */
const exchange = async (...chunks: (string | Uint8Array)[]): Promise<string> => {
  const socket = net.connect(server.port, '127.0.0.1');
  let received = '';
  let closed = false;
  socket.on('data', (chunk) => (received += chunk.toString('latin1')));
  socket.on('error', () => {});
  socket.on('close', () => (closed = true));
  for (const chunk of chunks) {
    socket.write(chunk);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually(() => closed);
  return received;
};

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** That the node serves others, whatever has happened to one connection. */
const expectServing = async (): Promise<void> => {
  const client = new PipelineClient(server.url);
  client.send({ kinds: new Uint8Array([1]), keys: [utf8('a')] });
  await client.answered(1);
  client.destroy();
  await eventually(() => server.meter.value('rpc_connections') === 0);
};

describe('a connection to the client port', () => {
  test('ends when it is silent', async () => {
    expect(await exchange()).toBe('');
    await expectServing();
  });

  test('ends when it stops in the middle of the HTTP/2 preface', async () => {
    expect(await exchange('PRI * HT')).toBe('');
    await expectServing();
  });

  test('ends with 400 when it speaks neither protocol', async () => {
    expect(await exchange(new Uint8Array([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3]))).toMatch(/^HTTP\/1\.1 400 /);
    expect(await exchange('hello there\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    await expectServing();
  });

  test('ends when it goes on from the preface with garbage', async () => {
    await exchange(PREFACE, new Uint8Array(100).fill(0xee));
    await expectServing();
  });

  test('ends when it stops in the middle of an HTTP/2 frame', async () => {
    await exchange(
      PREFACE,
      new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0, 0]),
      new Uint8Array([0, 0, 99, 1, 4, 0, 0, 0, 1, 1]),
    );
    await expectServing();
  });

  test('ends with 408 when it stops in the middle of an HTTP/1.1 request', async () => {
    expect(await exchange('POST /norikv.v1.Kv/Get HTTP/1.1\r\nHost: a\r\nContent-')).toMatch(/^HTTP\/1\.1 408 /);
    await expectServing();
  });

  test('ends with 431 when its headers are too large', async () => {
    const headers = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`;
    expect(await exchange(headers)).toMatch(/^HTTP\/1\.1 431 /);
    await expectServing();
  });

  test('is recognised when the preface comes byte by byte', async () => {
    const proxy = net.createServer((incoming) => {
      const outgoing = net.connect(server.port, '127.0.0.1');
      outgoing.setNoDelay(true).pipe(incoming);
      let first = true;
      incoming.on('data', async (chunk) => {
        if (!first) return outgoing.write(chunk);
        first = false;
        incoming.pause();
        for (const byte of chunk) {
          outgoing.write(new Uint8Array([byte]));
          await new Promise((resolve) => setImmediate(resolve));
        }
        return incoming.resume();
      });
      for (const socket of [incoming, outgoing]) socket.on('error', () => {}).on('close', () => incoming.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const client = new PipelineClient(`http://127.0.0.1:${(proxy.address() as net.AddressInfo).port}`);
    client.send({ kinds: new Uint8Array([1]), keys: [utf8('a')] });
    await client.answered(1);
    client.destroy();
    proxy.close();
  });

  test('ends a pipeline stream that stops in the middle of a message', async () => {
    const client = new PipelineClient(server.url);
    client.stream.write(new Uint8Array([0, 0, 0, 0, 100, 1]));
    expect((await client.ended())['grpc-status']).toBe('4');
    client.destroy();
  });

  test('ends a call on HTTP/2 whose request stops half way', async () => {
    const session = http2.connect(server.url);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/norikv.v1.Kv/Get',
      'content-type': 'application/json',
    });
    stream.on('error', () => {}).write('{"key":');
    await eventually(() => stream.closed);
    expect(stream.rstCode).toBe(http2.constants.NGHTTP2_CANCEL);
    session.destroy();
    await expectServing();
  });

  test('is refused beyond the limit', async () => {
    await server.transport.close();
    server = await startClientPort({ connectionsMax: 1 });
    const first = new PipelineClient(server.url);
    await eventually(() => server.meter.value('rpc_connections') === 1);
    expect(await exchange('GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toBe('');
    first.destroy();
  });

  test('answers what is no call with 404 and says where the rest is', async () => {
    const response = await fetch(`${server.url}/kv/a`);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('--http-addr');
  });

  test('refuses pages of other sites', async () => {
    const call = (origin: string) =>
      exchange(
        `POST /norikv.v1.Kv/Get HTTP/1.1\r\nHost: evil.test\r\nOrigin: ${origin}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
      );
    expect(await call('http://evil.test')).toMatch(/^HTTP\/1\.1 403 /);
    const session = http2.connect(server.url);
    const stream = session.request({
      ':path': '/norikv.v1.Kv/Pipeline',
      ':method': 'POST',
      origin: 'http://evil.test',
      'content-type': 'application/grpc',
    });
    const status = await new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])));
    expect(status).toBe(403);
    session.destroy();
  });
});

describe('the client port', () => {
  test('names port and flag when the port is in use', async () => {
    const second = new ClientPort({ ...server, meter: noopMeter, address: { host: '127.0.0.1', port: server.port } });
    const listening = second.listen();
    await expect(listening).rejects.toMatchObject({ code: 'SERVER_PORT_IN_USE' });
    await expect(listening).rejects.toThrow(new RegExp(`${server.port}.*--rpc-addr`));
    await second.close();
  });

  test('drains: answers what is under way, then ends streams and connections', async () => {
    await server.transport.close();
    server = await startClientPort();
    server.node.holding = true;
    const client = new PipelineClient(server.url);
    const idle = new PipelineClient(server.url);
    const silent = net.connect(server.port, '127.0.0.1').on('error', () => {});
    client.send({ kinds: new Uint8Array([2]), keys: [utf8('a')], values: [utf8('1')] });
    await eventually(() => server.node.heldWrites === 1 && server.meter.value('rpc_connections') === 3);
    const call = fetch(`${server.url}/norikv.v1.Kv/Put`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ key: 'YQ==', value: 'Yg==' }),
    });
    await eventually(() => server.node.heldWrites === 2);
    const drained = server.transport.drain(60_000);
    expect(await idle.ended()).toMatchObject({ 'grpc-status': '14' });
    expect(client.closed).toBe(false);
    server.node.release();
    expect(await client.ended()).toMatchObject({ 'grpc-status': '14' });
    expect(client.rows.get(0)).toMatchObject({ status: 0 });
    expect((await call).status).toBe(200);
    await drained;
    expect(server.meter.value('rpc_connections')).toBe(0);
    silent.destroy();
    await expect(fetch(server.url)).rejects.toThrow();
  });

  test('cuts what has not ended when the drain has taken too long', async () => {
    await server.transport.close();
    server = await startClientPort();
    server.node.holding = true;
    const client = new PipelineClient(server.url);
    client.send({ kinds: new Uint8Array([2]), keys: [utf8('a')], values: [utf8('1')] });
    await eventually(() => server.node.heldWrites === 1);
    await server.transport.drain(SHORT_MS);
    await eventually(() => client.closed);
    expect(server.node.writes[0]!.cancelled).toBe(true);
  });
});
