import { describe, expect, test } from 'vitest';
import type { NoriClient } from '../src/index.js';
import type { FakeNode } from './support/fake-node.js';
import { connect, failure, startNode, text } from './support/harness.js';

describe('reading and writing', () => {
  test('a value comes back with its version', async () => {
    const client = await connect(await startNode());
    const { version } = await client.put('user:42', 'alice');
    expect(await client.get('user:42')).toEqual({ value: new TextEncoder().encode('alice'), version });
    expect(await client.get('user:43')).toBeUndefined();
  });

  test('empty values and binary keys come back as they went in', async () => {
    const client = await connect(await startNode());
    const key = Uint8Array.of(0, 255, 128, 0, 10, 13);
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    await Promise.all([client.put(key, ''), client.put('all', all), client.put(Uint8Array.of(0), new Uint8Array(0))]);
    const [empty, bytes, zero] = await client.getMany([key, 'all', Uint8Array.of(0)]);
    expect(empty?.value).toEqual(new Uint8Array(0));
    expect(Object.getPrototypeOf(bytes?.value)).toBe(Uint8Array.prototype);
    expect(bytes?.value).toEqual(all);
    expect(zero?.value).toEqual(new Uint8Array(0));
  });

  test('a delete says whether there was something to delete', async () => {
    const client = await connect(await startNode());
    await client.put('a', '1');
    expect(await client.delete('a')).toMatchObject({ deleted: true });
    expect(await client.delete('a')).toMatchObject({ deleted: false, version: { term: 1 } });
  });

  test('conditions that do not hold fail with the version the key has', async () => {
    const client = await connect(await startNode());
    const { version } = await client.put('a', '1', { ifAbsent: true });
    const exists = await failure(client.put('a', '2', { ifAbsent: true }));
    expect([exists.code, exists.details.current]).toEqual(['ALREADY_EXISTS', version]);
    const mismatch = await failure(client.put('a', '2', { ifVersion: { term: 7, index: 7 } }));
    expect([mismatch.code, mismatch.details.current]).toEqual(['VERSION_MISMATCH', version]);
    expect((await failure(client.delete('b', { ifVersion: version }))).details.current).toBeUndefined();
    await client.put('a', '3', { ifVersion: version });
    expect(text((await client.get('a'))?.value)).toBe('3');
  });

  test('what a tick asks for travels in one frame', async () => {
    const node = await startNode();
    const client = await connect(node);
    await Promise.all(Array.from({ length: 50 }, (_, i) => client.put(`k${i}`, `v${i}`)));
    expect(node.frames.length).toBe(1);
    const values = await client.getMany(Array.from({ length: 50 }, (_, i) => `k${i}`));
    expect(values.map((v) => text(v?.value))).toEqual(Array.from({ length: 50 }, (_, i) => `v${i}`));
    expect(node.frames.length).toBe(2);
  });

  test('every get reaches the node', async () => {
    const node = await startNode();
    const client = await connect(node);
    await Promise.all([client.get('a'), client.get('a'), client.get('a')]);
    expect(node.rows.filter((row) => row.kind === 1)).toHaveLength(3);
  });

  test('options of each operation reach the node', async () => {
    const node = await startNode();
    const client = await connect(node);
    const slow = { timeoutMs: 60_000 };
    await Promise.all([
      client.get('a', { consistency: 'linearizable' }),
      client.get('b', { consistency: 'stale_ok' }),
      client.get('c'),
      client.put('d', '1', { ttlMs: 5000, timeoutMs: 700 }),
      client.put('e', '1', { ...slow, ifAbsent: true }),
    ]);
    expect(node.rows.map((row) => row.consistency)).toEqual([2, 3, 0, 0, 0]);
    expect(node.rows.map((row) => row.ttlMs)).toEqual([0, 0, 0, 5000, 0]);
    expect(node.rows.map((row) => row.ifAbsent)).toEqual([false, false, false, false, true]);
    expect(node.rows[3]?.timeoutMs).toBeLessThanOrEqual(700);
    expect(node.rows[4]?.timeoutMs).toBeGreaterThan(50_000);
  });

  test('values of the largest size come back, many at once', async () => {
    const client = await connect(await startNode(), { pendingBytesMax: 2 ** 30 });
    const values = Array.from({ length: 24 }, (_, i) => new Uint8Array(1024 * 1024).fill(i));
    await Promise.all(values.map((value, i) => client.put(`big${i}`, value)));
    const got = await client.getMany(values.map((_, i) => `big${i}`));
    got.forEach((each, i) => {
      expect(Buffer.compare(each!.value, values[i]!)).toBe(0);
    });
  });

  test('what can be refused is refused before it is sent, naming limit and size', async () => {
    const node = await startNode();
    const client = await connect(node);
    const wrong: [Promise<unknown>, RegExp][] = [
      [client.put('', 'x'), /key is empty/],
      [client.get('k'.repeat(1025)), /1025 bytes.*1024/],
      [client.put('k', new Uint8Array(1024 * 1024 + 1)), /1048577 bytes.*1048576/],
      [client.put('k', 'v', { ttlMs: -1 }), /ttlMs is -1/],
      [client.put('k', 'v', { ttlMs: 1.5 }), /ttlMs is 1.5/],
      [client.get('k', { consistency: 'eventual' as never }), /consistency is "eventual"; allowed are lease/],
      [client.get('k', { timeoutMs: 0 }), /timeoutMs is 0/],
      [client.get(7 as never), /key must be/],
      [client.get('k', { signal: {} as never }), /signal must be/],
      [client.put('k', 'v', { ifAbsent: true, ifVersion: { term: 1, index: 1 } }), /exclude/],
      [client.put('k', 'v', { ifVersion: { term: 1 } as never }), /ifVersion.index is undefined/],
      [client.batch([{ type: 'move' } as never]), /operations\[0\].type/],
      [client.batch(Array.from({ length: 3 }, () => ({ type: 'put', key: 'a', value: 'v'.repeat(1e6) }))), /2097152/],
      [client.batch(Array.from({ length: 5000 }, () => ({ type: 'delete', key: 'a' }))), /5000 operations.*4096/],
    ];
    for (const [promise, message] of wrong) {
      const error = await failure(promise);
      expect(error.code).toBe('INVALID_ARGUMENT');
      expect(error.message).toMatch(message);
    }
    expect(node.rows).toEqual([]);
  });
});

describe('batches', () => {
  test('of one shard happen together, with results in order', async () => {
    const node = await startNode();
    const client = await connect(node);
    await client.put('{u}:old', 'x');
    const results = await client.batch([
      { type: 'put', key: '{u}:name', value: 'alice' },
      { type: 'delete', key: '{u}:old' },
      { type: 'delete', key: '{u}:none' },
    ]);
    expect(results).toMatchObject([{ version: {} }, { deleted: true }, { deleted: false }]);
    expect(node.rows.slice(1).map((row) => row.atomicCount)).toEqual([3, 0, 0]);
    expect(new Set(node.rows.slice(1).map((row) => row.sequence)).size).toBe(1);
  });

  test('of one shard fail together', async () => {
    const client = await connect(await startNode());
    await client.put('{u}:b', 'x');
    const error = await failure(
      client.batch([
        { type: 'put', key: '{u}:a', value: '1' },
        { type: 'put', key: '{u}:b', value: '2', ifAbsent: true },
      ]),
    );
    expect(error.code).toBe('ALREADY_EXISTS');
    expect(await client.get('{u}:a')).toBeUndefined();
    expect(client.stats().pending).toBe(0);
  });

  test('across shards are refused, unless each operation may stand for itself', async () => {
    const node = await startNode();
    const client = await connect(node);
    const operations = Array.from({ length: 20 }, (_, i) => ({ type: 'put' as const, key: `k${i}`, value: '1' }));
    expect((await failure(client.batch(operations))).code).toBe('CROSS_SHARD');
    expect(node.rows).toEqual([]);
    expect(await client.batch(operations, { atomic: false })).toHaveLength(20);
    const again = await failure(
      client.batch([...operations.slice(0, 2).map((o) => ({ ...o, ifAbsent: true })), operations[2]!], {
        atomic: false,
      }),
    );
    expect(again.code).toBe('ALREADY_EXISTS');
    expect(again.details.results).toMatchObject([
      { code: 'ALREADY_EXISTS' },
      { code: 'ALREADY_EXISTS' },
      { version: {} },
    ]);
  });

  test('without operations do nothing', async () => {
    expect(await (await connect(await startNode())).batch([])).toEqual([]);
  });
});

describe('scans', () => {
  const fill = async (client: NoriClient, count: number) => {
    const name = (i: number) => `k${String(i).padStart(5, '0')}`;
    await client.batch(
      Array.from({ length: count }, (_, i) => ({ type: 'put' as const, key: name(i), value: `${i}` })),
      { atomic: false },
    );
    return name;
  };
  const collect = async (entries: AsyncIterable<{ key: Uint8Array }>) => {
    const keys: string[] = [];
    for await (const { key } of entries) keys.push(text(key)!);
    return keys;
  };

  test('go through all pages in order, forwards and backwards, within bounds and limit', async () => {
    const node = await startNode();
    const client = await connect(node);
    const name = await fill(client, 2500);
    const keys = Array.from({ length: 2500 }, (_, i) => name(i));
    expect(await collect(client.scan())).toEqual(keys);
    expect(node.scans).toBe(3);
    expect(await collect(client.scan({ reverse: true, limit: 3 }))).toEqual(keys.slice(-3).reverse());
    expect(await collect(client.scan({ gte: name(5), lt: name(8) }))).toEqual(keys.slice(5, 8));
    expect(await collect(client.scan({ gt: name(5), lte: name(8) }))).toEqual(keys.slice(6, 9));
    expect(await collect(client.scan({ prefix: 'k0001' }))).toEqual(keys.slice(10, 20));
    expect(await collect(client.scan({ limit: 0 }))).toEqual([]);
  });

  test('fetch the next page ahead, and stop when the caller does', async () => {
    const node = await startNode();
    const client = await connect(node);
    await fill(client, 3500);
    for await (const { key } of client.scan()) if (text(key) === 'k00000') break;
    expect(node.scans).toBeLessThanOrEqual(2);
  });

  test('fetch a page again that failed for a passing reason', async () => {
    const node = await startNode();
    const client = await connect(node);
    await fill(client, 10);
    node.onScan = (count) => (count < 3 ? 14 : undefined);
    expect(await collect(client.scan())).toHaveLength(10);
    expect(node.scans).toBe(3);
  });

  test.each<[string, (node: FakeNode) => void]>([
    ['connection was lost', (node) => node.dropConnections()],
    ['node resets the pipeline beside it', (node) => node.endPipelines((stream) => stream.close(8))],
    ['node ends the pipeline beside it', (node) => node.endPipelines((stream) => stream.end())],
  ])('fetch a page again when the %s', async (_what, misdeed) => {
    const node = await startNode();
    const client = await connect(node);
    await fill(client, 10);
    node.onScan = (count) => {
      if (count > 1) return undefined;
      setImmediate(() => misdeed(node));
      return -1;
    };
    expect(await collect(client.scan())).toHaveLength(10);
    expect(node.scans).toBe(2);
    await client.put('after', '1');
  });

  test('end at their deadline, on abort, and at once for bad options', async () => {
    const node = await startNode();
    const client = await connect(node);
    node.onScan = () => -1;
    expect((await failure(collect(client.scan({ timeoutMs: 50 })))).code).toBe('DEADLINE_EXCEEDED');
    const controller = new AbortController();
    const aborted = failure(collect(client.scan({ signal: controller.signal })));
    setImmediate(() => controller.abort());
    expect((await aborted).code).toBe('CANCELLED');
    expect(() => client.scan({ gt: 'a', gte: 'a' })).toThrow(/exclude/);
    expect(() => client.scan({ limit: -1 })).toThrow(/limit is -1/);
    node.onScan = () => 3;
    expect((await failure(collect(client.scan()))).code).toBe('INVALID_ARGUMENT');
  });

  test('end when the client closes', async () => {
    const node = await startNode();
    const client = await connect(node);
    node.onScan = () => -1;
    const ended = failure(collect(client.scan()));
    setImmediate(() => client.close());
    expect((await ended).code).toBe('CLIENT_CLOSED');
  });
});

describe('watching the cluster', () => {
  test('shows leaders that change within an epoch', async () => {
    const node = await startNode();
    const stores = [node.address, 'other:1'].map((address, i) => ({ nodeId: `n${i + 1}`, store: 0, address }));
    node.view = { ...node.view, stores, shardTerms: new Array(16).fill(1n) };
    const client = await connect(node);
    const watch = client.watchCluster();
    expect((await watch.next()).value).toMatchObject({ epoch: 1, shardLeaders: new Array(16).fill(0) });
    const next = watch.next();
    const { epoch } = node.view;
    node.publish({ epoch, shardLeaders: [2, ...new Array(15).fill(1)], shardTerms: [2n, ...new Array(15).fill(1n)] });
    expect((await next).value).toMatchObject({ epoch: 1, shardLeaders: [1, ...new Array(15).fill(0)] });
  });

  test('yields the view of now and each newer one, and ends when the client closes', async () => {
    const node = await startNode();
    const client = await connect(node);
    const watch = client.watchCluster();
    expect((await watch.next()).value).toMatchObject({ clusterId: '09'.repeat(16), epoch: 1, shardCount: 16 });
    const next = watch.next();
    node.publish({
      nodes: [
        { nodeId: 'n1', state: 1 },
        { nodeId: 'n2', state: 3 },
      ],
    });
    expect((await next).value).toMatchObject({
      epoch: 2,
      nodes: [{ state: 'alive' }, { nodeId: 'n2', state: 'dead' }],
    });
    const last = watch.next();
    await client.close();
    expect(await last).toEqual({ done: true, value: undefined });
  });

  test('can be left while it waits, and goes on after a reconnect', async () => {
    const node = await startNode();
    const client = await connect(node);
    const left = client.watchCluster();
    await left.next();
    const pending = left.next();
    await left.return?.();
    expect((await pending).done).toBe(true);
    const watch = client.watchCluster();
    await watch.next();
    const next = watch.next();
    await node.stop();
    node.view = { ...node.view, epoch: 5n };
    await node.listen();
    expect((await next).value).toMatchObject({ epoch: 5 });
    const controller = new AbortController();
    const aborted = failure(
      (async () => {
        for await (const _ of client.watchCluster({ signal: controller.signal })) controller.abort();
      })(),
    );
    expect((await aborted).code).toBe('CANCELLED');
  });
});
