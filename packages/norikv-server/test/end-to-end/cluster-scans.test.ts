// Scans of clusters of real processes: asked of any node they give the ordered union of what all nodes lead.
import { NoriClient, type ScanOptions } from 'norikv-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LaunchedNode, temporaryDir } from './launch.js';
import { type ClusterPlan, launchMember, planCluster } from './launch-cluster.js';

let dir: Awaited<ReturnType<typeof temporaryDir>>;
let plan: ClusterPlan;
const nodes: LaunchedNode[] = [];
const clients: NoriClient[] = [];

beforeEach(async () => {
  dir = await temporaryDir();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all(nodes.splice(0).map((node) => node.kill()));
  await dir.remove();
});

const launch = async (count: number): Promise<void> => {
  plan = await planCluster(dir.path, count);
  await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      nodes[i] = await launchMember(plan, i + 1);
    }),
  );
};

const connect = async (...through: readonly number[]): Promise<NoriClient> => {
  const client = await NoriClient.connect({ endpoints: through.map((number) => nodes[number - 1]!.rpc) });
  clients.push(client);
  return client;
};

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const scan = async (client: NoriClient, options: ScanOptions = {}): Promise<[string, string][]> => {
  const found: [string, string][] = [];
  for await (const { key, value } of client.scan({ timeoutMs: 30_000, ...options }))
    found.push([text(key), text(value)]);
  return found;
};

/** One page as the node gives it, whatever other nodes there are: through the unary call, as any gRPC client would. */
const page = async (number: number, request: Record<string, unknown>) => {
  const response = await fetch(`http://${nodes[number - 1]!.rpc}/norikv.v1.Kv/Scan`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  return {
    status: response.status,
    body: (await response.json()) as { entries?: { key: string; value?: string }[]; nextToken?: string; code?: string },
  };
};

/** All pages of one node, as keys. */
const pages = async (
  number: number,
  request: Record<string, unknown>,
): Promise<{ keys: string[]; sizes: number[] }> => {
  const keys: string[] = [];
  const sizes: number[] = [];
  let token: string | undefined;
  do {
    const { status, body } = await page(number, token === undefined ? request : { ...request, token });
    expect(status, JSON.stringify(body)).toBe(200);
    const entries = body.entries ?? [];
    keys.push(...entries.map(({ key }) => Buffer.from(key, 'base64').toString()));
    sizes.push(entries.length);
    token = body.nextToken;
  } while (token !== undefined && token !== '');
  return { keys, sizes };
};

const persist = async <T>(ask: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (attempt === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
};

const fill = async (client: NoriClient, model: Map<string, string>, prefix: string, count: number): Promise<void> => {
  const keys = Array.from({ length: count }, (_, i) => `${prefix}${String((i * 7919) % 10_000).padStart(5, '0')}`);
  for (let i = 0; i < count; i += 50) {
    await Promise.all(
      keys.slice(i, i + 50).map((key, j) => {
        const value = `${key} ${'x'.repeat((i + j) % 40 === 0 ? 5_000 : 20)}`;
        model.set(key, value);
        return persist(() => client.put(key, value, { timeoutMs: 20_000 }));
      }),
    );
  }
};

const rowsOf = (model: ReadonlyMap<string, string>, keep: (key: string) => boolean = () => true): [string, string][] =>
  [...model].filter(([key]) => keep(key)).sort(([a], [b]) => (a < b ? -1 : 1));

describe('a cluster of three nodes', { timeout: 180_000 }, () => {
  beforeEach(() => launch(3), 60_000);

  test('gives every key in order, whichever node is asked, shards that were never written to included', async () => {
    for (const number of [1, 2, 3]) expect((await pages(number, {})).keys, `empty, n${number}`).toEqual([]);
    expect((await (await fetch(`${nodes[0]!.http}/health`)).json()) as object).toMatchObject({ activeShards: 0 });
    const client = await connect(1, 2, 3);
    const model = new Map<string, string>();
    await fill(client, model, 'few:', 5);
    for (const number of [1, 2, 3]) {
      expect((await pages(number, {})).keys).toEqual(rowsOf(model).map(([key]) => key));
    }
    await fill(client, model, 'a:', 300);
    await fill(client, model, 'b:', 300);
    for (let i = 0; i < 20; i++) {
      model.set(`{t}${i}`, `${i}`);
      await client.put(`{t}${i}`, `${i}`);
    }
    const all = rowsOf(model).map(([key]) => key);
    for (const number of [1, 2, 3]) {
      for (const consistency of ['CONSISTENCY_LEASE', 'CONSISTENCY_LINEARIZABLE']) {
        const forward = await pages(number, { consistency, limit: 200 });
        expect(forward.keys, `${consistency}, n${number}`).toEqual(all);
        expect(Math.max(...forward.sizes)).toBeLessThanOrEqual(200);
        expect((await pages(number, { consistency, reverse: true, limit: 70 })).keys).toEqual([...all].reverse());
      }
      expect((await pages(number, { limit: 10 })).sizes.slice(0, -1).every((size) => size === 10)).toBe(true);
    }
    expect(await scan(client)).toEqual(rowsOf(model));
    expect(await scan(client, { prefix: 'b:', limit: 17 })).toEqual(
      rowsOf(model, (key) => key.startsWith('b:')).slice(0, 17),
    );
    expect(await scan(client, { gt: 'a:05000', lte: 'b:00500', reverse: true })).toEqual(
      rowsOf(model, (key) => key > 'a:05000' && key <= 'b:00500').reverse(),
    );
    expect(await scan(client, { prefix: '{t}' })).toEqual(rowsOf(model, (key) => key.startsWith('{t}')));
    await Promise.all(['a:00000', 'b:07919'].map((key) => client.delete(key)));
    for (const key of ['a:00000', 'b:07919']) model.delete(key);
    expect(await scan(client)).toEqual(rowsOf(model));
    const stale = await scan(client, { consistency: 'stale_ok' });
    expect(stale.length).toBeGreaterThan(500);
    expect(stale.map(([key]) => key)).toEqual(stale.map(([key]) => key).sort());
  });

  test('carries values of a megabyte', async () => {
    const client = await connect(1, 2, 3);
    const model = new Map<string, string>();
    for (let i = 0; i < 8; i++) model.set(`big ${i}`, String(i).repeat(i % 3 === 0 ? 1024 * 1024 : 300_000));
    for (const [key, value] of model) await persist(() => client.put(key, value, { timeoutMs: 20_000 }));
    const sizesOf = (rows: [string, string][]) => rows.map(([key, value]) => `${key} ${value[0]} ${value.length}`);
    expect(sizesOf(await scan(client))).toEqual(sizesOf(rowsOf(model)));
    for (const number of [1, 2, 3]) {
      expect((await pages(number, { reverse: true })).keys).toEqual(
        rowsOf(model)
          .map(([key]) => key)
          .reverse(),
      );
    }
  });

  test('goes on when a node is killed, and while one is paused', async () => {
    const client = await connect(1, 3);
    const model = new Map<string, string>();
    await fill(client, model, 'k:', 200);
    nodes[1]!.process.kill('SIGSTOP');
    expect(await persist(() => scan(client))).toEqual(rowsOf(model));
    await nodes[1]!.kill();
    await fill(client, model, 'later:', 50);
    expect(await persist(() => scan(client))).toEqual(rowsOf(model));
    for (const number of [1, 3]) expect((await pages(number, {})).keys).toEqual(rowsOf(model).map(([key]) => key));
    // Alone a node cannot know, says so within the time it is given, and still gives what it has to those who ask for no more.
    await nodes[2]!.kill();
    const { status, body } = await page(1, {});
    expect(status, JSON.stringify(body)).toBe(503);
    const stale = await pages(1, { consistency: 'CONSISTENCY_STALE_OK' });
    expect(stale.keys.length).toBeGreaterThan(200);
    const started = await fetch(`http://${nodes[0]!.rpc}/norikv.v1.Kv/Scan`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'connect-timeout-ms': '300' },
      body: '{}',
    });
    expect(((await started.json()) as { code: string }).code).toBe('deadline_exceeded');
  });
});

describe('a cluster of five nodes, three of which have a shard', { timeout: 240_000 }, () => {
  beforeEach(() => launch(5), 120_000);

  test('gives every key in order, whichever node is asked', async () => {
    const client = await connect(1, 2, 3, 4, 5);
    const model = new Map<string, string>();
    await fill(client, model, 'k:', 300);
    const all = rowsOf(model).map(([key]) => key);
    for (const number of [1, 2, 3, 4, 5]) {
      expect((await pages(number, { limit: 150 })).keys, `n${number}`).toEqual(all);
      expect((await pages(number, { reverse: true })).keys, `n${number}`).toEqual([...all].reverse());
      await persist(async () => {
        expect((await pages(number, { consistency: 'CONSISTENCY_STALE_OK' })).keys, `n${number}`).toEqual(all);
      });
    }
    // Who has no replica of a shard cannot say that a key is not there, however old the answer may be.
    for (const node of nodes) {
      for (const key of all.slice(0, 40)) {
        const { status } = await fetch(`${node.http}/kv/${encodeURIComponent(key)}?consistency=stale_ok`);
        expect(status, key).not.toBe(404);
      }
    }
    await nodes[4]!.kill();
    expect(await persist(() => scan(client))).toEqual(rowsOf(model));
  });
});
