// Groups that are removed and made anew while everything runs.
import { expect, test } from 'vitest';
import { bytes, MultiCluster, outcomeOf, type TestNode } from './cluster.js';

/** Every group of the node takes a proposal, if it leads. */
function proposeEverywhere(node: TestNode, text: string) {
  return [...node.multi.groups]
    .filter(({ role }) => role === 'leader')
    .map((group) => outcomeOf(group.propose(bytes(text))));
}

test('a group that is removed answers everybody who waits, and is gone', async () => {
  const c = await MultiCluster.start({ groups: 2 });
  await c.run(500);
  const group = c.node(1).group(0);
  for (const peer of ['n2', 'n3']) c.network.disconnect('n1', peer);
  const sent = outcomeOf(group.propose(bytes('a')));
  await c.run(5);
  const queued = outcomeOf(group.propose(bytes('b')));
  const read = outcomeOf(group.read());
  const change = outcomeOf(group.changeConfig({ transition: 'auto', steps: [{ type: 'add-learner', id: 9 }] }));
  await c.settled(c.node(1).multi.removeGroup(0));
  expect([sent.code, queued.code, read.code]).toEqual(['RAFT_OUTCOME_UNKNOWN', 'RAFT_CLOSED', 'RAFT_CLOSED']);
  expect(change.settled).toBe(true);
  expect(c.node(1).multi.group(0)).toBeUndefined();
  expect(group.leaseRead(() => 1)).toBeUndefined();
  await expect(group.propose(bytes('c'))).rejects.toMatchObject({ code: 'RAFT_CLOSED' });
  await expect(c.node(1).multi.removeGroup(0)).rejects.toMatchObject({ code: 'RAFT_UNKNOWN_GROUP' });
  expect(c.node(1).multi.stats().proposalBytes).toBe(0);
  await c.close();
});

test('messages for a removed group are dropped, counted and told, and the rest of their frames is not', async () => {
  const c = await MultiCluster.start({ groups: 2, preferred: false });
  await c.until(() => c.leader(0) !== undefined && c.leader(1) !== undefined);
  const [away] = c.nodes.filter((node) => node !== c.leader(0));
  await c.settled(away!.multi.removeGroup(0));
  await c.run(1000);
  expect(away!.unknownGroups.length).toBeGreaterThan(0);
  expect(new Set(away!.unknownGroups)).toEqual(new Set([0]));
  expect(away!.multi.stats().unknownGroupMessages).toBe(away!.unknownGroups.length);
  expect(away!.multi.group(0)).toBeUndefined();
  // The other two replicas go on, and so does the other group everywhere.
  for (const g of [0, 1]) {
    const outcome = outcomeOf(c.leader(g)!.group(g).propose(bytes('a')));
    await c.until(() => outcome.settled);
    expect(outcome.code).toBeUndefined();
  }
  await c.run(500);
  expect(away!.machine(1).list).toEqual(['a']);
  expect(away!.machine(0).list).toEqual([]);
  await c.close();
});

test('groups can be removed under load: the others do not notice', async () => {
  const c = await MultiCluster.start({ groups: 9 });
  await c.run(500);
  const node = c.node(1);
  // The disk is slow: writes wait behind one that is under way.
  const release = node.stallDisk();
  const first = proposeEverywhere(node, 'a');
  await c.run(3);
  const second = proposeEverywhere(node, 'b');
  await c.run(3);
  const removing = [outcomeOf(node.multi.removeGroup(0))];
  await c.run(3);
  const third = proposeEverywhere(node, 'c');
  await c.run(3);
  release();
  await c.run(100);
  expect(removing.map(({ settled: done, code }) => ({ done, code }))).toEqual([{ done: true, code: undefined }]);
  expect(node.events.filter(({ type }) => type === 'raft.storage_failed')).toEqual([]);
  expect(first.length).toBe(3);
  // Group 0 was the first of them.
  expect([...first.slice(1), ...second.slice(1), ...third].map(({ code }) => code)).toEqual(
    new Array(6).fill(undefined),
  );
  expect([first[0]!.code, second[0]!.code]).toEqual(['RAFT_OUTCOME_UNKNOWN', 'RAFT_OUTCOME_UNKNOWN']);
  await c.run(500);
  for (const { number } of c.nodes) expect(c.node(number).machine(3).list).toEqual(['a', 'b', 'c']);
  await c.close();
});

test('the id of a removed replica is never used again, a higher one is; also after a restart', async () => {
  const c = await MultiCluster.start({ groups: 2 });
  await c.run(500);
  const node = c.node(3);
  const reopen = async () => {
    await node.kill();
    await c.settled(node.open());
    await c.settled(node.create(1));
  };
  // Found in the log when it was opened, unlike what was made since.
  await reopen();
  await c.settled(node.create(0));
  await c.settled(node.multi.removeGroup(0));
  const again = { code: expect.stringMatching(/^RAFT_(REPLICA_REMOVED|GROUP_EXISTS)$/) };
  await expect(c.settled(node.create(0))).rejects.toMatchObject(again);
  await reopen();
  await expect(c.settled(node.create(0))).rejects.toMatchObject(again);
  await c.settled(node.create(0, { replicaId: 4, bootstrap: false }));
  expect(node.multi.group(0)?.replicaId).toBe(4);
  await c.settled(node.multi.removeGroup(0));
  await expect(c.settled(node.create(0, { replicaId: 4, bootstrap: false }))).rejects.toMatchObject(again);
  await c.settled(node.create(0, { replicaId: 5, bootstrap: false }));
  await c.settled(node.multi.removeGroup(0));
  await c.settled(node.create(0, { replicaId: 6, bootstrap: false }));
  expect(node.multi.group(0)?.replicaId).toBe(6);
  await c.close();
});

test('a group that was found in the log can be removed and made anew without a restart', async () => {
  const c = await MultiCluster.start({ groups: 1 });
  await c.run(500);
  const node = c.node(3);
  await node.kill();
  await c.settled(node.open());
  await c.settled(node.create(0));
  await c.settled(node.multi.removeGroup(0));
  await c.settled(node.create(0, { replicaId: 7, bootstrap: false }));
  expect(node.multi.group(0)?.replicaId).toBe(7);
  await c.close();
});

test('a removal that finds no space waits for it', async () => {
  const c = await MultiCluster.start({ groups: 2 });
  await c.run(500);
  const node = c.node(3);
  const free = node.fillDisk();
  const removing = outcomeOf(node.multi.removeGroup(0));
  await c.run(2000);
  expect(removing.settled).toBe(false);
  expect(node.multi.group(0)).toBeUndefined();
  free();
  await c.run(1000);
  expect(removing.settled).toBe(true);
  expect(removing.code).toBeUndefined();
  await node.kill();
  await c.settled(node.open());
  await expect(c.settled(node.create(0))).rejects.toMatchObject({ code: 'RAFT_GROUP_EXISTS' });
  await c.close();
});
