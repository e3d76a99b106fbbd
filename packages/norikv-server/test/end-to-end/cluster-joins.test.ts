// Who may come to a cluster that is there, and who is refused, in one line that says why and what to do.
import { join } from 'node:path';
import { Swim } from 'nori-swim';
import { NoriClient } from 'norikv-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeCard, type NodeCard, PROTOCOL_VERSION } from '../../src/domain/node-card.js';
import { LaunchError, type LaunchedNode, launchNode, temporaryDir } from './launch.js';
import { freeGossipAddress } from './launch-cluster.js';

let dir: Awaited<ReturnType<typeof temporaryDir>>;
const nodes: LaunchedNode[] = [];

beforeEach(async () => {
  dir = await temporaryDir();
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.kill()));
  await dir.remove();
});

interface Start {
  readonly id: string;
  readonly gossip: string;
  readonly join: readonly string[];
  /** Default: as the id. */
  readonly dataDir?: string;
  readonly expect?: number;
}

const start = async ({ id, gossip, join: seeds, dataDir = id, expect: count }: Start): Promise<LaunchedNode> => {
  const node = await launchNode(join(dir.path, dataDir), [
    ...['--node-id', id, '--gossip-addr', gossip, '--peer-addr', '127.0.0.1:0', '--join', seeds.join(',')],
    ...(count === undefined ? [] : ['--expect', String(count)]),
  ]);
  nodes.push(node);
  return node;
};

/** The line with which a start is refused. */
const refusal = async (what: Start): Promise<string> => {
  const error = await start(what).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(LaunchError);
  expect((error as LaunchError).code).toBe(1);
  return (error as LaunchError).stderr.trim().split('\n').at(-1)!;
};

const nodeStates = async (node: LaunchedNode): Promise<string[]> => {
  const view = (await (await fetch(`${node.http}/meta/cluster`)).json()) as {
    nodes: { nodeId: string; state: string }[];
  };
  return view.nodes.map(({ nodeId, state }) => `${nodeId} ${state}`);
};

const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  for (let i = 0; i < 100; i++) {
    if (await holds().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`Waited in vain until ${what}\n${nodes.map((node) => node.log()).join('\n')}`);
};

describe('a cluster that is there', { timeout: 90_000 }, () => {
  let first: LaunchedNode;
  let gossip: string;

  beforeEach(async () => {
    gossip = await freeGossipAddress();
    first = await start({ id: 'n1', gossip, join: [gossip], expect: 1 });
  });

  test('takes new nodes in; they come back, with or without --join', async () => {
    const second = await start({ id: 'n2', gossip: await freeGossipAddress(), join: [gossip] });
    await until('both know of each other', async () => {
      const seen = await Promise.all([first, second].map(nodeStates));
      return seen.every((states) => states.join() === 'n1 alive,n2 alive');
    });
    const client = await NoriClient.connect({ endpoints: [second.rpc] });
    await client.put('key', 'value');
    expect(new TextDecoder().decode((await client.get('key'))!.value)).toBe('value');
    await client.close();
    expect(await second.stop()).toBe(0);
    await until('it is known to have left', async () => (await nodeStates(first)).includes('n2 left'));
    const again = await launchNode(join(dir.path, 'n2'), [
      ...['--node-id', 'n2', '--gossip-addr', await freeGossipAddress(), '--peer-addr', '127.0.0.1:0'],
    ]);
    nodes.push(again);
    await until('it is back', async () => (await nodeStates(first)).includes('n2 alive'));
  });

  test('refuses a node whose id is in use', async () => {
    const line = await refusal({ id: 'n1', dataDir: 'other', gossip: await freeGossipAddress(), join: [gossip] });
    expect(line).toMatch(/^norikv: NODE_ID_IN_USE: .*n1.*--node-id/);
    expect(await nodeStates(first)).toEqual(['n1 alive']);
  });

  test('refuses a blank directory under an id that it knows', async () => {
    const second = await start({ id: 'n2', gossip: await freeGossipAddress(), join: [gossip] });
    await second.stop();
    const line = await refusal({ id: 'n2', dataDir: 'blank', gossip: await freeGossipAddress(), join: [gossip] });
    expect(line).toMatch(/^norikv: NODE_ID_KNOWN: .*n2.*blank.*--node-id/);
    // What was refused is still blank: under a new id it may come.
    await start({ id: 'n3', dataDir: 'blank', gossip: await freeGossipAddress(), join: [gossip] });
  });

  test('refuses a node of another cluster', async () => {
    const elsewhere = await freeGossipAddress();
    const other = await start({ id: 'n2', gossip: elsewhere, join: [elsewhere], expect: 1 });
    await other.stop();
    const line = await refusal({ id: 'n2', gossip: elsewhere, join: [gossip] });
    expect(line).toMatch(/^norikv: CLUSTER_MISMATCH: .*n2 belongs to cluster [0-9a-f]{32}, node n1 .*--join/);
  });
});

describe('a node that meets others it must not be with', { timeout: 30_000 }, () => {
  const meet = async (card: Partial<NodeCard>): Promise<string> => {
    const [theirs, ours] = await Promise.all([freeGossipAddress(), freeGossipAddress()]);
    const full: NodeCard = {
      ...{ protocolVersion: PROTOCOL_VERSION, shardCount: 1024, phase: 'blank', clusterId: '', members: '' },
      ...{ version: '', http: '', stores: [] },
      ...card,
    };
    const swim = await Swim.start({ id: 'z9', bind: theirs, cluster: 'norikv', metadata: encodeCard(full) });
    try {
      return await refusal({ id: 'n1', gossip: ours, join: [theirs, ours], expect: 2 });
    } finally {
      await swim.close();
    }
  };

  test('another protocol version', async () => {
    expect(await meet({ protocolVersion: 99 })).toMatch(/^norikv: PROTOCOL_MISMATCH: .*z9.*99/);
  });

  test('another number of shards', async () => {
    expect(await meet({ shardCount: 64 })).toMatch(/^norikv: SHARD_COUNT_MISMATCH: .*z9.*64/);
  });
});
