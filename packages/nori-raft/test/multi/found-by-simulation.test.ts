// Bugs that the simulation of many groups has found in MultiRaft, each as the shortest course of events that shows it.

import { VirtualClock } from 'nori-testkit';
import { expect, test } from 'vitest';
import { MemoryNodeNetwork } from '../../src/index.js';
import { blankMessage } from '../../src/message.js';
import { decodeFrame, encodeSnapshotChunk } from '../../src/multi/frame-codec.js';
import type { GroupDriver } from '../../src/multi/group.js';
import { resolveMultiOptions } from '../../src/multi/multi-options.js';
import type { PeerReceiver, RaftStorage } from '../../src/multi/ports.js';
import { SnapshotSender } from '../../src/multi/snapshot-sender.js';
import { bytes, MultiCluster, outcomeOf, type TestNode } from './cluster.js';

/** Lets what a node begins on its disk wait until the returned function is called. */
function stallDisk({ fs }: TestNode): () => void {
  let release!: () => void;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  fs.onOperation = () => held;
  return () => {
    fs.onOperation = undefined;
    release();
  };
}

async function settled<T>(c: MultiCluster, promise: Promise<T>): Promise<ReturnType<typeof outcomeOf<T>>> {
  const outcome = outcomeOf(promise);
  await c.until(() => outcome.settled);
  return outcome;
}

/** Ends a node and starts it again, without groups. */
async function restart(c: MultiCluster, number: number): Promise<void> {
  await c.node(number).kill();
  await settled(c, c.node(number).open());
}

test('a leader whose disk stands still is replaced, though clients go on to ask it', async () => {
  const c = await MultiCluster.start({ preferred: false });
  await c.until(() => c.leader(0) !== undefined);
  const old = c.leader(0)!;
  const release = stallDisk(old);
  const others = c.nodes.filter((node) => node !== old);
  for (let i = 0; i < 200; i++) {
    // Each of these goes to followers as an entry; it must not keep the leader in office.
    old
      .group(0)
      .propose(bytes('x'))
      .catch(() => undefined);
    await c.run(50);
    if (others.some(({ multi }) => multi.group(0)?.role === 'leader')) break;
  }
  const leader = others.find(({ multi }) => multi.group(0)?.role === 'leader')!;
  const answer = await settled(c, leader.group(0).propose(bytes('after')));
  expect(answer.code).toBeUndefined();
  release();
  await c.run(3000);
  expect(old.machine(0).list).toEqual(leader.machine(0).list);
  await c.close();
});

test('a group is removed while its writes wait for the disk, and its node goes on', async () => {
  const c = await MultiCluster.start({ groups: 2, preferred: true });
  await c.run(500);
  const node = c.node(1);
  const release = stallDisk(node);
  const other = outcomeOf(c.leader(1)!.group(1).propose(bytes('other')));
  const proposals = [outcomeOf(node.group(0).propose(bytes('first')))];
  await c.run(1);
  // Behind the write that is under way.
  proposals.push(outcomeOf(node.group(0).propose(bytes('second'))));
  await c.run(1);
  const removing = outcomeOf(node.multi.removeGroup(0));
  await c.run(1);
  release();
  await c.run(100);
  expect([removing.settled, removing.code]).toEqual([true, undefined]);
  expect(proposals.map(({ code }) => code)).toEqual(['RAFT_OUTCOME_UNKNOWN', 'RAFT_OUTCOME_UNKNOWN']);
  expect(other.code).toBeUndefined();
  expect(node.events.filter(({ type }) => type === 'raft.storage_failed')).toEqual([]);
  expect(node.multi.group(1)).toBeDefined();
  await c.close();
});

test('a group that was found at the start can be removed and created anew, under another replica id only', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  await restart(c, 3);
  await settled(c, c.node(3).create(0));
  await settled(c, c.node(3).multi.removeGroup(0));
  expect((await settled(c, c.node(3).create(0))).code).toBe('RAFT_GROUP_EXISTS');
  const anew = await settled(c, c.node(3).create(0, { replicaId: 4, bootstrap: false }));
  expect(anew.value).toMatchObject({ replicaId: 4 });
  await c.close();
});

test('a group in the log can be removed without being taken up', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  await restart(c, 3);
  const { multi } = c.node(3);
  expect((await settled(c, multi.removeGroup(0))).code).toBeUndefined();
  expect((await settled(c, multi.removeGroup(0))).code).toBe('RAFT_UNKNOWN_GROUP');
  await restart(c, 3);
  expect(c.node(3).multi.options.storage.storedGroups).toEqual([{ groupId: 0, replicaId: 3, removed: true }]);
  await c.close();
});

test('a group is removed on a full disk as soon as there is space', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const node = c.node(3);
  node.fs.capacityBytes = 0;
  const fault = node.fs.inject({ on: 'write', code: 'IO_NO_SPACE', times: Infinity });
  const removing = outcomeOf(node.multi.removeGroup(0));
  await c.run(2000);
  expect(removing.settled).toBe(false);
  expect(node.multi.group(0)).toBeUndefined();
  node.fs.capacityBytes = Infinity;
  fault.remove();
  await c.until(() => removing.settled);
  expect(removing.code).toBeUndefined();
  await restart(c, 3);
  expect(c.node(3).multi.options.storage.storedGroups).toEqual([{ groupId: 0, replicaId: 3, removed: true }]);
  await c.close();
});

test('a log that fails while a group is created has failed for the whole node', async () => {
  const c = await MultiCluster.start({ groups: 0 });
  const node = c.node(1);
  node.fs.inject({ on: 'datasync' });
  const failed = outcomeOf(node.multi.failed);
  expect((await settled(c, node.create(0))).code).toBe('RAFT_STORAGE_FAILED');
  await c.until(() => failed.settled);
  expect((await settled(c, node.create(1))).code).toBe('RAFT_STORAGE_FAILED');
  await c.close();
});

test('who has what a snapshot stands for says so, and is not offered it again', async () => {
  const c = await MultiCluster.start({ preferred: false });
  await c.until(() => c.leader(0) !== undefined);
  const leader = c.leader(0)!;
  await settled(c, leader.group(0).propose(bytes('a')));
  const follower = c.nodes.find((node) => node !== leader)!;
  await c.until(() => follower.group(0).appliedIndex === leader.group(0).appliedIndex);
  const { term, index } = follower.machine(0).mark;
  await leader.kill();
  // In its place, somebody who only listens.
  const frames: Uint8Array[] = [];
  const transport = c.network.transport(leader.id);
  const receiver: PeerReceiver = {
    onFrame: (_from, _lane, frame) => frames.push(frame),
    onUnreachable: () => undefined,
  };
  await transport.start(receiver);
  const { from, to } = blankMessage('snapshot', leader.number, follower.number, term);
  const head = { groupId: 0, from, to, term, snapshot: { term, index, config: c.config }, streamId: 7 };
  transport.send(follower.id, 'bulk', encodeSnapshotChunk({ ...head, offset: 0, last: true, bytes: bytes('[]') }));
  await c.run(5);
  const acks: unknown[] = [];
  for (const frame of frames) {
    decodeFrame(frame, {
      message: () => undefined,
      snapshotChunk: () => undefined,
      snapshotAck: ({ streamId, status }) => acks.push({ streamId, status }),
    });
  }
  expect(acks).toEqual([{ streamId: 7, status: 'complete' }]);
  await transport.close();
  await c.close();
});

test('a transfer that another one to the same replica has replaced says nothing to the core', () => {
  const clock = new VirtualClock();
  const transport = new MemoryNodeNetwork().transport('n1');
  const options = { nodeId: 'n1', clock, transport, random: () => 0.5, storage: {} as RaftStorage };
  const sender = new SnapshotSender(resolveMultiOptions(options));
  const reports: boolean[] = [];
  const group = { groupId: 0, replicaId: 1, snapshotSent: (_to: number, ok: boolean) => reports.push(ok) };
  const message = blankMessage('snapshot', 1, 2, 5);
  const config = { voters: [1, 2], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  message.snapshot = { term: 5, index: 9, config, data: new Uint8Array(0) };
  let released = 0;
  const source = () => ({
    ...{ term: 5, index: 9, config, release: () => void released++ },
    async *read() {
      yield bytes('state');
    },
  });
  for (let i = 0; i < 2; i++) sender.send(group as unknown as GroupDriver, 2, 'n2', message, source());
  expect(released).toBe(1);
  const first = Math.floor(0.5 * 2 ** 40) + 1;
  const ack = { groupId: 0, from: 2, to: 1, status: 'failed' as const, offset: 0 };
  sender.receiveAck('n2', { ...ack, streamId: first });
  expect(reports).toEqual([]);
  sender.receiveAck('n2', { ...ack, streamId: first + 1 });
  expect([reports, released]).toEqual([[false], 2]);
});
