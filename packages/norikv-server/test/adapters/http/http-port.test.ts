import net from 'node:net';
import { runInNewContext } from 'node:vm';
import { noopMeter } from 'nori-observe';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HttpPort } from '../../../src/adapters/http/http-port.js';
import { NodeError } from '../../../src/domain/node-error.js';
import { eventually, startHttpPort } from '../support/ports.js';

let server: Awaited<ReturnType<typeof startHttpPort>>;

beforeEach(async () => {
  server = await startHttpPort();
});

afterEach(() => server.transport.close());

const call = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(`${server.url}${path}`, init);
  return { status: response.status, headers: response.headers, text: await response.text() };
};

const put = (path: string, body: string | Uint8Array<ArrayBuffer> = '1', headers: Record<string, string> = {}) =>
  call(path, { method: 'PUT', body, headers });

/** Sends text on a bare connection and gathers the answer until the connection ends. */
const raw = async (...chunks: string[]): Promise<string> => {
  const socket = net.connect(server.port, '127.0.0.1');
  let received = '';
  let closed = false;
  socket.on('data', (chunk) => (received += chunk.toString('latin1')));
  socket.on('error', () => {});
  socket.on('close', () => (closed = true));
  for (const chunk of chunks) {
    socket.write(chunk, 'latin1');
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually(() => closed);
  return received;
};

describe('probes and pages', () => {
  test('the process is live whatever the node says, and ready only if the node is', async () => {
    expect(await call('/livez')).toMatchObject({ status: 200, text: 'ok\n' });
    expect(await call('/readyz')).toMatchObject({ status: 200, text: 'ok\n' });
    expect((await call('/readyz?verbose')).text).toBe('[+]node ok\nreadyz check passed\n');
    server.node.ready = false;
    expect((await call('/livez?verbose')).status).toBe(200);
    expect(await call('/readyz')).toMatchObject({ status: 503, text: 'The log is being read\n' });
    expect((await call('/readyz?verbose')).text).toBe('[-]node failed: The log is being read\nreadyz check failed\n');
    server.readiness.drain();
    expect((await call('/readyz')).text).toContain('shutting down');
  });

  test('health is JSON', async () => {
    const { status, headers, text } = await call('/health');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('application/json');
    expect(JSON.parse(text)).toMatchObject({
      status: 'ok',
      ready: true,
      reasons: [],
      nodeId: 'node-1',
      clusterId: '07'.repeat(16),
      storage: { memtableBytes: 100 },
      log: { segments: 1 },
    });
    server.node.ready = false;
    expect(await call('/health')).toMatchObject({ status: 503 });
  });

  test('the cluster is JSON', async () => {
    expect(JSON.parse((await call('/meta/cluster')).text)).toMatchObject({
      clusterId: '07'.repeat(16),
      epoch: 1,
      nodes: [{ nodeId: 'node-1', state: 'alive' }],
      shardLeaders: [1, 1, 1, 1],
    });
  });

  test('metrics are what the renderer gives', async () => {
    const { headers, text } = await call('/metrics');
    expect(text).toBe('up 1\n');
    expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  test('the status page needs nothing from elsewhere, and its script parses', async () => {
    const { headers, text } = await call('/');
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(text).not.toMatch(/(src|href)="https?:|@import|import\(/);
    const script = /<script>([\s\S]*)<\/script>/.exec(text)![1]!;
    expect(() => runInNewContext(`() => {${script}}`)).not.toThrow();
  });

  test('what is not there is 404, what is not allowed 405, a parameter nobody knows 400', async () => {
    expect(await call('/nothing')).toMatchObject({ status: 404 });
    const wrong = await call('/health', { method: 'POST' });
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get('allow')).toBe('GET, HEAD');
    const kv = await call('/kv/a', { method: 'POST' });
    expect(kv).toMatchObject({ status: 405 });
    expect(kv.headers.get('allow')).toBe('GET, HEAD, PUT, DELETE');
    expect(await call('/readyz?verbos')).toMatchObject({
      status: 400,
      text: expect.stringContaining('allowed are verbose'),
    });
    expect(await call('/ws/events')).toMatchObject({ status: 426 });
  });

  test('a request that offers h2c is answered all the same', async () => {
    const upgrade = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
    expect(await raw(`GET /livez HTTP/1.1\r\nHost: localhost\r\n${upgrade}\r\n`)).toMatch(
      /^HTTP\/1\.1 200 OK[\s\S]*ok/,
    );
    expect(await raw(`PUT /kv/a HTTP/1.1\r\nHost: localhost\r\n${upgrade}Content-Length: 1\r\n\r\nx`)).toMatch(
      /^HTTP\/1\.1 400 /,
    );
  });
});

describe('keys over HTTP', () => {
  test('are stored, read and deleted, with their versions', async () => {
    const stored = await put('/kv/user:42', 'alice');
    expect(stored.status).toBe(200);
    expect(JSON.parse(stored.text)).toEqual({ version: { term: 1, index: 1 } });
    expect(stored.headers.get('norikv-version')).toBe('1.1');
    const read = await call('/kv/user:42');
    expect(read).toMatchObject({ status: 200, text: 'alice' });
    expect(read.headers.get('norikv-version')).toBe('1.1');
    expect(read.headers.get('etag')).toBe('"1.1"');
    expect(read.headers.get('content-type')).toBe('application/octet-stream');
    expect(read.headers.get('x-content-type-options')).toBe('nosniff');
    const head = await call('/kv/user:42', { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, text: '' });
    expect(head.headers.get('content-length')).toBe('5');
    const removed = await call('/kv/user:42', { method: 'DELETE' });
    expect(JSON.parse(removed.text)).toEqual({ deleted: true, version: { term: 1, index: 2 } });
    expect(await call('/kv/user:42')).toMatchObject({ status: 404, text: expect.stringContaining('NOT_FOUND') });
    expect(JSON.parse((await call('/kv/user:42', { method: 'DELETE' })).text)).toMatchObject({ deleted: false });
  });

  test('may be any bytes, and values too', async () => {
    const value = new Uint8Array(256).map((_, i) => i);
    const key = Array.from({ length: 256 }, (_, i) => `%${i.toString(16).padStart(2, '0')}`).join('');
    expect(await put(`/kv/${key}`, value)).toMatchObject({ status: 200 });
    expect(server.node.writes[0]!.operations[0]!.key).toEqual(value);
    const read = await fetch(`${server.url}/kv/${key}`);
    expect(new Uint8Array(await read.arrayBuffer())).toEqual(value);
    await put('/kv/a/b%2Fc?if_absent=false', '');
    expect(Buffer.from(server.node.writes[1]!.operations[0]!.key).toString()).toBe('a/b/c');
    expect((await call('/kv/a%2fb/c')).headers.get('content-length')).toBe('0');
  });

  test('take conditions and time to live as parameters', async () => {
    expect((await put('/kv/a?if_absent=true&ttl_ms=5000')).status).toBe(200);
    expect(server.node.writes[0]!.operations[0]).toMatchObject({ ifAbsent: true, ttlMs: 5000 });
    const exists = await put('/kv/a?if_absent=true');
    expect(exists.status).toBe(409);
    expect(JSON.parse(exists.text)).toMatchObject({ code: 'ALREADY_EXISTS', current: { term: 1, index: 1 } });
    expect((await put('/kv/a?if_version=1.1', '2')).headers.get('norikv-version')).toBe('1.2');
    const mismatch = await put('/kv/a?if_version=1.1', '3');
    expect(mismatch.status).toBe(412);
    expect(JSON.parse(mismatch.text)).toMatchObject({ code: 'VERSION_MISMATCH', current: { term: 1, index: 2 } });
    expect(await call('/kv/a?if_version=1.1', { method: 'DELETE' })).toMatchObject({ status: 412 });
    expect(await call('/kv/a?if_version=1.2', { method: 'DELETE' })).toMatchObject({ status: 200 });
  });

  test('take conditions as the headers of HTTP', async () => {
    expect((await put('/kv/a', '1', { 'if-none-match': '*' })).status).toBe(200);
    expect((await put('/kv/a', '1', { 'if-none-match': '*' })).status).toBe(409);
    expect((await put('/kv/a', '2', { 'if-match': '"1.1"' })).status).toBe(200);
    expect((await put('/kv/a', '3', { 'if-match': '"1.1"' })).status).toBe(412);
    expect((await call('/kv/a', { headers: { 'if-none-match': '"1.2"' } })).status).toBe(304);
    expect((await call('/kv/a', { headers: { 'if-none-match': '"1.1"' } })).status).toBe(200);
  });

  test('take a consistency', async () => {
    for (const consistency of ['lease', 'linearizable', 'stale_ok']) await call(`/kv/a?consistency=${consistency}`);
    await call('/kv/a');
    expect(server.node.consistencies).toEqual(['lease', 'linearizable', 'stale_ok', 'lease']);
  });

  test.each([
    ['GET', '/kv/', /key has 0 bytes: allowed are 1 to 1024/],
    ['GET', `/kv/${'k'.repeat(1025)}`, /key has 1025 bytes/],
    ['GET', '/kv/a?consistency=strong', /consistency is 'strong': allowed are lease, linearizable, stale_ok/],
    ['GET', '/kv/a?ttl_ms=1', /Unknown parameter 'ttl_ms': allowed are consistency/],
    ['GET', '/kv/a%4', /two hex digits/],
    ['GET', '/kv/%zz', /two hex digits/],
    ['PUT', '/kv/a?ttl_ms=-1', /ttl_ms is '-1': must be an integer/],
    ['PUT', '/kv/a?ttl_ms=', /ttl_ms is ''/],
    ['PUT', '/kv/a?ttl_ms=1&ttl_ms=2', /'ttl_ms' is given twice/],
    ['PUT', '/kv/a?ttl_ms=9007199254740992', /2\^53/],
    ['PUT', '/kv/a?if_absent=yes', /if_absent is 'yes': allowed are true, false/],
    ['PUT', '/kv/a?if_version=7', /if_version is '7': must be term\.index/],
    ['PUT', '/kv/a?ifNotExists=true', /Unknown parameter 'ifNotExists': allowed are ttl_ms, if_absent, if_version/],
    ['DELETE', '/kv/a?if_absent=true', /Unknown parameter 'if_absent': allowed are if_version/],
  ])('refuse %s %s with 400 and say why', async (method, path, expected) => {
    const response = await call(path, { method, ...(method === 'PUT' ? { body: '1' } : {}) });
    expect(response.status).toBe(400);
    const error = JSON.parse(response.text) as { code: string; message: string };
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toMatch(expected);
  });

  test('refuse conditions nobody can read', async () => {
    expect((await put('/kv/a', '1', { 'if-match': '*' })).status).toBe(400);
    expect((await put('/kv/a', '1', { 'if-none-match': '"1.1"' })).status).toBe(400);
    expect((await put('/kv/a?if_version=1.1', '1', { 'if-match': '"1.1"' })).status).toBe(400);
  });

  test('refuse a value over 1 MiB with 413, whether its length is announced or not', async () => {
    const full = await put('/kv/a', new Uint8Array(1 << 20));
    expect(full.status).toBe(200);
    const announced = await raw(
      'PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n',
    );
    expect(announced).toMatch(/^HTTP\/1\.1 413 [\s\S]*The value has 1048577 bytes: the limit is 1048576/);
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    const chunked = await raw(
      'PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n',
      ...Array.from({ length: 17 }, () => chunk),
    );
    expect(chunked).toMatch(/^HTTP\/1\.1 413 [\s\S]*more than 1048576 bytes/);
    expect(server.node.writes).toHaveLength(1);
  });

  test('are taken after 100 Continue', async () => {
    const socket = net.connect(server.port, '127.0.0.1');
    let received = '';
    socket.on('data', (chunk) => (received += chunk.toString('latin1')));
    socket.write('PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n');
    await eventually(() => received.includes('100 Continue'));
    socket.write('x');
    await eventually(() => received.includes('200 OK'));
    socket.destroy();
  });

  test('are not written when the client goes before its body is whole, or before the write was started', async () => {
    const half = net.connect(server.port, '127.0.0.1');
    half.write('PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf');
    await eventually(() => server.meter.value('http_connections') === 1);
    half.destroy();
    await eventually(() => server.meter.value('http_connections') === 0);
    expect(server.node.writes).toHaveLength(0);
    server.node.holding = true;
    const controller = new AbortController();
    const gone = fetch(`${server.url}/kv/a`, { method: 'PUT', body: '1', signal: controller.signal });
    await eventually(() => server.node.heldWrites === 1);
    controller.abort();
    await expect(gone).rejects.toThrow();
    await eventually(() => server.node.writes[0]!.cancelled);
  });

  test('report failures of the node by their status', async () => {
    server.node.failure = new NodeError('RESOURCE_EXHAUSTED', 'The disk is full', { retryAfterMs: 1500 });
    const response = await call('/kv/a');
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('2');
    expect(JSON.parse(response.text)).toEqual({
      code: 'RESOURCE_EXHAUSTED',
      message: 'The disk is full',
      retryAfterMs: 1500,
    });
    expect(server.meter.value('kv_requests_total', { operation: 'get', status: 'RESOURCE_EXHAUSTED' })).toBe(1);
  });
});

describe('the HTTP port', () => {
  test('refuses hosts and origins that are not its own', async () => {
    const get = (headers: string) => raw(`GET /health HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`);
    expect(await get(`Host: localhost:${server.port}\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await get('Host: evil.test\r\n')).toMatch(/^HTTP\/1\.1 403 [\s\S]*allowed_hosts/);
    expect(await get('Host: localhost\r\nOrigin: http://evil.test\r\n')).toMatch(/^HTTP\/1\.1 403 /);
    expect(await get('Host: localhost\r\nOrigin: http://localhost\r\n')).toMatch(/^HTTP\/1\.1 200 /);
    const preflight = await call('/kv/a', { method: 'OPTIONS' });
    expect(preflight.status).toBe(405);
    expect(preflight.headers.get('access-control-allow-origin')).toBeNull();
  });

  test('ends a connection that stops in the middle of a request, or speaks something else', async () => {
    await server.transport.close();
    server = await startHttpPort({ requestTimeoutMs: 100 });
    expect(await raw('GET /health HT')).toMatch(/^HTTP\/1\.1 408 /);
    expect(await raw('\x16\x03\x01')).toMatch(/^HTTP\/1\.1 400 /);
    expect(await call('/livez')).toMatchObject({ status: 200 });
  });

  test('names port and flag when the port is in use', async () => {
    const address = { host: '127.0.0.1', port: server.port };
    const metricsPage = { contentType: 'text/plain', render: () => '' };
    const second = new HttpPort({ ...server, meter: noopMeter, address, metricsPage });
    await expect(second.listen()).rejects.toThrow(new RegExp(`Port ${server.port} .*--http-addr`));
    await second.close();
  });

  test('drains: answers what is under way, then lets go', async () => {
    server.node.holding = true;
    const writing = put('/kv/a');
    const silent = net.connect(server.port, '127.0.0.1').on('error', () => {});
    await eventually(() => server.node.heldWrites === 1 && server.meter.value('http_connections') === 2);
    const drained = server.transport.drain(60_000);
    await eventually(() => server.meter.value('http_connections') === 1);
    server.node.release();
    expect((await writing).status).toBe(200);
    await drained;
    silent.destroy();
    await expect(call('/livez')).rejects.toThrow();
  });

  test('cuts what has not ended when the drain has taken too long', async () => {
    server.node.holding = true;
    const writing = put('/kv/a');
    await eventually(() => server.node.heldWrites === 1);
    const rejected = expect(writing).rejects.toThrow();
    await server.transport.drain(50);
    await rejected;
  });
});
