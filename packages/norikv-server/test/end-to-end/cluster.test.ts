// Three processes form a cluster; one is killed, the store goes on; it comes back and has everything.
import { NoriClient } from 'norikv-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LaunchedNode, temporaryDir } from './launch.js';
import { type ClusterPlan, launchMember, planCluster } from './launch-cluster.js';

const NODES = [1, 2, 3];
const KEYS = 200;

let dir: Awaited<ReturnType<typeof temporaryDir>>;
let plan: ClusterPlan;
const nodes = new Map<number, LaunchedNode>();

const launch = async (number: number): Promise<LaunchedNode> => {
  const node = await launchMember(plan, number);
  nodes.set(number, node);
  return node;
};

beforeAll(async () => {
  dir = await temporaryDir();
  plan = await planCluster(dir.path, NODES.length);
  await Promise.all(NODES.map(launch));
});
afterAll(async () => {
  await Promise.all([...nodes.values()].map((node) => node.kill()));
  await dir.remove();
});

interface View {
  readonly clusterId: string;
  readonly epoch: number;
  readonly replicationFactor: number;
  readonly nodes: readonly { readonly nodeId: string; readonly state: string }[];
  readonly stores: readonly { readonly nodeId: string; readonly address: string }[];
  readonly shardLeaders: readonly number[];
  readonly replicaCounts: readonly number[];
}

const viewOf = async (number: number): Promise<View> =>
  (await (await fetch(`${nodes.get(number)!.http}/meta/cluster`)).json()) as View;

const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  for (let i = 0; i < 150; i++) {
    if (await holds().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`Waited in vain until ${what}\n${[...nodes.values()].map((node) => node.log()).join('\n')}`);
};

/** Elections may take longer on a machine that is busy: what nobody led in time is asked again. */
const persist = async <T>(ask: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (attempt === 10 || (error as { code?: unknown }).code !== 'QUORUM_UNAVAILABLE') throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
};

const put = async (through: number, from: number, value: string): Promise<void> => {
  const client = await NoriClient.connect({ endpoints: [nodes.get(through)!.rpc] });
  try {
    for (let i = 0; i < KEYS; i += 50) {
      await Promise.all(
        Array.from({ length: 50 }, (_, j) =>
          persist(() => client.put(`key ${from + i + j}`, value, { timeoutMs: 20_000 })),
        ),
      );
    }
  } finally {
    await client.close();
  }
};

const missing = async (through: number, from: number, value: string): Promise<string[]> => {
  const client = await NoriClient.connect({ endpoints: [nodes.get(through)!.rpc] });
  try {
    const wrong: string[] = [];
    await Promise.all(
      Array.from({ length: KEYS }, async (_, i) => {
        const found = await persist(() => client.get(`key ${from + i}`, { timeoutMs: 20_000 }));
        if (found === undefined || new TextDecoder().decode(found.value) !== value) wrong.push(`key ${from + i}`);
      }),
    );
    return wrong;
  } finally {
    await client.close();
  }
};

test('three nodes form one cluster and agree on all shards, their leaders spread evenly', async () => {
  await until('all views are alike', async () => {
    const views = await Promise.all(NODES.map(viewOf));
    return views.every((view) => view.epoch === views[0]!.epoch && view.nodes.every(({ state }) => state === 'alive'));
  });
  const views = await Promise.all(NODES.map(viewOf));
  for (const view of views) {
    expect(view.clusterId).toBe(views[0]!.clusterId);
    expect(view.replicationFactor).toBe(3);
    expect(view.nodes.map(({ nodeId }) => nodeId)).toEqual(['n1', 'n2', 'n3']);
    expect(view.stores.map(({ address }) => address)).toEqual(NODES.map((number) => nodes.get(number)!.rpc));
    expect(view.replicaCounts).toEqual(new Array(1024).fill(3));
    const led = [1, 2, 3].map((position) => view.shardLeaders.filter((leader) => leader === position).length);
    expect(Math.max(...led) - Math.min(...led)).toBeLessThanOrEqual(1);
  }
});

test('what is written through one node is read through every other', { timeout: 120_000 }, async () => {
  await put(1, 0, 'first');
  for (const number of NODES) expect(await missing(number, 0, 'first'), `through n${number}`).toEqual([]);
});

test('one node is killed: the others go on; it comes back and takes part again', { timeout: 120_000 }, async () => {
  await nodes.get(2)!.kill();
  await put(3, 1000, 'second');
  expect(await missing(1, 0, 'first')).toEqual([]);
  expect(await missing(1, 1000, 'second')).toEqual([]);
  await until('n2 is known to be dead', async () => (await viewOf(1)).nodes[1]!.state === 'dead');
  const led = (await viewOf(1)).shardLeaders;
  expect(led).not.toContain(2);

  await launch(2);
  expect(await missing(2, 1000, 'second')).toEqual([]);
  // Now n2 is needed for a majority.
  await nodes.get(3)!.kill();
  await put(2, 2000, 'third');
  expect(await missing(1, 2000, 'third')).toEqual([]);
  await launch(3);
  await until('leaders are back where they belong', async () => {
    const { shardLeaders } = await viewOf(1);
    return Math.min(...[1, 2, 3].map((at) => shardLeaders.filter((leader) => leader === at).length)) >= 341;
  });
});

test('one node is stopped: it hands its shards over before it ends', { timeout: 120_000 }, async () => {
  const stopped = nodes.get(1)!;
  expect(await stopped.stop()).toBe(0);
  const told = stopped.log().match(/\{[^\n]*Other nodes lead what this one has led[^\n]*\}/)?.[0];
  expect(told, stopped.log()).toBeDefined();
  expect((JSON.parse(told!) as { handedOver: number }).handedOver).toBeGreaterThan(0);
  await put(3, 3000, 'fourth');
  await launch(1);
  expect(await missing(1, 3000, 'fourth')).toEqual([]);
});

test('all end, all start again, and everything is there', { timeout: 120_000 }, async () => {
  const codes = await Promise.all([...nodes.values()].map((node) => node.stop()));
  expect(codes).toEqual([0, 0, 0]);
  await Promise.all(NODES.map(launch));
  for (const [from, value] of [
    [0, 'first'],
    [1000, 'second'],
    [2000, 'third'],
    [3000, 'fourth'],
  ] as const) {
    expect(await missing(1, from, value)).toEqual([]);
  }
});
