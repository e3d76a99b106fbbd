// What peers send that they must not: refused, named, counted; and nothing changes.
import type { Entry, Message, PeerReceiver, PeerTransport } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { blankMessage } from '../../src/message.js';
import {
  encodeSnapshotAck,
  encodeSnapshotChunk,
  FrameEncoder,
  type SnapshotChunk,
} from '../../src/multi/frame-codec.js';
import { bytes, MultiCluster, outcomeOf, type TestNode } from './cluster.js';

/** Lets the test send what it wants to node 1, as if it came from `from`. */
async function withBackDoor() {
  const c = await MultiCluster.start({ groups: 2 });
  let receiver!: PeerReceiver;
  await c.node(1).kill();
  const transport = c.network.transport('n1');
  const watched: PeerTransport = {
    nodeId: 'n1',
    start: (given) => transport.start((receiver = given)),
    send: (to, lane, frame) => transport.send(to, lane, frame),
    queuedBytes: (to, lane) => transport.queuedBytes(to, lane),
    close: () => transport.close(),
  };
  await c.settled(c.node(1).open({ transport: watched }));
  for (const g of [0, 1]) await c.settled(c.node(1).create(g, { preferredLeader: 1 }));
  await c.until(() => c.node(1).group(0).role === 'leader' && c.node(1).group(1).role !== 'leader');
  await c.settled(c.node(1).group(0).propose(bytes('a')));
  await c.run(500);
  return { c, node: c.node(1), send: (from: string, frame: Uint8Array) => receiver.onFrame(from, 'control', frame) };
}

/** Everything about the groups of a node that a message could change. */
function stateOf(node: TestNode) {
  return [0, 1].map((g) => {
    const { term, vote, commit, leader, role, lastIndex, config } = node.group(g).status();
    return { term, vote, commit, leader, role, lastIndex, config, list: [...node.machine(g).list] };
  });
}

function frameOf(groupId: number, message: Partial<Message>): Uint8Array {
  const encoder = new FrameEncoder();
  encoder.add(groupId, {
    ...blankMessage('heartbeat', 2, 1, 1),
    ...message,
  });
  return encoder.finish().slice();
}

test('frames that are none are refused, counted and told, whatever they hold', async () => {
  const { c, node, send } = await withBackDoor();
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const before = stateOf(node);
  const good = frameOf(0, {});
  const refused = () => node.multi.stats().framesRefused;
  let expected = refused();
  for (const frame of [
    new Uint8Array(0),
    bytes('GET / HTTP/1.1\r\n\r\n'),
    good.subarray(0, good.length - 1),
    new Uint8Array(9 * 2 ** 20),
  ]) {
    send('n2', frame);
    expect(refused()).toBe(++expected);
  }
  for (let i = 0; i < 500; i++) send('n2', rng.bytes(rng.int(200)));
  expect(refused()).toBeGreaterThan(expected + 400);
  const events = node.events.filter(({ type }) => type === 'raft.bad_frame');
  expect(events).toHaveLength(refused());
  expect(events[0]).toMatchObject({ from: 'n2', message: expect.any(String) });
  await c.run(1);
  expect(stateOf(node), `NORI_SEED=${seed}`).toEqual(before);
  await c.close();
});

test('of a frame that is damaged nothing takes effect, not even what comes before the damage', async () => {
  const { c, node, send } = await withBackDoor();
  const encoder = new FrameEncoder();
  const { term } = node.group(1);
  for (const g of [0, 1]) {
    encoder.add(g, {
      ...blankMessage('append', 2, 1, term + 5),
      ...{ logTerm: 1, index: 1 },
      entries: [{ index: 2, term: term + 5, type: 'normal', data: bytes('evil') }],
    });
  }
  const frame = encoder.finish();
  const before = stateOf(node);
  send('n2', frame.subarray(0, frame.length - 3));
  await c.run(1);
  expect(stateOf(node)).toEqual(before);
  await c.close();
});

test('messages to groups and replicas that are not here, and from replicas that are unknown, change nothing and are counted', async () => {
  const { c, node, send } = await withBackDoor();
  const before = stateOf(node);
  const { unknownGroupMessages, messagesDropped } = node.multi.stats();
  send('n2', frameOf(77, { term: 9 }));
  expect(node.multi.stats().unknownGroupMessages).toBe(unknownGroupMessages + 1);
  expect(node.unknownGroups.at(-1)).toBe(77);
  // The replica with that id has been removed from here, or was never here.
  send('n2', frameOf(0, { to: 9, term: 99 }));
  // Nobody with that id is in the configuration; it claims to lead in a term far ahead.
  send('n9', frameOf(0, { from: 9, type: 'vote', term: 2 ** 52 }));
  expect(node.multi.stats().messagesDropped).toBe(messagesDropped + 2);
  const reasons = node.events.filter(({ type }) => type === 'raft.message_dropped').slice(-2);
  expect(reasons).toMatchObject([
    { reason: 'wrong-address' },
    { reason: expect.stringMatching(/far-future|unknown-replica/) },
  ]);
  await c.run(1);
  expect(stateOf(node)).toEqual(before);
  // A stranger does not become the address of a replica by claiming its id in a message that is refused.
  expect(node.group(0).leaderNode).toBe('n1');
  await c.close();
});

test('chunks and acknowledgements of snapshots that nobody sends or asked for change nothing', async () => {
  const { c, node, send } = await withBackDoor();
  const before = stateOf(node);
  const config = { voters: [9], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const head = { from: 2, to: 1, term: 1, snapshot: { term: 1, index: 1000, config }, streamId: 5, last: true };
  const chunk = (fields: Partial<SnapshotChunk>) =>
    encodeSnapshotChunk({ groupId: 0, ...head, offset: 0, bytes: bytes('[]'), ...fields });
  // Into the middle, to another replica, to another group, of what is applied already.
  send('n2', chunk({ offset: 500 }));
  send('n2', chunk({ to: 9 }));
  send('n2', chunk({ groupId: 77 }));
  send('n2', chunk({ snapshot: { ...head.snapshot, index: 1 } }));
  for (const status of ['accepted', 'complete', 'refused', 'failed'] as const) {
    send('n2', encodeSnapshotAck({ groupId: 0, from: 2, to: 1, streamId: 12345, status, offset: 10 }));
  }
  await c.run(200);
  expect(stateOf(node)).toEqual(before);
  expect(node.machine(0).installs).toBe(0);
  // Whole, but of a term that is over: the core does not want it.
  send('n2', chunk({}));
  await c.run(200);
  expect(stateOf(node)).toEqual(before);
  expect(node.machine(0).installs).toBe(0);
  await c.close();
});

test('a leader that wants committed entries replaced is not followed in that', async () => {
  const { c, node, send } = await withBackDoor();
  const before = stateOf(node)[0]!;
  const entries: Entry[] = [{ index: 2, term: before.term + 1, type: 'normal', data: bytes('other') }];
  send(
    'n2',
    frameOf(0, { type: 'append', term: before.term + 1, logTerm: 1, index: 1, commit: before.commit, entries }),
  );
  await c.run(2000);
  for (const { number } of c.nodes) expect(c.node(number).machine(0).list).toEqual(['a']);
  expect((await c.settled(c.leader(0)!.group(0).propose(bytes('b')))).result).toBe(2);
  await c.close();
});

test('a group whose state machine fails ends alone, by name; the others go on, and so do its other replicas', async () => {
  const { c, node } = await withBackDoor();
  const cause = new Error('out of order');
  node.machine(0).apply = () => {
    throw cause;
  };
  const proposal = outcomeOf(node.group(0).propose(bytes('b')));
  await c.run(100);
  expect(proposal.code).toBe('RAFT_OUTCOME_UNKNOWN');
  expect(node.events.find(({ type }) => type === 'raft.group_failed')).toMatchObject({ groupId: 0 });
  await expect(node.group(0).propose(bytes('x'))).rejects.toMatchObject({ code: 'RAFT_GROUP_FAILED', cause });
  await expect(node.group(0).read()).rejects.toMatchObject({ code: 'RAFT_GROUP_FAILED' });
  expect(node.group(0).leaseRead(() => 1)).toBeUndefined();
  const leader = () => [c.node(2), c.node(3)].find((other) => other.group(0).role === 'leader');
  await c.until(() => leader() !== undefined, 6000);
  expect((await c.settled(leader()!.group(0).propose(bytes('c')))).result).toBe(3);
  await c.until(() => c.leader(1) !== undefined);
  expect((await c.settled(c.leader(1)!.group(1).propose(bytes('d')))).result).toBe(1);
  expect(node.multi.stats().unappliedBytes).toBe(0);
  await c.close();
});
