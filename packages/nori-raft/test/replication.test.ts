import { type Message, RaftCore } from 'nori-raft';
import { expect, test } from 'vitest';
import { bytes, Cluster } from './helpers/cluster.js';

const appends = (messages: readonly Message[]) => messages.filter(({ type }) => type === 'append');

test('entries are applied everywhere, in order', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  for (const text of ['a', 'b', 'c']) core.propose(bytes(text));
  core.proposeMany([bytes('d'), bytes('e')]);
  c.settle();
  for (const { applied } of c.nodes.values()) expect(applied).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('appends go out before the leader has stored the entries, and a quorum of followers commits them', () => {
  const c = new Cluster();
  const leader = c.elect(1);
  leader.slowDisk = true;
  leader.core.propose(bytes('a'));
  c.settle();
  expect(leader.core.commitIndex).toBe(leader.core.lastIndex);
  // It is not applied here before it is durable here.
  expect(leader.applied).toEqual([]);
  leader.finishWrites((m) => c.queue.push(m));
  c.settle();
  expect(leader.applied).toEqual(['a']);
});

test('nothing is acknowledged before it is durable', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  c.node(1).slowDisk = true;
  c.node(2).slowDisk = true;
  c.isolate(3);
  core.propose(bytes('a'));
  c.settle();
  expect(core.commitIndex).toBe(core.lastIndex - 1);
  c.node(2).finishWrites((m) => c.queue.push(m));
  c.settle();
  expect(core.commitIndex).toBe(core.lastIndex - 1);
  c.node(1).finishWrites((m) => c.queue.push(m));
  c.settle();
  expect(core.commitIndex).toBe(core.lastIndex);
});

test('at most inflightAppendsMax appends are on the way to a follower', () => {
  const c = new Cluster({ core: { inflightAppendsMax: 3 } });
  const { core } = c.elect(1);
  for (let i = 0; i < 10; i++) core.propose(bytes(`${i}`));
  c.work();
  expect(appends(c.queue).filter(({ to, entries }) => to === 2 && entries.length > 0)).toHaveLength(3);
  c.settle();
  c.tick(1);
  expect(c.node(2).applied).toHaveLength(10);
});

test('at most inflightBytesMax bytes, but for one append, are on the way to a follower', () => {
  const c = new Cluster({ core: { inflightBytesMax: 2500 } });
  const { core } = c.elect(1);
  for (let i = 0; i < 10; i++) core.propose(new Uint8Array(1000));
  c.work();
  expect(appends(c.queue).filter(({ to, entries }) => to === 2 && entries.length > 0)).toHaveLength(3);
  c.settle();
  c.tick(1);
  expect(c.core(2).commitIndex).toBe(core.lastIndex);
});

test('proposals beyond uncommittedBytesMax are refused, and welcome again once there is room', () => {
  const c = new Cluster({ core: { uncommittedBytesMax: 1500 } });
  const { core } = c.elect(1);
  core.propose(new Uint8Array(1000));
  expect(() => core.propose(new Uint8Array(1000))).toThrow(expect.objectContaining({ code: 'RAFT_PROPOSAL_DROPPED' }));
  core.propose(new Uint8Array(0));
  c.settle();
  core.propose(new Uint8Array(2000));
  c.settle();
  expect(core.status().uncommittedBytes).toBe(0);
});

test('a late append neither cuts off what came after it nor commits more than it proves', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  core.propose(bytes('a'));
  c.work();
  const [first] = appends(c.queue).filter(({ to }) => to === 2);
  c.settle();
  core.propose(bytes('b'));
  c.settle();
  const { lastIndex } = c.core(2);
  c.core(2).step(first!, c.nowMs);
  c.settle();
  expect(c.core(2).lastIndex).toBe(lastIndex);
  // An append that proves (prev) but carries fewer entries than the commit index it tells.
  const c2 = new Cluster();
  c2.elect(1);
  c2.isolate(2);
  for (let i = 0; i < 5; i++) c2.core(1).propose(bytes(`${i}`));
  c2.settle();
  c2.heal();
  const message = { ...appendTo2(c2), commit: c2.core(1).commitIndex };
  c2.core(2).step(message, c2.nowMs);
  expect(c2.core(2).commitIndex).toBe(message.index + message.entries.length);
});

function appendTo2(c: Cluster): Message {
  return {
    ...{ type: 'append', from: 1, to: 2, term: c.core(1).term, index: 2, logTerm: c.core(1).term, commit: 0 },
    ...{ entries: c.node(1).storage.entries(3, 5, Infinity)!, reject: false, rejectHint: 0 },
    ...{ snapshot: undefined, context: 0, transfer: 0 },
  };
}

test('a write that ends after its entries were replaced says nothing about those that replaced them', () => {
  // Asynchronous appends, ABA: (term 1, index 2) is written, replaced, and comes back.
  const c = new Cluster();
  c.elect(1);
  c.isolate(1);
  const old = c.node(1);
  old.slowDisk = true;
  old.core.propose(bytes('lost'));
  c.work();
  c.queue = [];
  c.tick(30, [2, 3]);
  const leader = [c.node(2), c.node(3)].find(({ core }) => core.role === 'leader')!;
  leader.core.propose(bytes('kept'));
  c.settle();
  c.heal();
  c.tick(1, [leader.core.id]);
  expect(old.core.term).toBe(leader.core.term);
  // The old write is reported first; nothing of the new ones may count as durable by it.
  const acknowledged = () =>
    c.queue.filter(({ type, reject }) => type === 'append-response' && !reject).map((m) => m.index);
  const [stale] = old.writes.splice(0, 1);
  old.storage.store(stale!);
  old.core.appendDone(stale!.token);
  expect(acknowledged()).toEqual([]);
  expect(old.core.hasReady() && old.core.ready().committed.length > 0).toBe(false);
});

test('a follower that needs what is compacted gets a snapshot, and goes on from there', () => {
  const c = new Cluster();
  const { core, storage } = c.elect(1);
  c.isolate(3);
  for (let i = 0; i < 10; i++) core.propose(bytes(`${i}`));
  c.settle();
  storage.createSnapshot(core.appliedIndex, core.config, bytes('state'));
  storage.compact(core.appliedIndex);
  c.heal();
  c.tick(2);
  expect(c.node(3).storage.snapshot()?.data).toEqual(bytes('state'));
  core.propose(bytes('after'));
  c.settle();
  expect(c.node(3).applied).toEqual(['after']);
  expect(c.core(3).appliedIndex).toBe(core.appliedIndex);
});

test('a lost snapshot is sent again once that is reported', () => {
  const c = new Cluster();
  const { core, storage } = c.elect(1);
  c.isolate(3);
  core.propose(bytes('a'));
  c.settle();
  storage.createSnapshot(core.appliedIndex, core.config);
  storage.compact(core.appliedIndex);
  c.passes = ({ type }) => type !== 'snapshot';
  c.tick(3);
  expect(core.status().progress.find(({ id }) => id === 3)?.state).toBe('snapshot');
  c.heal();
  core.reportSnapshot(3, false);
  c.tick(3);
  expect(c.core(3).appliedIndex).toBe(core.appliedIndex);
});

test('a follower that missed everything in a quiet group catches up by heartbeats alone', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  c.isolate(3);
  core.propose(bytes('a'));
  c.settle();
  core.reportUnreachable(3);
  c.heal();
  c.tick(2);
  expect(c.node(3).applied).toEqual(['a']);
});

test('what is proposed at a follower is refused with the name of the leader, or forwarded', () => {
  const c = new Cluster();
  c.elect(1);
  expect(() => c.core(2).propose(bytes('a'))).toThrow(expect.objectContaining({ code: 'RAFT_NOT_LEADER', leader: 1 }));
  const f = new Cluster({ core: { forwardProposals: true } });
  f.elect(1);
  expect(f.core(2).propose(bytes('a'))).toEqual({ term: 0, index: 0 });
  f.settle();
  expect(f.node(3).applied).toEqual(['a']);
  f.core(2).transferLeader(3);
  f.settle();
  expect(f.core(3).role).toBe('leader');
});

test('a transfer waits until the target has all entries; proposals are refused meanwhile', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  c.passes = ({ to }) => to !== 2;
  core.propose(bytes('a'));
  c.settle();
  core.transferLeader(2);
  expect(() => core.propose(bytes('b'))).toThrow(
    expect.objectContaining({ code: 'RAFT_TRANSFER_IN_PROGRESS', leader: 2 }),
  );
  c.settle();
  expect(core.role).toBe('leader');
  c.heal();
  c.tick(2);
  expect(c.core(2).role).toBe('leader');
  expect(c.node(2).applied).toEqual(['a']);
});

test('what is committed and being applied is bounded by applyingBytesMax', () => {
  const c = new Cluster({ core: { applyingBytesMax: 3000 } });
  const { core } = c.elect(1);
  c.node(2).slowApply = true;
  for (let i = 0; i < 20; i++) core.propose(new Uint8Array(1000));
  c.settle();
  expect(c.core(2).appliedIndex).toBe(2);
  for (let i = 0; i < 20; i++) {
    c.node(2).apply();
    c.settle();
  }
  expect(c.core(2).appliedIndex).toBe(core.lastIndex);
});

test('the contract is enforced', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  expect(() => core.applyDone(100)).toThrow(expect.objectContaining({ code: 'RAFT_MISUSE' }));
  expect(() => core.proposeMany([])).toThrow(expect.objectContaining({ code: 'RAFT_MISUSE' }));
  expect(() => core.propose(new Uint8Array(16 * 1024 * 1024 + 1))).toThrow(
    expect.objectContaining({ code: 'RAFT_ENTRY_TOO_LARGE' }),
  );
  c.node(1).slowApply = true;
  core.proposeConfChange({ transition: 'auto', steps: [{ type: 'remove', id: 3 }] });
  c.settle();
  expect(() => core.applyDone(core.commitIndex)).toThrow(expect.objectContaining({ code: 'RAFT_MISUSE' }));
  const { storage } = c.node(1);
  const random = () => 0;
  for (const options of [
    { id: 0 },
    { id: 1.5 },
    { electionTicks: 1 },
    { inflightAppendsMax: 0 },
    { appliedIndex: -1 },
    { lease: { electionTimeoutMinMs: 0, electionTimeoutMaxMs: 1, maxClockDrift: 0, nowMs: 0 } },
    { lease: { electionTimeoutMinMs: 1, electionTimeoutMaxMs: 1, maxClockDrift: 1, nowMs: 0 } },
    { lease: { electionTimeoutMinMs: 1, electionTimeoutMaxMs: 1, maxClockDrift: 0, nowMs: 0 }, checkQuorum: false },
  ]) {
    expect(() => new RaftCore({ id: 1, storage, random, ...options })).toThrow(
      expect.objectContaining({ code: 'RAFT_INVALID_OPTION' }),
    );
  }
  expect(() => new RaftCore({ id: 1, storage, random, appliedIndex: 1000 })).toThrow(
    expect.objectContaining({ code: 'RAFT_CORRUPT_STATE' }),
  );
});

test('what a follower lacks that was heard of a moment ago is kept for it, at the check of the quorum, too', () => {
  const c = new Cluster({ core: { electionTicks: 10, heartbeatTicks: 1, checkQuorum: true } });
  const { core } = c.elect(1);
  c.settle();
  // Replica 3 answers heartbeats, but appends to it are on their way.
  c.passes = ({ to, type }) => to !== 3 || type !== 'append';
  const held = core.lastIndex;
  core.propose(bytes('a'));
  c.settle();
  const lowest = new Set<number>();
  for (let i = 0; i < 25; i++) {
    // Looked at right after the tick, before anybody has answered.
    c.nowMs += 100;
    core.tick(c.nowMs);
    lowest.add(core.lowestMatch);
    c.settle();
  }
  expect([...lowest]).toEqual([held]);
  // Who is silent for two checks is waited for no longer.
  c.isolate(3);
  c.tick(25, [1]);
  expect(core.lowestMatch).toBe(core.lastIndex);
});
