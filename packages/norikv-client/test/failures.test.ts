import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { NoriClient } from '../src/index.js';
import { errorDetail } from './support/fake-node.js';
import { afterwards, connect, failure, startNode, text, until } from './support/harness.js';

describe('connecting', () => {
  test('skips an endpoint that is dead', async () => {
    const dead = await startNode();
    await dead.stop();
    const node = await startNode();
    const client = await connect([dead, node]);
    await client.put('a', '1');
    expect(text((await client.get('a'))?.value)).toBe('1');
  });

  test('skips an endpoint that takes connections and is silent', async () => {
    const silent = await startNode({ silent: true });
    const client = await connect([silent, await startNode()]);
    await client.put('a', '1');
  });

  test('fails naming each endpoint and its cause if none can be reached', async () => {
    const dead = await startNode();
    await dead.stop();
    const error = await failure(NoriClient.connect({ endpoints: [dead.address] }));
    expect(error.code).toBe('UNAVAILABLE');
    expect(error.message).toMatch(/ECONNREFUSED/);
    expect(error.details.attempts).toMatchObject([{ address: dead.address, code: 'UNAVAILABLE' }]);
  });

  test('fails at its deadline if the only endpoint is silent', async () => {
    const silent = await startNode({ silent: true });
    const error = await failure(NoriClient.connect({ endpoints: [silent.address], timeoutMs: 60 }));
    expect(error.code).toBe('UNAVAILABLE');
  });

  test('fails if the endpoint speaks something else', async () => {
    const server = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    afterwards(async () => server.close());
    const { port } = server.address() as { port: number };
    const error = await failure(NoriClient.connect({ endpoints: [`127.0.0.1:${port}`], reconnectDelayMinMs: 1 }));
    expect(error.code).toBe('UNAVAILABLE');
  });

  test('refuses a node that maps keys in another way, or of another cluster than asked for', async () => {
    const node = await startNode();
    const wrong = await failure(NoriClient.connect({ endpoints: [node.address], clusterId: 'ab'.repeat(16) }));
    expect([wrong.code, wrong.message]).toEqual(['CLUSTER_MISMATCH', expect.stringMatching(/0909.*not to abab/)]);
    await connect(node, { clusterId: '09'.repeat(16).toUpperCase() });
    for (const view of [
      { ...node.view, keyHash: 'crc32' },
      { ...node.view, shardCount: 0 },
      { ...node.view, clusterId: new Uint8Array(3) },
    ]) {
      const other = await startNode({ view });
      expect((await failure(NoriClient.connect({ endpoints: [other.address] }))).code).toBe('CLUSTER_MISMATCH');
    }
  });

  test('sends nothing to a node that has become one of another cluster', async () => {
    const node = await startNode();
    const client = await connect(node);
    await client.put('a', '1');
    await node.stop();
    node.view = { ...node.view, clusterId: new Uint8Array(16).fill(1) };
    await node.listen();
    await until(() => client.stats().channels[0]?.lastError?.includes('belongs to cluster') === true);
    const rows = node.rows.length;
    expect((await failure(client.put('a', '2'))).code).toBe('CLUSTER_MISMATCH');
    expect(node.rows.length).toBe(rows);
  });
});

describe('deadlines and cancels', () => {
  test('a silent node costs an operation its deadline, not more: reads know that nothing was done', async () => {
    const node = await startNode({ onRow: () => 'silence' });
    const client = await connect(node);
    const [read, write] = await Promise.all([
      failure(client.get('a', { timeoutMs: 50 })),
      failure(client.put('a', '1', { timeoutMs: 50 })),
    ]);
    expect(read.code).toBe('DEADLINE_EXCEEDED');
    expect(read.details.attempts).toMatchObject([{ address: node.address, node: 'n1', code: 'DEADLINE_EXCEEDED' }]);
    expect(write.code).toBe('OUTCOME_UNKNOWN');
    expect(client.stats()).toMatchObject({ pending: 0, pendingBytes: 0 });
  });

  test('hold for what is queued while there is no connection, and such writes are known not to be done', async () => {
    const node = await startNode();
    const client = await connect(node);
    await node.stop();
    await until(() => client.stats().channels[0]?.state !== 'ready');
    const errors = await Promise.all([
      failure(client.put('a', '1', { timeoutMs: 40 })),
      failure(client.get('a', { timeoutMs: 40 })),
      failure(client.batch([{ type: 'delete', key: 'a' }], { timeoutMs: 40 })),
    ]);
    for (const error of errors) {
      expect(error.code).toBe('DEADLINE_EXCEEDED');
      expect(error.message).toMatch(/not connected to 127\.0\.0\.1.*(ECONNREFUSED|closed)/);
      expect(error.details.attempts).toHaveLength(1);
    }
    await node.listen();
    await client.put('b', '1');
    expect(node.keys).toEqual(['b']);
  });

  test('hold while an operation waits for its next attempt, and the error tells what went before', async () => {
    const node = await startNode({ onRow: () => errorDetail('UNAVAILABLE', { message: 'Draining' }) });
    const client = await connect(node);
    const error = await failure(client.get('a', { timeoutMs: 100 }));
    expect(['DEADLINE_EXCEEDED', 'UNAVAILABLE']).toContain(error.code);
    expect(error.message).toMatch(/Draining/);
    expect(error.details.attempts.length).toBeGreaterThan(1);
    // The last attempt may have been under way at the deadline.
    for (const { code } of error.details.attempts.slice(0, -1)) expect(code).toBe('UNAVAILABLE');
    for (const attempt of error.details.attempts) {
      expect(attempt).toMatchObject({ node: 'n1', address: node.address, epoch: 1 });
      expect(attempt.shard).toBeGreaterThanOrEqual(0);
      expect(Math.abs(attempt.startedMs - Date.now())).toBeLessThan(60_000);
    }
  });

  test('an abort ends what is queued, and what is in flight, which is cancelled in band', async () => {
    const node = await startNode();
    const client = await connect(node);
    await client.put('warm', 'up');
    node.onRow = () => 'silence';
    const reason = new Error('changed my mind');
    const before = await failure(client.get('a', { signal: AbortSignal.abort(reason) }));
    expect([before.code, before.cause]).toEqual(['CANCELLED', reason]);

    const controller = new AbortController();
    const read = failure(client.get('a', { signal: controller.signal }));
    const write = failure(client.put('a', '1', { signal: controller.signal }));
    const queuedController = new AbortController();
    const queued = failure(client.put('q', '1', { signal: queuedController.signal }));
    queuedController.abort(reason);
    expect([(await queued).code, (await queued).cause]).toEqual(['CANCELLED', reason]);

    await until(() => node.rows.length === 3);
    controller.abort(reason);
    expect((await read).code).toBe('CANCELLED');
    expect((await write).code).toBe('OUTCOME_UNKNOWN');
    await until(() => node.cancels.length === 2);
    expect(node.cancels).toEqual(node.rows.slice(1).map((row) => row.id));
    expect(node.keys).toEqual(['warm']);
  });

  test('an abort ends what is queued without a connection', async () => {
    const node = await startNode();
    const client = await connect(node);
    await node.stop();
    await until(() => client.stats().channels[0]?.state !== 'ready');
    const controller = new AbortController();
    const many = Array.from({ length: 300 }, (_, i) =>
      failure(client.put(`k${i}`, '1', { signal: controller.signal })),
    );
    setImmediate(() => controller.abort());
    expect(new Set((await Promise.all(many)).map((error) => error.code))).toEqual(new Set(['CANCELLED']));
    await node.listen();
    await client.put('b', '1');
    expect(node.keys).toEqual(['b']);
  });

  test('late answers to operations that were given up do no harm', async () => {
    const node = await startNode();
    const client = await connect(node);
    await client.put('a', 'one');
    let release = () => {};
    node.onRows = (rows, call) => {
      release = () => call.answer(rows);
    };
    const reads = await Promise.all([
      failure(client.get('a', { timeoutMs: 30 })),
      failure(client.put('b', '1', { timeoutMs: 30 })),
    ]);
    expect(reads.map((error) => error.code)).toEqual(['DEADLINE_EXCEEDED', 'OUTCOME_UNKNOWN']);
    release();
    node.onRows = undefined;
    expect(text((await client.get('a'))?.value)).toBe('one');
    expect(client.stats().channels[0]).toMatchObject({ reconnects: 0 });
  });
});

describe('retries', () => {
  test('of a write whose connection was lost carry the same sequence, and it is applied once', async () => {
    const node = await startNode();
    const client = await connect(node);
    let first = true;
    node.onRows = (rows, call) => {
      if (!first) return call.answer(rows);
      first = false;
      // Applied, but the answer is lost with the connection.
      const { stream } = call;
      stream.cork();
      call.answer(rows);
      node.dropConnections();
    };
    const { version } = await client.put('a', '1', { ifAbsent: true });
    const [sent, again] = node.rows;
    expect(again).toMatchObject({ sequence: sent!.sequence, client: sent!.client, key: sent!.key });
    expect(sent!.ageMs).toBe(0);
    expect(again!.ageMs).toBeGreaterThan(0);
    expect(again!.floor).toBeLessThanOrEqual(again!.sequence);
    expect(version).toEqual({ term: 1, index: 1 });
    expect(client.stats()).toMatchObject({ retries: 1, failed: 0 });
    await client.put('b', '2');
    expect(node.rows.at(-1)).toMatchObject({ sequence: sent!.sequence + 1, floor: sent!.sequence + 1 });
  });

  test('of a commit that timed out carry the same sequence', async () => {
    const node = await startNode();
    let count = 0;
    node.onRow = () => (++count < 3 ? errorDetail('COMMIT_TIMEOUT') : undefined);
    const client = await connect(node);
    await client.put('a', '1');
    expect(new Set(node.rows.map((row) => row.sequence)).size).toBe(1);
    expect(node.rows.length).toBe(3);
  });

  test('never turn a write that may have been applied into a plain failure', async () => {
    const node = await startNode();
    let count = 0;
    node.onRow = () => errorDetail(++count === 1 ? 'COMMIT_TIMEOUT' : 'QUORUM_UNAVAILABLE');
    const client = await connect(node);
    const error = await failure(client.put('a', '1'));
    expect(error.code).toBe('OUTCOME_UNKNOWN');
    expect(error.message).toMatch(/QUORUM_UNAVAILABLE/);
    expect(error.details.attempts.map((attempt) => attempt.code)).toEqual(['COMMIT_TIMEOUT', 'QUORUM_UNAVAILABLE']);
    count = 0;
    node.onRow = () => (++count === 1 ? errorDetail('COMMIT_TIMEOUT') : errorDetail('VERSION_MISMATCH'));
    expect((await failure(client.put('a', '1', { ifVersion: { term: 1, index: 1 } }))).code).toBe('VERSION_MISMATCH');
  });

  test('do not stay with a node that is cut off, when it was the only one that was known to answer', async () => {
    const [cutOff, leader] = [await startNode(), await startNode()];
    const stores = [cutOff, leader].map(({ address }, i) => ({ nodeId: `n${i + 1}`, store: 0, address }));
    const nodes = stores.map(({ nodeId }) => ({ nodeId, state: 1 }));
    const replicas = {
      stores,
      shardReplicaCounts: new Array(16).fill(2),
      shardReplicas: new Array(32).fill(0).map((_, i) => (i % 2) + 1),
    };
    const led = (by: number, term: bigint) => ({
      shardLeaders: new Array(16).fill(by),
      shardTerms: new Array(16).fill(term),
    });
    cutOff.view = { ...cutOff.view, nodes, ...replicas, ...led(1, 2n) };
    leader.view = { ...leader.view, nodes, ...replicas, ...led(2, 3n) };
    cutOff.onRow = () => errorDetail('QUORUM_UNAVAILABLE');
    const client = await connect(cutOff);
    expect((await failure(client.put('a', '1'))).code).toBe('QUORUM_UNAVAILABLE');
    await until(() => leader.connections > 0);
    await until(() => client.stats().channels.every(({ state }) => state === 'ready'));
    await client.put('a', '1');
    expect(leader.keys).toEqual(['a']);
  });

  test('are not made of what cannot succeed', async () => {
    const node = await startNode();
    const client = await connect(node);
    const codes = [
      'INVALID_ARGUMENT',
      'ALREADY_EXISTS',
      'QUORUM_UNAVAILABLE',
      'RESOURCE_EXHAUSTED',
      'OUTCOME_UNKNOWN',
      'CORRUPTION',
      'INTERNAL',
      'UNIMPLEMENTED',
    ] as const;
    for (const code of codes) {
      node.onRow = () => errorDetail(code);
      expect((await failure(client.put('a', '1'))).code).toBe(code);
    }
    expect(node.rows).toHaveLength(codes.length);
    expect(client.stats().failures).toEqual(Object.fromEntries(codes.map((code) => [code, 1])));
  });

  test('wait as long as a node asks for, if the deadline allows it', async () => {
    const node = await startNode();
    let count = 0;
    node.onRow = () => (++count === 1 ? errorDetail('RESOURCE_EXHAUSTED', { retryAfterMs: 20 }) : undefined);
    const client = await connect(node);
    await client.put('a', '1');
    expect(count).toBe(2);
    node.onRow = () => errorDetail('RESOURCE_EXHAUSTED', { retryAfterMs: 60_000 });
    const error = await failure(client.put('a', '1'));
    expect([error.code, error.details.retryAfterMs]).toEqual(['RESOURCE_EXHAUSTED', 60_000]);
  });

  test('follow the hint to the leader at once, and remember it', async () => {
    const leader = await startNode();
    const follower = await startNode();
    const stores = [follower, leader].map((node, i) => ({ nodeId: `n${i}`, store: 0, address: node.address }));
    leader.view = { ...leader.view, stores };
    follower.view = { ...follower.view, stores };
    follower.onRow = () => errorDetail('NOT_LEADER', { leaderAddress: leader.address });
    const client = await connect([follower, leader]);
    await client.put('{t}a', '1');
    await client.put('{t}b', '1');
    expect(leader.keys).toEqual(['{t}a', '{t}b']);
    expect(follower.rows).toHaveLength(1);
  });

  test('wait for a leader to be elected', async () => {
    const node = await startNode();
    let count = 0;
    node.onRow = () => (++count < 4 ? errorDetail('NOT_LEADER') : undefined);
    const client = await connect(node);
    await client.put('a', '1');
    expect(node.rows).toHaveLength(4);
  });

  test('go to the new leader when the view says so, though the old one is still being dialled', async () => {
    const [a, b] = [await startNode(), await startNode()];
    const stores = [a, b].map((node, i) => ({ nodeId: `n${i}`, store: 0, address: node.address }));
    for (const node of [a, b]) node.view = { ...node.view, stores };
    const client = await connect([a, b]);
    await client.put('k', '1');
    expect(a.keys).toEqual(['k']);
    await until(() => client.stats().channels.filter((channel) => channel.state === 'ready').length === 2);
    b.onRow = () => errorDetail('NOT_LEADER', { leaderAddress: a.address });
    await a.stop();
    const write = client.put('k', '2');
    await until(() => b.rows.length > 0);
    b.onRow = undefined;
    b.publish({ shardLeaders: new Array(16).fill(2) });
    await write;
    expect(b.keys).toEqual(['k']);
  });

  test('are sent to the new leader, reads and writes alike, while the old one does not answer', async () => {
    const [a, b] = [await startNode(), await startNode()];
    const stores = [a, b].map((node, i) => ({ nodeId: `n${i}`, store: 0, address: node.address }));
    const terms = (term: bigint) => new Array(16).fill(term);
    for (const node of [a, b]) node.view = { ...node.view, stores, shardTerms: terms(1n) };
    const client = await connect([a, b], { pingIntervalMs: 60_000 });
    await client.put('k', '1');
    await until(() => client.stats().channels.filter((channel) => channel.state === 'ready').length === 2);
    a.onRow = () => 'silence';
    const [write, read] = [client.put('k', '2'), client.get('other')];
    await until(() => a.rows.length === 3);
    // Of the same epoch: leaders change within one.
    b.publish({ epoch: b.view.epoch, shardLeaders: new Array(16).fill(2), shardTerms: terms(2n) });
    await write;
    expect(await read).toBeUndefined();
    expect(b.keys).toEqual(['k']);
    const [first, again] = [a.rows, b.rows].map(
      (rows) => rows.find(({ kind, value }) => kind === 2 && value[0] === 50)!,
    );
    expect(again).toMatchObject({ sequence: first!.sequence, client: first!.client });
    expect(again!.ageMs).toBeGreaterThan(0);
    // What the old leader says of the old term does not bring it back.
    a.publish({ epoch: a.view.epoch });
    await client.put('k', '3');
    expect(client.stats()).toMatchObject({ pending: 0, failed: 0 });
    expect(a.rows).toHaveLength(3);
  });
});

describe('connections', () => {
  test('are made again when the node comes back, under load, without losing an operation', async () => {
    const node = await startNode();
    const client = await connect(node);
    let done = 0;
    let running = true;
    const callers = Array.from({ length: 32 }, async (_, caller) => {
      for (let i = 0; running; i++) {
        await client.put(`k${caller}`, `${i}`);
        done++;
      }
    });
    for (let round = 0; round < 5; round++) {
      const before = done;
      await until(() => done > before + 100);
      await node.stop();
      await node.listen();
    }
    const before = done;
    await until(() => done > before + 100);
    running = false;
    await Promise.all(callers);
    expect(client.stats()).toMatchObject({ failed: 0, pending: 0, pendingBytes: 0 });
    expect(client.stats().channels[0]!.reconnects).toBeGreaterThanOrEqual(5);
  });

  test('end when a node sends garbage, half a frame or answers to nothing, and are made again', async () => {
    const node = await startNode();
    const client = await connect(node);
    await client.put('a', 'one');
    const misdeeds: ((send: (raw: Uint8Array) => void, end: () => void) => void)[] = [
      (send) => send(new TextEncoder().encode('HTTP/1.1 500 Oops\r\n\r\n')),
      (send) => send(Uint8Array.of(0, 0, 0, 0, 3, 255, 255, 255)),
      (send) => send(Uint8Array.of(0, 255, 255, 255, 255)),
      (send) => send(Uint8Array.of(1, 0, 0, 0, 0)),
      (send) => send(Uint8Array.of(0, 0, 0, 0, 7, 10, 2, 231, 7, 18, 1, 1)),
      (send, end) => {
        send(Uint8Array.of(0, 0, 0, 0, 200, 1, 2, 3));
        end();
      },
      (_, end) => end(),
    ];
    for (const misdeed of misdeeds) {
      node.onRows = (_rows, call) => {
        node.onRows = undefined;
        misdeed(
          (raw) => call.stream.write(raw),
          () => call.stream.end(),
        );
      };
      expect(text((await client.get('a'))?.value)).toBe('one');
    }
    expect(client.stats().channels[0]!.reconnects).toBe(misdeeds.length);
  });

  test('end when the node does not answer pings', async () => {
    const node = await startNode();
    const client = await connect(node, { pingIntervalMs: 20, pingTimeoutMs: 30, connectTimeoutMs: 30 });
    await client.put('a', '1');
    const frozen = await freeze(node.address);
    afterwards(async () => frozen.close());
    // A second client, connected through a proxy that goes silent.
    const through = await NoriClient.connect({
      endpoints: [frozen.address],
      pingIntervalMs: 20,
      pingTimeoutMs: 30,
      connectTimeoutMs: 30,
    });
    afterwards(() => through.close());
    await through.put('b', '1');
    frozen.freeze();
    await until(() => through.stats().channels[0]?.lastError?.includes('ping') === true);
    expect((await failure(through.get('b', { timeoutMs: 50 }))).code).toBe('DEADLINE_EXCEEDED');
    frozen.thaw();
    expect(text((await through.get('b'))?.value)).toBe('1');
  });

  test('let a node that goes away finish, and come back', async () => {
    const node = await startNode();
    const client = await connect(node);
    await client.put('a', '1');
    let answer = () => {};
    node.onRows = (rows, call) => {
      node.onRows = undefined;
      answer = () => call.answer(rows);
    };
    const slow = client.get('a');
    await until(() => node.rows.length === 2);
    node.goAway();
    await new Promise((resolve) => setTimeout(resolve, 10));
    answer();
    expect(text((await slow)?.value)).toBe('1');
    expect(text((await client.get('a'))?.value)).toBe('1');
    expect(client.stats()).toMatchObject({ failed: 0 });
  });
});

describe('bounds', () => {
  test('more operations or bytes than allowed fail at once, and there is room again when others are done', async () => {
    const node = await startNode({ onRows: () => {} });
    const client = await connect(node, { pendingOperationsMax: 10, pendingBytesMax: 10_000 });
    const pending = Array.from({ length: 10 }, () => client.get('a', { timeoutMs: 50 }).catch((error) => error.code));
    const full = await failure(client.get('b'));
    expect(full.code).toBe('RESOURCE_EXHAUSTED');
    expect(full.message).toMatch(/Client queue full: 10 operations.*pendingOperationsMax/);
    expect(new Set(await Promise.all(pending))).toEqual(new Set(['DEADLINE_EXCEEDED']));
    expect((await failure(client.put('b', 'x'.repeat(10_000)))).code).toBe('RESOURCE_EXHAUSTED');
    node.onRows = undefined;
    await client.put('b', 'x'.repeat(1000));
  });

  test('no more is in flight to a node than allowed; the rest waits its turn', async () => {
    const node = await startNode();
    let most = 0;
    let held: (() => void)[] = [];
    node.onRows = (rows, call) => {
      held.push(() => call.answer(rows));
    };
    const client = await connect(node, { inFlightBytesMax: 50_000 });
    const writes = Promise.all(Array.from({ length: 400 }, (_, i) => client.put(`k${i}`, new Uint8Array(1000))));
    let all = false;
    writes.then(() => {
      all = true;
    });
    while (!all) {
      most = Math.max(most, client.stats().channels[0]!.inFlight);
      const now = held;
      held = [];
      for (const answer of now) answer();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(most).toBeLessThan(400);
    expect(node.keys).toHaveLength(400);
  });
});

describe('closing', () => {
  test('rejects what is pending, and what comes afterwards', async () => {
    const node = await startNode({ onRow: (row) => (row.key[0] === 0x61 ? undefined : 'silence') });
    const client = await connect(node);
    await client.put('a', '1');
    const read = failure(client.get('b'));
    const write = failure(client.put('b', '1'));
    await until(() => node.rows.length === 3);
    const queued = failure(client.put('c', '1'));
    await client.close();
    await client.close();
    expect((await read).code).toBe('CLIENT_CLOSED');
    expect((await write).code).toBe('OUTCOME_UNKNOWN');
    expect((await queued).code).toBe('CLIENT_CLOSED');
    expect((await failure(client.get('a'))).code).toBe('CLIENT_CLOSED');
    expect(client.stats()).toMatchObject({ pending: 0, pendingBytes: 0, channels: [] });
  });

  test('happens by itself at the end of a scope', async () => {
    const node = await startNode();
    let outside: NoriClient;
    {
      await using client = await connect(node);
      outside = client;
      await client.put('a', '1');
    }
    expect((await failure(outside.get('a'))).code).toBe('CLIENT_CLOSED');
  });
});

/** A proxy that can go silent without closing anything, as a hung machine does. */
const freeze = async (target: string) => {
  const { connect: dial } = await import('node:net');
  const [host, port] = target.split(':') as [string, string];
  const sockets = new Set<import('node:net').Socket>();
  let frozen = false;
  const server = createServer((inner) => {
    const outer = dial(Number(port), host);
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => !frozen && to.write(chunk));
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as { port: number }).port}`,
    freeze: () => {
      frozen = true;
    },
    thaw: () => {
      frozen = false;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
};
