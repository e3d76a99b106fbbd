import http2 from 'node:http2';
import { frameMessage } from 'norikv-protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PipelineClient, utf8 } from '../support/pipeline-client.js';
import { eventually, startClientPort } from '../support/ports.js';

let server: Awaited<ReturnType<typeof startClientPort>>;
const clients: PipelineClient[] = [];

const connect = (headers: http2.OutgoingHttpHeaders = {}): PipelineClient => {
  const client = new PipelineClient(server.url, undefined, headers);
  clients.push(client);
  return client;
};

beforeEach(async () => {
  server = await startClientPort();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await server.transport.close();
});

const GET = 1;
const PUT = 2;
const DELETE = 3;
const kinds = (...rows: number[]) => new Uint8Array(rows);

describe('a pipeline stream', () => {
  test('answers gets, puts and deletes by id, each with its version', async () => {
    const client = connect();
    client.send({
      firstId: 10,
      kinds: kinds(PUT, PUT, GET, DELETE),
      keys: ['a', 'b', 'c', 'd'].map(utf8),
      values: [utf8('1'), utf8('')],
    });
    await client.answered(4);
    expect(client.rows.get(10)).toMatchObject({ status: 0, term: 1, index: 1 });
    expect(client.rows.get(11)).toMatchObject({ status: 0, term: 1, index: 2 });
    expect(client.rows.get(12)).toMatchObject({ status: 1, index: 0 });
    expect(client.rows.get(13)).toMatchObject({ status: 1, term: 1, index: 3 });
    client.send({ firstId: 20, kinds: kinds(GET, GET), keys: ['a', 'b'].map(utf8) });
    await client.answered(6);
    expect(client.rows.get(20)).toMatchObject({ status: 0, value: utf8('1'), index: 1 });
    expect(client.rows.get(21)).toMatchObject({ status: 0, value: utf8(''), index: 2 });
    expect(client.headers).toMatchObject({ ':status': 200, 'content-type': 'application/grpc+proto' });
    client.stream.end();
    expect(await client.ended()).toMatchObject({ 'grpc-status': '0' });
  });

  test('answers the gets of a frame in one frame, and does not hold them back for its writes', async () => {
    server.node.holding = true;
    const client = connect();
    client.send({
      firstId: 0,
      kinds: kinds(GET, PUT, GET, PUT),
      keys: ['a', 'b', 'c', 'd'].map(utf8),
      values: [utf8('1'), utf8('2')],
    });
    await client.answered(2);
    expect(client.frames.map((frame) => frame.ids)).toEqual([[0, 2]]);
    server.node.release();
    await client.answered(4);
    expect(client.frames.map((frame) => frame.ids)).toEqual([
      [0, 2],
      [1, 3],
    ]);
  });

  test('hands every column to the node', async () => {
    server.node.holding = true;
    const client = connect();
    const clientId = new Uint8Array(16).fill(0xab);
    client.send({
      kinds: kinds(GET, PUT, DELETE, PUT, PUT, GET),
      keys: ['a', 'b', 'c', 'd', 'e', 'f'].map(utf8),
      values: [utf8('1'), utf8('2'), utf8('3')],
      consistencies: new Uint8Array([2, 3]),
      clientId,
      sequences: [5, 6, 7, 7],
      floor: 4,
      agesMs: [0, 1, 2, 2],
      ttlRows: [3],
      ttlsMs: [60_000],
      ifAbsentRows: [1],
      ifVersionRows: [2],
      ifVersionTerms: [3],
      ifVersionIndexes: [9],
      atomicStarts: [3],
      atomicCounts: [2],
    });
    await eventually(() => server.node.heldWrites === 3);
    expect(server.node.consistencies).toEqual(['linearizable', 'stale_ok']);
    const [put, remove, group] = server.node.writes;
    expect(put).toMatchObject({
      identity: { clientId: 'ab'.repeat(16), sequence: 5, floor: 4, ageMs: 0 },
      operations: [{ kind: 'put', key: utf8('b'), value: utf8('1'), ifAbsent: true, ttlMs: 0 }],
      deadlineMs: Number.POSITIVE_INFINITY,
    });
    expect(remove).toMatchObject({
      identity: { sequence: 6, ageMs: 1 },
      operations: [{ kind: 'delete', key: utf8('c'), ifVersion: { term: 3, index: 9 } }],
    });
    expect(group).toMatchObject({
      identity: { sequence: 7, ageMs: 2 },
      operations: [
        { kind: 'put', key: utf8('d'), value: utf8('2'), ttlMs: 60_000 },
        { kind: 'put', key: utf8('e'), value: utf8('3'), ttlMs: 0 },
      ],
    });
  });

  test('turns timeouts into deadlines, one for all rows or one for each', async () => {
    const client = connect();
    const beforeMs = server.clock.monotonic();
    client.send({ firstId: 0, kinds: kinds(GET, GET), keys: ['a', 'b'].map(utf8), timeoutsMs: [10_000] });
    client.send({ firstId: 2, kinds: kinds(GET, GET), keys: ['a', 'b'].map(utf8), timeoutsMs: [20_000, 0] });
    await client.answered(4);
    const [first, second, third, fourth] = server.node.deadlines.map((deadline) => deadline - beforeMs);
    expect(first).toBe(second);
    expect(first).toBeGreaterThanOrEqual(10_000);
    expect(first).toBeLessThan(20_000);
    expect(third).toBeGreaterThanOrEqual(20_000);
    expect(fourth).toBe(Number.POSITIVE_INFINITY);
  });

  test('reports failures by row, with what the caller needs to go on', async () => {
    const client = connect();
    client.send({ kinds: kinds(PUT), keys: [utf8('a')], values: [utf8('1')] });
    await client.answered(1);
    client.send({
      firstId: 1,
      kinds: kinds(PUT, PUT, GET),
      keys: [utf8('a'), utf8('b'), new Uint8Array(0)],
      values: [utf8('2'), utf8('2')],
      ifAbsentRows: [0],
    });
    await client.answered(4);
    expect(client.rows.get(1)).toMatchObject({ status: 2, error: { code: 3, current: { term: 1n, index: 1n } } });
    expect(client.rows.get(2)).toMatchObject({ status: 0 });
    expect(client.rows.get(3)).toMatchObject({
      status: 2,
      error: { code: 1, message: expect.stringContaining('1024') },
    });
  });

  test('answers INTERNAL where the node breaks its word and throws', async () => {
    const { node } = server;
    node.get = node.write = () => {
      throw new TypeError('broken');
    };
    const client = connect();
    client.send({ kinds: kinds(GET, PUT), keys: ['a', 'b'].map(utf8), values: [utf8('1')] });
    await client.answered(2);
    for (const id of [0, 1]) expect(client.rows.get(id)).toMatchObject({ status: 2, error: { code: 15 } });
  });

  test('cancels writes that were not started, by id', async () => {
    server.node.holding = true;
    const client = connect();
    client.send({ kinds: kinds(PUT, PUT), keys: ['a', 'b'].map(utf8), values: ['1', '2'].map(utf8) });
    await eventually(() => server.node.heldWrites === 2);
    client.send({ cancels: [1, 99] });
    await eventually(() => server.node.writes[1]!.cancelled);
    server.node.release();
    await client.answered(2);
    expect(client.rows.get(0)).toMatchObject({ status: 0 });
    expect(client.rows.get(1)).toMatchObject({ status: 2, error: { code: 9 } });
  });

  test.each([
    ['a frame whose columns disagree', { kinds: kinds(GET) }, /kinds has 1 elements/],
    ['an unknown kind', { kinds: kinds(9), keys: [utf8('a')] }, /kinds\[0\] is 9/],
    ['an unknown consistency', { kinds: kinds(GET), keys: [utf8('a')], consistencies: kinds(7) }, /consistencies\[0\]/],
  ])('ends with INVALID_ARGUMENT naming the field on %s; other streams go on', async (_what, frame, expected) => {
    const bystander = connect();
    const client = connect();
    client.send(frame);
    const trailers = await client.ended();
    expect(trailers['grpc-status']).toBe('3');
    expect(decodeURIComponent(String(trailers['grpc-message']))).toMatch(expected);
    expect(trailers['grpc-status-details-bin']).toBeDefined();
    bystander.send({ kinds: kinds(GET), keys: [utf8('a')] });
    await bystander.answered(1);
  });

  test.each([
    ['no protobuf', frameMessage(new Uint8Array([0x1a, 50, 1])), '3', /keys announces 50 bytes/],
    [
      'a frame of too many rows',
      frameMessage(new Uint8Array(8194).map((_, i) => (i % 2 ? 0 : 0x1a))),
      '3',
      /over 4096/,
    ],
    ['no gRPC', new Uint8Array([9, 9, 9, 9, 9, 9]), '3', /gRPC/],
    ['over the limit', new Uint8Array([0, 0xff, 0, 0, 0]), '3', /4278190080 bytes; the limit is 2097152/],
    ['compressed', new Uint8Array([1, 0, 0, 0, 1, 0]), '3', /compressed/],
  ])('ends with INVALID_ARGUMENT on bytes that are %s', async (_what, bytes, status, expected) => {
    const client = connect();
    client.stream.write(bytes);
    const trailers = await client.ended();
    expect(trailers['grpc-status']).toBe(status);
    expect(decodeURIComponent(String(trailers['grpc-message']))).toMatch(expected);
  });

  test('ends with INVALID_ARGUMENT when the caller stops in the middle of a message', async () => {
    const client = connect();
    client.stream.end(new Uint8Array([0, 0, 0, 0, 9, 1, 2]));
    expect((await client.ended())['grpc-status']).toBe('3');
  });

  test('takes messages cut anywhere', async () => {
    const client = connect();
    const message = frameMessage(new Uint8Array([0x12, 1, 1, 0x1a, 1, 0x61]));
    for (const byte of message) {
      client.stream.write(new Uint8Array([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.answered(1);
    expect(client.rows.get(0)).toMatchObject({ status: 1 });
  });

  test('cancels what was not started when its caller goes, and lives on', async () => {
    server.node.holding = true;
    const client = connect();
    client.send({ kinds: kinds(PUT, PUT), keys: ['a', 'b'].map(utf8), values: ['1', '2'].map(utf8) });
    await eventually(() => server.node.heldWrites === 2);
    client.session.destroy();
    await eventually(() => server.node.writes.every((write) => write.cancelled));
    server.node.release();
    expect(server.node.size).toBe(0);
    const other = connect();
    other.send({ kinds: kinds(GET), keys: [utf8('a')] });
    await other.answered(1);
    await eventually(() => server.meter.value('rpc_connections') === 1);
  });

  test('stops starting operations for a caller that does not read, and goes on when it does', async () => {
    const value = new Uint8Array(64 * 1024).fill(1);
    const client = connect();
    client.send({ kinds: kinds(PUT), keys: [utf8('big')], values: [value] });
    await client.answered(1);
    client.stream.pause();
    const rows = 512;
    for (let i = 0; i < 4; i++) {
      client.send({
        firstId: 1 + i * rows,
        kinds: new Uint8Array(rows).fill(GET),
        keys: Array.from({ length: rows }, () => utf8('big')),
      });
    }
    await eventually(() => server.node.deadlines.length > 32);
    const settled = async (): Promise<number> => {
      for (let before = -1; ; ) {
        const now = server.node.deadlines.length;
        if (now === before) return now;
        before = now;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    // 128 MiB were asked for; about 4 MiB are held for the caller, plus what HTTP/2 and TCP have taken.
    expect(await settled()).toBeLessThan(512);
    client.stream.resume();
    await client.answered(1 + 4 * rows);
  });

  test('bounds the operations under way without losing any', async () => {
    server.node.holding = true;
    const client = connect();
    const rows = 4096;
    for (let i = 0; i < 6; i++) {
      client.send({
        firstId: i * rows,
        kinds: new Uint8Array(rows).fill(PUT),
        keys: Array.from({ length: rows }, (_, row) => utf8(`k${i}:${row}`)),
        values: Array.from({ length: rows }, () => utf8('v')),
      });
    }
    await eventually(() => server.node.heldWrites === 4 * rows);
    server.node.release();
    await client.answered(6 * rows);
    expect(server.node.size).toBe(6 * rows);
  });

  test('survives a storm of resets', async () => {
    await server.transport.close();
    server = await startClientPort({ pingIntervalMs: 300 });
    const session = http2.connect(server.url);
    for (let i = 0; i < 3_000 && !session.destroyed; i++) {
      const client = new PipelineClient(server.url, session);
      client.send({ kinds: kinds(GET), keys: [utf8('a')] });
      client.stream.close(http2.constants.NGHTTP2_CANCEL);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const other = connect();
    other.send({ kinds: kinds(GET), keys: [utf8('a')] });
    await other.answered(1);
    session.destroy();
    await eventually(() => server.meter.value('rpc_connections') === 1);
    await eventually(() => server.meter.value('rpc_pipeline_streams') === 1);
  });

  test('counts and times its rows', async () => {
    const client = connect();
    client.send({ kinds: kinds(PUT, GET, GET), keys: ['a', 'b', ''].map(utf8), values: [utf8('1')] });
    await client.answered(3);
    const count = (operation: string, status: string) => server.meter.value('kv_requests_total', { operation, status });
    expect(count('put', 'OK')).toBe(1);
    expect(count('get', 'NOT_FOUND')).toBe(1);
    expect(count('get', 'INVALID_ARGUMENT')).toBe(1);
    expect(server.meter.count('kv_request_duration_seconds', { operation: 'put', status: 'OK' })).toBe(1);
  });
});
