// Who leads: spread as preferred, moved back a few at a time, and elections that do not all come at once.
import { expect, test } from 'vitest';
import { MultiCluster, type TestNode } from './cluster.js';

const GROUPS = 60;
const ids = Array.from({ length: GROUPS }, (_, g) => g);

async function restart(c: MultiCluster, node: TestNode): Promise<void> {
  await c.settled(node.open());
  for (const g of ids) await c.settled(node.create(g, { preferredLeader: (g % 3) + 1 }));
}

const leading = (c: MultiCluster): number[] => c.nodes.map(({ multi }) => multi.stats().leading);

test('leaderships of a node that comes back are moved back to it a few at a time', async () => {
  const c = await MultiCluster.start({ groups: GROUPS, transfersPerSecond: 4 });
  await c.run(500);
  expect(leading(c)).toEqual([20, 20, 20]);
  await c.node(1).kill();
  await c.until(() => ids.every((g) => [c.node(2), c.node(3)].some((n) => n.multi.group(g)?.role === 'leader')), 6000);
  await restart(c, c.node(1));
  const startMs = c.clock.monotonic();
  const seen: number[] = [];
  while (c.node(1).multi.stats().leading < 20) {
    await c.run(50);
    const back = c.node(1).multi.stats().leading;
    const seconds = (c.clock.monotonic() - startMs) / 1000;
    // Two nodes move theirs back, each with a second's worth saved up.
    expect(back).toBeLessThanOrEqual(2 * 4 * (seconds + 1));
    seen.push(back);
    expect(seconds).toBeLessThan(10);
  }
  expect(seen.length).toBeGreaterThan(20);
  await c.run(500);
  expect(leading(c)).toEqual([20, 20, 20]);
  // It stays so: nothing is moved to and fro.
  const terms = ids.map((g) => c.node(1).multi.group(g)!.term);
  await c.run(5000);
  expect(ids.map((g) => c.node(1).multi.group(g)!.term)).toEqual(terms);
  await c.close();
});

test('less than one transfer in a second is possible', async () => {
  const c = await MultiCluster.start({ groups: 3, transfersPerSecond: 0.5 });
  await c.run(500);
  c.node(1).group(0).transferLeader(2);
  await c.until(() => c.node(2).group(0).role === 'leader');
  await c.until(() => c.node(1).group(0).role === 'leader', 8000);
  await c.close();
});

test('leadership is not moved back to a node that is behind, or does not answer', async () => {
  const c = await MultiCluster.start({ groups: 3 });
  await c.run(500);
  for (const peer of ['n2', 'n3']) c.network.disconnect('n1', peer);
  await c.until(() => [c.node(2), c.node(3)].some((n) => n.group(0).role === 'leader'), 6000);
  const leader = [c.node(2), c.node(3)].find((n) => n.group(0).role === 'leader')!;
  await c.run(5000);
  expect(leader.group(0).role).toBe('leader');
  expect(leader.group(0).status().transferee).toBe(0);
  await c.close();
});

test('when a node dies, the elections of its groups are spread over an election timeout, and all are led again', async () => {
  const c = await MultiCluster.start({ groups: GROUPS, preferred: true, electionTimeoutMs: 1000 });
  await c.run(1000);
  await c.node(1).kill();
  const killedMs = c.clock.monotonic();
  const ledAtMs: number[] = [];
  const orphans = new Set(ids.filter((g) => g % 3 === 0));
  while (orphans.size > 0) {
    await c.run(5);
    for (const g of [...orphans]) {
      if (![c.node(2), c.node(3)].some((n) => n.multi.group(g)?.role === 'leader')) continue;
      orphans.delete(g);
      ledAtMs.push(c.clock.monotonic() - killedMs);
    }
    expect(c.clock.monotonic() - killedMs).toBeLessThan(4000);
  }
  // No quarter of a second has seen more than half of them.
  for (const atMs of ledAtMs) {
    expect(ledAtMs.filter((other) => other >= atMs && other < atMs + 250).length).toBeLessThanOrEqual(10);
  }
  // And both of the others took some.
  expect(Math.min(c.node(2).multi.stats().leading, c.node(3).multi.stats().leading)).toBeGreaterThan(20);
  await c.close();
});

test('the preferred replica of a new group leads it at once, without waiting for an election timeout', async () => {
  const c = await MultiCluster.start({ groups: 0 });
  for (const node of c.nodes) await c.settled(node.create(0, { preferredLeader: 2 }));
  await c.run(100);
  expect(c.node(2).group(0).role).toBe('leader');
  await c.close();
});

test('a node that is closed on purpose hands its leaderships over first, groups at rest among them, evenly', async () => {
  const c = await MultiCluster.start({ groups: GROUPS, electionTimeoutMs: 1000 });
  // They are at rest.
  await c.run(3000);
  expect(leading(c)).toEqual([20, 20, 20]);
  const startMs = c.clock.monotonic();
  expect(await c.settled(c.node(1).multi.handOver())).toBe(0);
  expect(c.clock.monotonic() - startMs).toBeLessThan(500);
  expect(leading(c)).toEqual([0, 30, 30]);
  await c.node(1).kill();
  for (const g of ids) {
    const leader = [c.node(2), c.node(3)].find((n) => n.multi.group(g)?.role === 'leader')!;
    await c.settled(leader.group(g).propose(new Uint8Array([1])));
  }
  expect(c.clock.monotonic() - startMs).toBeLessThan(1000);
  await c.close();
});

test('a node that hands over takes no leadership, and does not wait for nodes that are gone', async () => {
  const c = await MultiCluster.start({ groups: 3, electionTimeoutMs: 1000 });
  await c.run(500);
  // All at once, as when a whole cluster is stopped: nobody takes what is offered.
  const handingOver = Promise.all(c.nodes.map(({ multi }) => multi.handOver(300)));
  expect(await c.settled(handingOver)).toEqual([1, 1, 1]);
  await c.node(2).kill();
  await c.node(3).kill();
  await c.run(2000);
  const startMs = c.clock.monotonic();
  expect(await c.settled(c.node(1).multi.handOver(5000))).toBe(0);
  expect(c.clock.monotonic() - startMs).toBeLessThan(100);
  await c.close();
});

test('what a node leads alone it keeps', async () => {
  const c = await MultiCluster.start({ size: 1, groups: 2 });
  await c.run(500);
  expect(await c.settled(c.node(1).multi.handOver())).toBe(0);
  expect(leading(c)).toEqual([2]);
  await c.close();
});
