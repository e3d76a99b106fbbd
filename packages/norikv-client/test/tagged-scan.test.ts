// A scan of keys that share a hash tag goes to the leader of their shard; others go to any node.
import { loadKeyHasher } from 'norikv-protocol';
import { expect, test } from 'vitest';
import { connect, startNode, text, until } from './support/harness.js';

test('a scan of one hash tag goes to the leader of its shard', async () => {
  const nodes = [await startNode(), await startNode(), await startNode()];
  const stores = nodes.map((node, i) => ({ nodeId: `n${i}`, store: 0, address: node.address }));
  const hasher = await loadKeyHasher();
  const shard = hasher.shardOf(new TextEncoder().encode('{tag}'), 16);
  const shardLeaders = Array.from({ length: 16 }, (_, i) => (i === shard ? 2 : 1));
  for (const node of nodes) node.view = { ...node.view, stores, shardLeaders, shardTerms: new Array(16).fill(1n) };
  const client = await connect(nodes);
  await until(() => client.stats().channels.every((channel) => channel.state === 'ready'));
  await client.put('{tag}a', '1');
  for (let i = 0; i < 20; i++) {
    const keys: (string | undefined)[] = [];
    for await (const { key } of client.scan({ prefix: '{tag}' })) keys.push(text(key));
    expect(keys).toEqual(['{tag}a']);
  }
  expect(nodes.map((node) => node.scans)).toEqual([0, 20, 0]);
});
