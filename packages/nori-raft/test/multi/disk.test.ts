// What a node does whose disk stands still, fails or is full.
import { expect, test } from 'vitest';
import { bytes, MultiCluster, outcomeOf, type TestNode } from './cluster.js';

const others = (c: MultiCluster, node: TestNode): TestNode[] => c.nodes.filter((other) => other !== node);

const GROUPS = Array.from({ length: 9 }, (_, g) => g);

/** Who leads, of those nodes. */
const leaderAmong = (nodes: readonly TestNode[], groupId = 0): TestNode | undefined =>
  nodes.find(({ multi }) => multi.group(groupId)?.role === 'leader');

test('a leader whose disk stands still is replaced, and comes back as a follower with what it missed', async () => {
  const c = await MultiCluster.start({ preferred: false });
  await c.until(() => c.leader(0) !== undefined);
  await c.run(500);
  const stalled = c.leader(0)!;
  const release = stalled.stallDisk();
  const lost = outcomeOf(stalled.group(0).propose(bytes('a')));
  await c.until(() => leaderAmong(others(c, stalled)) !== undefined, 6000);
  const leader = leaderAmong(others(c, stalled))!;
  const next = outcomeOf(leader.group(0).propose(bytes('b')));
  await c.run(100);
  expect(next.code).toBeUndefined();
  expect(stalled.group(0).role).not.toBe('leader');
  expect(stalled.machine(0).list).toEqual([]);
  release();
  await c.run(1000);
  // It was sent before the disk stood still, so the others had it: the others may have committed it.
  expect(lost.settled).toBe(true);
  const { list } = leader.machine(0);
  expect(list.at(-1)).toBe('b');
  for (const node of c.nodes) expect(node.machine(0).list).toEqual(list);
  expect(lost.code === undefined).toBe(list.includes('a'));
  await c.close();
});

test('a leader whose disk stands still is replaced under load, too, and refuses meanwhile', async () => {
  const c = await MultiCluster.start({ preferred: false });
  await c.until(() => c.leader(0) !== undefined);
  await c.run(500);
  const stalled = c.leader(0)!;
  const release = stalled.stallDisk();
  const outcomes: ReturnType<typeof outcomeOf>[] = [];
  for (let i = 0; leaderAmong(others(c, stalled)) === undefined; i++) {
    expect(i, 'It leads on.').toBeLessThan(600);
    outcomes.push(outcomeOf(stalled.group(0).propose(bytes(`${i}`))));
    await c.run(10);
  }
  const codes = new Set(outcomes.filter(({ settled }) => settled).map(({ code }) => code));
  expect(codes).toContain('RAFT_BUSY');
  release();
  await c.run(1000);
  await c.close();
});

test('a follower whose disk stands still neither votes nor acknowledges, and a majority goes on without it', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const release = c.node(3).stallDisk();
  for (let i = 0; i < 20; i++) {
    const outcome = outcomeOf(
      c
        .node(1)
        .group(0)
        .propose(bytes(`${i}`)),
    );
    await c.run(100);
    expect(outcome.code).toBeUndefined();
    expect(outcome.settled).toBe(true);
  }
  expect(c.node(3).machine(0).list).toEqual([]);
  // Alone with it, nobody can be elected.
  await c.node(1).kill();
  await c.run(5000);
  expect(leaderAmong([c.node(2), c.node(3)])).toBeUndefined();
  release();
  await c.until(() => leaderAmong([c.node(2), c.node(3)]) !== undefined, 6000);
  await c.run(500);
  expect(c.node(3).machine(0).list).toHaveLength(20);
  await c.close();
});

test('a sync that fails ends the node: it says nothing any more, answers everybody who waits, and tells why', async () => {
  const c = await MultiCluster.start({ groups: 2 });
  await c.run(500);
  const failing = c.node(1);
  const failed = outcomeOf(failing.multi.failed);
  failing.fs.inject({ on: 'datasync' });
  const proposal = outcomeOf(failing.group(0).propose(bytes('a')));
  const read = outcomeOf(failing.group(0).read({ timeoutMs: 60_000 }));
  const { framesSent } = failing.multi.stats();
  await c.run(50);
  expect(failed.value?.code).toBe('RAFT_STORAGE_FAILED');
  expect(proposal.code).toBe('RAFT_OUTCOME_UNKNOWN');
  expect(read.settled).toBe(true);
  expect(failing.events.at(-1)).toMatchObject({ type: 'raft.storage_failed' });
  expect(failing.multi.stats().framesSent - framesSent).toBeLessThan(10);
  const silent = failing.multi.stats().framesSent;
  await c.until(() => leaderAmong([c.node(2), c.node(3)]) !== undefined, 6000);
  await c.run(1000);
  expect(failing.multi.stats().framesSent).toBe(silent);
  // Nothing is taken any more, of any kind.
  const refused = { code: 'RAFT_STORAGE_FAILED' };
  await expect(c.settled(failing.create(5))).rejects.toMatchObject(refused);
  await expect(c.settled(failing.multi.removeGroup(0))).rejects.toMatchObject(refused);
  // What it had sent is committed by the others, or not: they agree.
  const next = outcomeOf(
    leaderAmong([c.node(2), c.node(3)])!
      .group(0)
      .propose(bytes('b')),
  );
  await c.run(100);
  expect(next.code).toBeUndefined();
  // After a restart it has what was durable, and takes part again.
  await failing.kill({ power: true });
  await c.settled(failing.open());
  for (const g of [0, 1]) await c.settled(failing.create(g));
  await c.run(1000);
  expect(failing.machine(0).list).toEqual(c.node(2).machine(0).list);
  await c.close();
});

test('on a full disk leaderships go to others, writes are refused, and everything goes on when there is space', async () => {
  const c = await MultiCluster.start({ groups: 9, preferred: false });
  await c.until(() => GROUPS.every((g) => c.leader(g) !== undefined));
  await c.run(500);
  const full = c.nodes.toSorted((a, b) => b.multi.stats().leading - a.multi.stats().leading)[0]!;
  const led = [...full.multi.groups].filter(({ role }) => role === 'leader');
  expect(led.length).toBeGreaterThan(0);
  const free = full.fillDisk();
  const first = outcomeOf(led[0]!.propose(bytes('a')));
  await c.run(5);
  await expect(led[0]!.propose(bytes('refused'))).rejects.toMatchObject({ code: 'RAFT_NO_SPACE' });
  await c.until(() => GROUPS.every((g) => leaderAmong(others(c, full), g) !== undefined), 6000);
  expect(full.multi.stats().leading).toBe(0);
  // Elsewhere everything goes on, reads too.
  const writes = GROUPS.map((g) => outcomeOf(leaderAmong(others(c, full), g)!.group(g).propose(bytes('b'))));
  await c.run(200);
  expect(writes.map(({ code }) => code)).toEqual(new Array(9).fill(undefined));
  const reads = GROUPS.map((g) => outcomeOf(others(c, full)[0]!.group(g).read()));
  await c.run(200);
  expect(reads.every(({ value }) => value !== undefined)).toBe(true);
  await expect(full.group(0).propose(bytes('x'))).rejects.toMatchObject({
    code: expect.stringMatching(/^RAFT_(NO_SPACE|NOT_LEADER)$/),
  });
  await c.run(5000);
  free();
  await c.run(3000);
  expect(first.settled).toBe(true);
  for (let g = 0; g < 9; g++) {
    const { list } = others(c, full)[0]!.machine(g);
    expect(list.filter((text) => text !== 'a')).toEqual(['b']);
    expect(full.machine(g).list).toEqual(list);
  }
  // It may lead again.
  c.leader(0)!.group(0).transferLeader(full.number);
  await c.until(() => c.leader(0) === full);
  const again = outcomeOf(full.group(0).propose(bytes('c')));
  await c.run(100);
  expect(again.code).toBeUndefined();
  await c.close();
});

test('on a full disk a single node refuses writes and answers reads', async () => {
  const c = await MultiCluster.start({ size: 1 });
  await c.run(500);
  const node = c.node(1);
  const group = node.group(0);
  await c.settled(group.propose(bytes('a')));
  const free = node.fillDisk();
  const waiting = outcomeOf(group.propose(bytes('b'), { timeoutMs: 60_000 }));
  await c.run(1000);
  await expect(group.propose(bytes('c'))).rejects.toMatchObject({ code: 'RAFT_NO_SPACE' });
  expect(waiting.settled).toBe(false);
  expect(await c.settled(group.read())).toBe(group.appliedIndex);
  expect(node.machine(0).list).toEqual(['a']);
  free();
  await c.run(1000);
  expect(waiting.value?.result).toBe(2);
  expect(node.machine(0).list).toEqual(['a', 'b']);
  await c.close();
});

test('logs are compacted while a write waits for space, and it is stored all the same', async () => {
  const c = await MultiCluster.start({ preferred: false });
  await c.until(() => c.leader(0) !== undefined);
  const leader = c.leader(0)!;
  for (let i = 0; i < 20; i++) await c.settled(leader.group(0).propose(bytes(`${i}`)));
  await c.run(500);
  const [follower] = others(c, leader);
  const release = follower!.stallDisk();
  for (let i = 20; i < 30; i++) outcomeOf(leader.group(0).propose(bytes(`${i}`)));
  await c.run(20);
  const free = follower!.fillDisk();
  release();
  await c.run(300);
  follower!.machine(0).flush();
  await c.run(3000);
  free();
  await c.run(2000);
  expect(follower!.events.filter(({ type }) => type === 'raft.storage_failed')).toEqual([]);
  expect(follower!.machine(0).list).toHaveLength(30);
  await c.close();
});

test('a node can be closed while its disk is full or stands still', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const free = c.node(1).fillDisk();
  const waiting = outcomeOf(c.node(1).group(0).propose(bytes('a')));
  await c.run(100);
  await c.settled(c.node(1).multi.close());
  expect(waiting.code).toBe('RAFT_OUTCOME_UNKNOWN');
  free();
  const release = c.node(2).stallDisk();
  await c.run(3000);
  const closing = outcomeOf(c.node(2).multi.close());
  await c.run(100);
  release();
  await c.run(100);
  expect(closing.settled).toBe(true);
  expect(closing.code).toBeUndefined();
  await c.close();
});
