import { expect, test } from 'vitest';
import { bytes, MultiCluster, outcomeOf } from './cluster.js';

test('groups are led by whom they prefer, and what is proposed is applied everywhere', async () => {
  const c = await MultiCluster.start({ groups: 9 });
  await c.run(500);
  expect(c.nodes.map(({ multi }) => multi.stats().leading)).toEqual([3, 3, 3]);
  const outcomes = [];
  for (let g = 0; g < 9; g++)
    for (const text of ['a', 'b']) outcomes.push(outcomeOf(c.leader(g)!.group(g).propose(bytes(text))));
  await c.run(50);
  expect(outcomes.every(({ settled, value }) => settled && value !== undefined)).toBe(true);
  await c.run(200);
  for (const { machines } of c.nodes) for (const { list } of machines.values()) expect(list).toEqual(['a', 'b']);
  await c.close();
});

test('a turn costs one write and one frame for each peer, however many groups take part', async () => {
  const c = await MultiCluster.start({ groups: 30, size: 3 });
  await c.run(500);
  const node = c.node(1);
  const led = [...node.multi.groups].filter(({ role }) => role === 'leader');
  expect(led).toHaveLength(10);
  const before = node.multi.stats();
  const outcomes = led.map((group) => outcomeOf(group.propose(bytes('x'))));
  await c.run(2);
  expect(outcomes.every(({ settled }) => settled)).toBe(true);
  const after = node.multi.stats();
  expect(after.writes - before.writes).toBe(1);
  // Entries to two peers, the commit index as acknowledgements come in, and perhaps a tick: not one for each group.
  expect(after.framesSent - before.framesSent).toBeLessThanOrEqual(10);
  await c.close();
});

test('lease reads cost no round; reads by read index share one in a turn', async () => {
  const c = await MultiCluster.start({ groups: 1 });
  await c.run(500);
  const leader = c.leader(0)!;
  const group = leader.group(0);
  void group.propose(bytes('a'));
  await c.run(20);
  const rounds = () => group.status().heartbeatRounds;
  let before = rounds();
  for (let i = 0; i < 100; i++) expect(group.leaseRead(() => leader.machine(0).list.length)).toEqual({ value: 1 });
  expect(rounds()).toBe(before);
  before = rounds();
  const reads = Array.from({ length: 100 }, () => outcomeOf(group.read()));
  await c.run(2);
  expect(reads.every(({ value }) => value === group.appliedIndex)).toBe(true);
  expect(rounds() - before).toBeLessThanOrEqual(2);
  await c.close();
});

test('followers read linearizably too, and refuse proposals with the name of the leader', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const follower = c.node(2).group(0);
  const proposal = outcomeOf(c.node(1).group(0).propose(bytes('a')));
  await c.run(20);
  expect(proposal.settled).toBe(true);
  const read = outcomeOf(follower.read());
  await c.run(20);
  expect(read.value).toBeGreaterThanOrEqual(proposal.value!.index);
  expect(c.node(2).machine(0).list).toEqual(['a']);
  expect(follower.leaseRead(() => 1)).toBeUndefined();
  const refused = outcomeOf(follower.propose(bytes('b')));
  await c.run(1);
  expect(refused).toMatchObject({ code: 'RAFT_NOT_LEADER', error: { leader: 1 } });
  expect(follower.leaderNode).toBe('n1');
  await c.close();
});

test('when its node dies, all groups are led again, and nothing acknowledged is lost', async () => {
  const c = await MultiCluster.start({ groups: 12 });
  await c.run(500);
  const outcomes = Array.from({ length: 12 }, (_, g) =>
    outcomeOf(
      c
        .leader(g)!
        .group(g)
        .propose(bytes(`${g}`)),
    ),
  );
  await c.run(50);
  expect(outcomes.every(({ value }) => value !== undefined)).toBe(true);
  await c.node(1).kill();
  await c.until(() => Array.from({ length: 12 }, (_, g) => c.leader(g)).every((node) => node !== undefined), 4000);
  for (let g = 0; g < 12; g++) void c.leader(g)!.group(g).propose(bytes('after'));
  await c.run(300);
  for (const node of [c.node(2), c.node(3)]) {
    for (let g = 0; g < 12; g++) expect(node.machine(g).list).toEqual([`${g}`, 'after']);
  }
  // It comes back with what it had, catches up, and gets its leaderships back.
  const opening = c.node(1).open();
  await c.run(10);
  await opening;
  const creating = Array.from({ length: 12 }, (_, g) => c.node(1).create(g, { preferredLeader: (g % 3) + 1 }));
  await c.run(10);
  await Promise.all(creating);
  await c.until(() => c.node(1).multi.stats().leading === 4);
  for (let g = 0; g < 12; g++) expect(c.node(1).machine(g).list).toEqual([`${g}`, 'after']);
  await c.close();
});

test('a replica that was away for longer than the log reaches gets a snapshot in chunks', async () => {
  const c = await MultiCluster.start({ snapshotChunkBytes: 3000 });
  await c.run(500);
  await c.node(3).kill();
  for (let i = 0; i < 300; i++) {
    void c
      .node(1)
      .group(0)
      .propose(bytes(`entry ${i} ${'x'.repeat(50)}`));
    if (i % 50 === 49) await c.run(20);
  }
  await c.run(2000);
  for (const number of [1, 2]) c.node(number).machine(0).flush();
  await c.run(3000);
  const opening = c.node(3).open();
  await c.run(10);
  await opening;
  const creating = c.node(3).create(0);
  await c.run(10);
  await creating;
  await c.until(() => c.node(3).machine(0).installs === 1);
  await c.run(500);
  expect(c.node(3).machine(0).list).toEqual(c.node(1).machine(0).list);
  expect(c.node(3).machine(0).list).toHaveLength(300);
  expect(c.node(1).events.filter(({ type }) => type === 'raft.snapshot_sent')).toHaveLength(1);
  await c.close();
});

test('entries of several megabytes go out in frames of their own', async () => {
  const c = await MultiCluster.start({ entryBytesMax: 7 * 2 ** 20, uncommittedBytesMax: 64 * 2 ** 20 });
  await c.run(500);
  const data = new Uint8Array(6 * 2 ** 20).fill(97);
  const outcomes = [1, 2].map(() => outcomeOf(c.node(1).group(0).propose(data)));
  await c.run(200);
  expect(outcomes.map(({ value }) => value?.result)).toEqual([1, 2]);
  expect(
    c.nodes.map(({ number }) =>
      c
        .node(number)
        .machine(0)
        .list.map(({ length }) => length),
    ),
  ).toEqual(new Array(3).fill([data.length, data.length]));
  await c.close();
});
