// Members of a group that come, are promoted and go, while everything runs.
import { expect, test } from 'vitest';
import { bytes, MultiCluster, outcomeOf, TestNode } from './cluster.js';

/** Three nodes with group 0, and a fourth without it. */
async function withSpareNode() {
  const c = await MultiCluster.start({ preferred: false, snapshotChunkBytes: 2000 });
  const spare = new TestNode(c, 4);
  await c.settled(spare.open());
  c.nodes.push(spare);
  await c.until(() => c.leader(0) !== undefined);
  return { c, spare };
}

const texts = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `${from + i}`);

async function proposeAll(c: MultiCluster, list: readonly string[]): Promise<void> {
  for (const text of list) {
    await c.until(() => c.leader(0) !== undefined);
    expect((await c.settled(c.leader(0)!.group(0).propose(bytes(text)))).result).toBe(Number(text) + 1);
  }
}

test('a replica joins as a learner, from a snapshot or from the log, is promoted, and takes the place of another', async () => {
  const { c, spare } = await withSpareNode();
  await proposeAll(c, texts(0, 40));
  for (const number of [1, 2, 3]) c.node(number).machine(0).flush();
  await c.run(1500);
  const leader = c.leader(0)!;
  leader.group(0).setPeer(4, 'n4');
  await c.settled(leader.group(0).changeConfig({ transition: 'auto', steps: [{ type: 'add-learner', id: 4 }] }));
  // It is told of before it is there.
  await c.until(() => spare.unknownGroups.includes(0));
  await c.settled(spare.create(0, { bootstrap: false }));
  await c.until(() => spare.machine(0).list.length === 40);
  expect(spare.machine(0).installs).toBe(1);
  expect(await c.settled(spare.group(0).read())).toBeGreaterThan(0);
  await expect(spare.group(0).propose(bytes('x'))).rejects.toMatchObject({ code: 'RAFT_NOT_LEADER' });
  await proposeAll(c, texts(40, 50));

  // Promoted, and the leader removed, in one step, jointly.
  const steps = [
    { type: 'add-voter', id: 4 },
    { type: 'remove', id: leader.number },
  ] as const;
  const change = outcomeOf(leader.group(0).changeConfig({ transition: 'auto', steps }));
  await c.until(() => change.settled);
  expect(change.code).toBeUndefined();
  await c.until(() => c.leader(0) !== undefined && c.leader(0) !== leader, 8000);
  const expected = [1, 2, 3, 4].filter((id) => id !== leader.number);
  await c.until(() => c.leader(0)!.group(0).status().config.votersOutgoing.length === 0);
  expect(c.leader(0)!.group(0).status().config.voters).toEqual(expected);
  await c.settled(leader.multi.removeGroup(0));
  await proposeAll(c, texts(50, 60));

  // The new one counts: with another one away, it is needed.
  const [away] = c.nodes.filter((node) => node !== leader && node !== spare && node !== c.leader(0));
  await away!.kill();
  await proposeAll(c, texts(60, 70));
  // A follower learns of the last commit with the next heartbeat.
  await c.until(() => spare.machine(0).list.length >= 70);
  expect(spare.machine(0).list).toEqual(texts(0, 70));
  await c.close();
});

test('a node that was removed comes back under a new replica id, and its late messages harm nobody', async () => {
  const { c } = await withSpareNode();
  await proposeAll(c, texts(0, 10));
  const [gone] = c.nodes.slice(0, 3).filter((node) => node !== c.leader(0));
  // It does not hear of its removal, and goes on as it was.
  for (const other of c.nodes) if (other !== gone) c.network.disconnect(gone!.id, other.id);
  await c.settled(
    c
      .leader(0)!
      .group(0)
      .changeConfig({ transition: 'auto', steps: [{ type: 'remove', id: gone!.number }] }),
  );
  await proposeAll(c, texts(10, 20));
  const { term } = c.leader(0)!.group(0);
  await c.run(5000);
  for (const other of c.nodes) if (other !== gone) c.network.reconnect(gone!.id, other.id);
  await c.run(5000);
  expect(c.leader(0)!.group(0).term).toBe(term);
  expect(gone!.group(0).role).not.toBe('leader');
  const proposal = outcomeOf(gone!.group(0).propose(bytes('late')));
  await c.run(100);
  expect(proposal.code).toBe('RAFT_NOT_LEADER');

  await c.settled(gone!.multi.removeGroup(0));
  c.leader(0)!.group(0).setPeer(7, gone!.id);
  const joining = { replicaId: 7, bootstrap: false };
  await c.settled(
    c
      .leader(0)!
      .group(0)
      .changeConfig({ transition: 'auto', steps: [{ type: 'add-voter', id: 7 }] }),
  );
  gone!.forget(0);
  await c.settled(gone!.create(0, joining));
  await c.until(() => gone!.machine(0).list.length === 20);
  await proposeAll(c, texts(20, 30));
  await c.run(500);
  expect(gone!.machine(0).list).toEqual(texts(0, 30));
  await c.close();
});

test('changes come one at a time, and each answers with the configuration that it made', async () => {
  const { c } = await withSpareNode();
  const group = c.leader(0)!.group(0);
  await c.run(500);
  const first = outcomeOf(group.changeConfig({ transition: 'auto', steps: [{ type: 'add-learner', id: 8 }] }));
  await expect(
    group.changeConfig({ transition: 'auto', steps: [{ type: 'add-learner', id: 9 }] }),
  ).rejects.toMatchObject({ code: 'RAFT_CONF_CHANGE_PENDING' });
  await c.until(() => first.settled);
  expect(first.value?.learners).toEqual([8]);
  const all = [1, 2, 3].map((id) => ({ type: 'remove', id }) as const);
  await expect(group.changeConfig({ transition: 'auto', steps: all })).rejects.toMatchObject({
    code: 'RAFT_CONF_CHANGE_INVALID',
  });
  const [follower] = c.nodes.slice(0, 3).filter((node) => node !== c.leader(0));
  await expect(
    follower!.group(0).changeConfig({ transition: 'auto', steps: [{ type: 'add-learner', id: 9 }] }),
  ).rejects.toMatchObject({ code: 'RAFT_NOT_LEADER', leader: c.leader(0)!.number });
  await c.close();
});
