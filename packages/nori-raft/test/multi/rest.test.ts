// Groups at rest, whose heartbeats MultiRaft exchanges without their cores. Virtual time; heartbeats every 150 ms.

import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import type { GroupDriver } from '../../src/multi/group.js';
import { bytes, MultiCluster, outcomeOf } from './cluster.js';

const GROUPS = 12;

/** So many groups, each led by whom it prefers, of which none has anything to do. */
async function resting(): Promise<MultiCluster> {
  const c = await MultiCluster.start({ groups: GROUPS });
  await c.run(500);
  for (let g = 0; g < GROUPS; g++) void c.leader(g)!.group(g).propose(bytes('a'));
  await c.run(1000);
  for (const { events } of c.nodes) events.length = 0;
  return c;
}

const groups = Array.from({ length: GROUPS }, (_, g) => g);

test('groups at rest go on with their rounds, keep their leaders and their leases', async () => {
  const c = await resting();
  const rounds = () => groups.map((g) => c.leader(g)!.group(g).status().heartbeatRounds);
  const before = rounds();
  await c.run(15_000);
  const after = rounds();
  for (const g of groups) {
    expect(after[g]! - before[g]!).toBeGreaterThanOrEqual(98);
    expect(after[g]! - before[g]!).toBeLessThanOrEqual(106);
  }
  for (const { events } of c.nodes) expect(events).toEqual([]);
  await c.run(1000);
  for (const g of groups)
    expect(
      c
        .leader(g)!
        .group(g)
        .leaseRead(() => g),
    ).toEqual({ value: g });
  await c.close();
});

test('heartbeats of all groups at rest travel in one frame a peer and interval, and so do their answers', async () => {
  const c = await resting();
  const before = c.node(1).multi.stats();
  await c.run(15_000);
  const after = c.node(1).multi.stats();
  // A hundred intervals: to two peers, and two answers.
  expect(after.framesSent - before.framesSent).toBeLessThanOrEqual(410);
  expect(after.framesSent - before.framesSent).toBeGreaterThanOrEqual(390);
  await c.close();
});

test('a leader at rest that is cut off answers no read when the others may lead, and steps down', async () => {
  const c = await resting();
  await c.run(2000);
  c.network.disconnect('n1', 'n2');
  c.network.disconnect('n1', 'n3');
  const led = groups.filter((g) => c.node(1).group(g).role === 'leader');
  expect(led).toHaveLength(4);
  for (let ms = 0; ms < 4000; ms += 50) {
    await c.run(50);
    for (const g of led) {
      if (![2, 3].some((n) => c.node(n).group(g).role === 'leader')) continue;
      expect(
        c
          .node(1)
          .group(g)
          .leaseRead(() => g),
      ).toBeUndefined();
    }
  }
  for (const g of led) {
    expect(c.node(1).group(g).role).not.toBe('leader');
    expect([2, 3].some((n) => c.node(n).group(g).role === 'leader')).toBe(true);
  }
  await c.close();
});

test('when a node dies whose groups are at rest, all of them are led again', async () => {
  const c = await resting();
  await c.run(3000);
  await c.node(1).kill();
  await c.until(() => groups.every((g) => c.leader(g) !== undefined), 2500);
  const outcomes = groups.map((g) => outcomeOf(c.leader(g)!.group(g).propose(bytes('b'))));
  await c.run(300);
  for (const g of groups) expect(outcomes[g]!.value).toBeDefined();
  for (const g of groups) for (const n of [2, 3]) expect(c.node(n).machine(g).list).toEqual(['a', 'b']);
  await c.close();
});

test('a group at rest takes proposals and reads at once, and so do its followers reads', async () => {
  const c = await resting();
  await c.run(3000);
  const proposals = groups.map((g) => outcomeOf(c.leader(g)!.group(g).propose(bytes('b'))));
  await c.run(20);
  expect(proposals.every(({ value }) => value?.result === 2)).toBe(true);
  await c.run(3000);
  const reads = c.nodes.flatMap((node) => groups.map((g) => outcomeOf(node.group(g).read())));
  await c.run(20);
  expect(reads.every(({ value }) => value !== undefined)).toBe(true);
  for (const g of groups) for (const node of c.nodes) expect(node.machine(g).list).toEqual(['a', 'b']);
  await c.close();
});

test('a node that is cut off for a moment has its leases again afterwards, or has lost its leaderships', async () => {
  const c = await resting();
  await c.run(3000);
  // Answers are lost for less than an election takes: nobody notices, and the lease goes on with the next round.
  c.network.disconnect('n1', 'n2');
  c.network.disconnect('n1', 'n3');
  await c.run(600);
  c.network.reconnect('n1', 'n2');
  c.network.reconnect('n1', 'n3');
  await c.run(1000);
  for (const g of groups.filter((each) => each % 3 === 0)) {
    const holds = c
      .node(1)
      .group(g)
      .leaseRead(() => g);
    if (c.node(1).group(g).role === 'leader') expect(holds).toEqual({ value: g });
    else expect(holds).toBeUndefined();
  }
  await c.close();
});

test('a replica that is removed at rest sends and answers nothing any more', async () => {
  const c = await resting();
  await c.run(2000);
  const removing = c.node(2).multi.removeGroup(0);
  await c.run(10);
  await removing;
  await c.run(5000);
  // Its leader asks for it; nobody answers for it.
  expect(c.node(2).unknownGroups).toContain(0);
  const status = c.node(1).group(0).status();
  expect(status.role).toBe('leader');
  expect(status.progress.find(({ id }) => id === 2)?.ackedRound).toBeLessThan(status.heartbeatRounds - 20);
  await c.close();
});

test('a leader at rest sends to where a follower is, once it is told', async () => {
  const c = await resting();
  await c.run(2000);
  const group = c.node(1).group(0);
  const answered = () => group.status().progress.find(({ id }) => id === 2)!.ackedRound;
  group.setPeer(2, 'nowhere');
  await c.run(100);
  const before = answered();
  await c.run(600);
  expect(answered()).toBe(before);
  group.setPeer(2, 'n2');
  await c.run(600);
  expect(answered()).toBeGreaterThan(before + 2);
  await c.close();
});

test('the lease of a group at rest is known without waking it, and is never longer than the one that it has when it is woken', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const c = await resting();
  let looks = 0;
  let equal = 0;
  for (let step = 0; step < 60; step++) {
    // Followers that are cut off for a while answer some rounds and not others.
    const [a, b] = [`n${1 + rng.int(3)}`, `n${1 + rng.int(3)}`];
    if (a !== b && rng.int(2) === 0) {
      c.network.disconnect(a, b);
      await c.run(rng.int(700));
      c.network.reconnect(a, b);
    }
    await c.run(rng.int(900));
    for (const node of c.nodes) {
      for (const g of groups) {
        const group = node.group(g) as GroupDriver;
        if (group.role !== 'leader' || rng.int(3) > 0) continue;
        const asleep = group.leaseExpiresAtMs;
        const awake = group.core.leaseExpiresAtMs;
        // The answer to the last round before it began to rest is known to the table, its beginning to the core.
        expect(asleep, `seed ${seed}, step ${step}`).toBeLessThanOrEqual(awake);
        expect(asleep, `seed ${seed}, step ${step}`).toBeGreaterThanOrEqual(awake - 150);
        looks++;
        if (asleep === awake) equal++;
      }
    }
  }
  expect(equal).toBeGreaterThan(looks / 2);
  await c.close();
});
