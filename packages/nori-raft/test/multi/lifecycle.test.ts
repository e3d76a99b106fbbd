// The end of nodes, and what comes over the network that must not end a replica.
import { expect, test } from 'vitest';
import { blankMessage } from '../../src/message.js';
import { FrameEncoder } from '../../src/multi/frame-codec.js';
import type { Mark } from '../../src/multi/ports.js';
import { bytes, ListMachine, MultiCluster, outcomeOf } from './cluster.js';

test('a second call of close waits for the first', async () => {
  const c = await MultiCluster.start({ size: 1 });
  const { multi } = c.node(1);
  const closing = [outcomeOf(multi.close()), outcomeOf(multi.close())];
  await Promise.resolve();
  expect(closing.map(({ settled }) => settled)).toEqual([false, false]);
  await c.run(100);
  expect(closing.map(({ settled }) => settled)).toEqual([true, true]);
});

test('the log is closed though the transport cannot be', async () => {
  const c = await MultiCluster.start({ size: 1 });
  const { multi } = c.node(1);
  const { transport } = multi.options;
  const end = transport.close.bind(transport);
  transport.close = async () => {
    await end();
    throw new Error('no');
  };
  const closing = outcomeOf(multi.close());
  await c.run(100);
  expect(closing.error).toMatchObject({ message: 'no' });
  const opening = outcomeOf(c.node(1).open());
  await c.run(100);
  expect(opening).toEqual({ settled: true, value: undefined });
  await c.close();
});

test('a group that is being created when the node is closed is told so', async () => {
  const c = await MultiCluster.start({ size: 1 });
  const node = c.node(1);
  const { multi } = node;
  const { storage } = multi.options;
  // The first write does not end before the node is closed: the next one waits behind it.
  let end = () => {};
  const write = storage.write.bind(storage);
  storage.write = async (writes) => {
    await new Promise<void>((resolve) => {
      end = resolve;
    });
    return write(writes);
  };
  void outcomeOf(node.group(0).propose(bytes('a')));
  await c.run(1);
  const mark: Mark = { term: 3, index: 7, config: c.config };
  const stateMachine = new ListMachine({ list: [], mark });
  const created = outcomeOf(multi.createGroup({ groupId: 5, replicaId: 1, stateMachine, peers: c.peers }));
  await c.run(5);
  const closing = multi.close();
  end();
  await c.run(100);
  await closing;
  expect(created.code).toBe('RAFT_CLOSED');
});

test('a snapshot that comes as a bare message, not in chunks, is dropped and harms nobody', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const group = c.node(2).group(0);
  const message = blankMessage('snapshot', 1, 2, group.term);
  const { config } = c;
  message.snapshot = { term: group.term, index: 1000, config, data: new Uint8Array(0) };
  const encoder = new FrameEncoder();
  encoder.add(0, message);
  c.node(1).multi.options.transport.send('n2', 'control', encoder.finish());
  await c.run(50);
  expect(c.node(2).events.filter(({ type }) => type === 'raft.group_failed')).toEqual([]);
  const proposal = outcomeOf(c.node(1).group(0).propose(bytes('a')));
  await c.run(500);
  expect(proposal.value?.result).toBe(1);
  expect(c.node(2).machine(0).list).toEqual(['a']);
  await c.close();
});

test('a state machine that cannot say what is durable fails its group, not the node', async () => {
  const c = await MultiCluster.start({ groups: 2 });
  await c.run(500);
  c.node(1).machine(0).durableIndex = () => {
    throw new Error('who knows');
  };
  await c.run(2000);
  expect(c.node(1).events.filter(({ type }) => type === 'raft.group_failed')).toHaveLength(1);
  const proposal = outcomeOf(c.leader(1)!.group(1).propose(bytes('a')));
  await c.run(50);
  expect(proposal.value?.result).toBe(1);
  await c.close();
});

test('what gathers while the disk stands still is written in pieces, not as one write that the log cannot take', async () => {
  const c = await MultiCluster.start({ size: 1, groups: 6 });
  await c.run(500);
  const { storage } = c.node(1).multi.options;
  const sizes: number[] = [];
  let open = () => {};
  const stalled = new Promise<void>((resolve) => {
    open = resolve;
  });
  const write = storage.write.bind(storage);
  storage.write = async (writes) => {
    sizes.push(writes.reduce((sum, { entries }) => entries.reduce((bytes, { data }) => bytes + data.length, sum), 0));
    await stalled;
    return write(writes);
  };
  const data = new Uint8Array(2 ** 21).fill(97);
  const outcomes = [];
  for (let i = 0; i < 7; i++) {
    for (let g = 0; g < 6; g++) outcomes.push(outcomeOf(c.node(1).group(g).propose(data)));
    await c.run(1);
  }
  open();
  await c.run(500);
  expect(outcomes.every(({ value }) => value !== undefined)).toBe(true);
  expect(sizes.reduce((sum, size) => sum + size)).toBe(42 * data.length);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(64 * 2 ** 20);
  await c.close();
});

test('two calls that take up the same replica at once do not make it twice', async () => {
  const c = await MultiCluster.start({ size: 1 });
  await c.node(1).kill();
  const opening = c.node(1).open();
  await c.run(10);
  await opening;
  const { multi } = c.node(1);
  // A snapshot was installed, and the log not begun anew behind it: that comes first, and takes a write.
  const mark: Mark = { term: 3, index: 700, config: c.config };
  const take = () => {
    const stateMachine = new ListMachine({ list: [], mark });
    return outcomeOf(multi.createGroup({ groupId: 0, replicaId: 1, stateMachine, peers: c.peers }));
  };
  const [first, second] = [take(), take()];
  const removed = outcomeOf(multi.removeGroup(0));
  await c.run(10);
  expect(first.value).toBe(multi.group(0));
  expect(second.code).toBe('RAFT_GROUP_EXISTS');
  expect(removed.code).toBe('RAFT_BUSY');
  await c.close();
});

test('a node whose disk stands still takes only so much of what it is sent, and catches up afterwards', async () => {
  const c = await MultiCluster.start({ unappliedBytesMax: 2 ** 20 });
  await c.run(500);
  const { storage } = c.node(2).multi.options;
  let open = () => {};
  const stalled = new Promise<void>((resolve) => {
    open = resolve;
  });
  const write = storage.write.bind(storage);
  storage.write = (writes) => stalled.then(() => write(writes));
  const data = new Uint8Array(2 ** 18).fill(97);
  const outcomes = [];
  const before = c.node(2).group(0).status().lastIndex;
  for (let i = 0; i < 40; i++) {
    outcomes.push(outcomeOf(c.node(1).group(0).propose(data)));
    await c.run(10);
  }
  expect(outcomes.every(({ value }) => value !== undefined)).toBe(true);
  expect(c.node(2).group(0).status().lastIndex - before).toBeLessThanOrEqual(6);
  open();
  await c.run(5000);
  expect(c.node(2).machine(0).list).toHaveLength(40);
  await c.close();
});
