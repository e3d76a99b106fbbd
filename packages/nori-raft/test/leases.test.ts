// Leases (README, "Leases"; SPEC, invariants of leases). Ticks are 100 ms, elections 10 to 20 ticks.

import { RaftCore } from 'nori-raft';
import { expect, test } from 'vitest';
import { blankMessage } from '../src/message.js';
import { bytes, Cluster } from './helpers/cluster.js';

const lease = { electionTimeoutMinMs: 900, electionTimeoutMaxMs: 2000, maxClockDrift: 0.1, nowMs: 0 };
const LEASE_MS = 900 * 0.9;

const cluster = (options: ConstructorParameters<typeof Cluster>[0] = {}) =>
  new Cluster({ ...options, core: { lease } });

test('the lease runs from the beginning of the round that a quorum answered, not from its end', () => {
  const c = cluster();
  const { core } = c.elect(1);
  expect(core.leaseExpiresAtMs).toBe(0);
  c.tick(1, [1], false);
  c.work();
  const begunMs = c.nowMs;
  c.nowMs += 500;
  c.settle();
  expect(core.leaseExpiresAtMs).toBe(begunMs + LEASE_MS);
  expect(core.leaseRead(begunMs + LEASE_MS - 1)).toBe(core.commitIndex);
  expect(core.leaseRead(begunMs + LEASE_MS)).toBeUndefined();
});

test('answers of a minority extend no lease', () => {
  const c = cluster({ voters: [1, 2, 3, 4, 5] });
  const { core } = c.elect(1);
  c.tick(1, [1]);
  const before = core.leaseExpiresAtMs;
  expect(before).toBeGreaterThan(0);
  c.passes = ({ from, to }) => (from === 1 && to === 2) || (from === 2 && to === 1);
  c.tick(3, [1]);
  expect(core.leaseExpiresAtMs).toBe(before);
});

test('a joint configuration extends the lease only by both of its halves', () => {
  const c = cluster({ spare: [4, 5, 6] });
  const { core } = c.elect(1);
  const steps = [
    ...[4, 5, 6].map((id) => ({ type: 'add-voter' as const, id })),
    ...[2, 3].map((id) => ({ type: 'remove' as const, id })),
  ];
  core.proposeConfChange({ transition: 'joint-explicit', steps });
  c.settle();
  c.tick(1, [1]);
  expect(core.config).toMatchObject({ voters: [1, 4, 5, 6], votersOutgoing: [1, 2, 3] });
  let before = core.leaseExpiresAtMs;
  c.passes = ({ from, to }) => ![4, 5, 6].includes(from) && ![4, 5, 6].includes(to);
  c.tick(1, [1]);
  expect(core.leaseExpiresAtMs).toBe(before);
  c.heal();
  c.tick(1, [1]);
  before = core.leaseExpiresAtMs;
  c.passes = ({ from, to }) => ![2, 3].includes(from) && ![2, 3].includes(to);
  c.tick(1, [1]);
  expect(core.leaseExpiresAtMs).toBe(before);
  c.heal();
  c.tick(1, [1]);
  expect(core.leaseExpiresAtMs).toBe(c.nowMs + LEASE_MS);
});

test('a new leader has no lease before an entry of its own term is committed', () => {
  const c = cluster();
  c.core(1).campaign(0);
  c.passes = ({ type }) => type !== 'append';
  c.settle();
  const { core } = c.node(1);
  expect(core.role).toBe('leader');
  c.tick(2, [1]);
  expect(core.leaseExpiresAtMs).toBe(0);
  c.heal();
  c.tick(2, [1]);
  expect(core.leaseExpiresAtMs).toBeGreaterThan(0);
});

test('nobody votes within the election timeout of hearing from the leader, even who has forgotten it', () => {
  const c = cluster();
  c.elect(1);
  c.tick(1);
  c.core(2).forgetLeader();
  c.core(3).forgetLeader();
  c.isolate(1);
  c.nowMs += 800;
  c.core(2).campaign(c.nowMs);
  c.settle();
  expect(c.core(2).role).toBe('follower');
  c.nowMs += 100;
  c.core(2).campaign(c.nowMs);
  c.core(3).tick(c.nowMs);
  c.settle();
  expect(c.core(2).role).toBe('leader');
});

test('a restarted replica votes for nobody for the longest election timeout; one that never voted does at once', () => {
  const c = cluster();
  c.elect(1);
  c.tick(1);
  c.nowMs += 5000;
  for (const id of [2, 3]) c.node(id).restart({ lease: { ...lease, nowMs: c.nowMs } });
  c.isolate(1);
  c.nowMs += 1999;
  c.core(2).campaign(c.nowMs);
  c.settle();
  expect(c.core(2).role).toBe('follower');
  c.nowMs += 1;
  c.core(2).campaign(c.nowMs);
  c.core(3).tick(c.nowMs);
  c.settle();
  expect(c.core(2).role).toBe('leader');
});

test('who crashes before it has stored the term of a leader has not answered its heartbeat', () => {
  const c = cluster();
  c.isolate(3);
  c.elect(1);
  c.node(3).slowDisk = true;
  c.heal();
  c.passes = ({ from, to, type }) => (from === 1 && to === 3 && type === 'heartbeat') || from === 3;
  c.tick(2, [1]);
  expect(c.core(3).term).toBe(c.core(1).term);
  expect(c.core(1).leaseExpiresAtMs).toBe(0);
  c.node(3).finishWrites((m) => c.queue.push(m));
  c.settle();
  expect(c.core(1).leaseExpiresAtMs).toBeGreaterThan(0);
});

test('the only voter leads again at once after a restart', () => {
  const c = cluster({ voters: [1] });
  c.elect(1);
  c.node(1).restart({ lease: { ...lease, nowMs: c.nowMs } });
  c.elect(1);
});

test('a replica that was the only voter once keeps its promise after a restart from a state of then', () => {
  const c = cluster({ voters: [1], spare: [2, 3] });
  c.elect(1);
  for (const id of [2, 3]) {
    c.core(1).proposeConfChange({ transition: 'auto', steps: [{ type: 'add-voter', id }] });
    c.settle();
    c.tick(1, [1]);
  }
  c.core(1).transferLeader(2);
  c.settle();
  expect(c.core(2).role).toBe('leader');
  c.tick(1, [2]);
  const node = c.node(1);
  const { storage } = node;
  storage.config = undefined;
  expect(storage.initialState().config.voters).toEqual([1]);
  const { options } = node;
  node.core = new RaftCore({ ...options, appliedIndex: 1, storage, lease: { ...lease, nowMs: c.nowMs } });
  const { term, lastIndex } = c.core(3);
  const vote = { ...blankMessage('vote', 3, 1, term + 1), index: lastIndex, logTerm: term };
  expect(node.core.step(vote, c.nowMs)).toBe('leader-alive');
});

test('a transfer drops the lease before the target is told, and elects within the election timeout', () => {
  const c = cluster();
  const { core } = c.elect(1);
  c.tick(1);
  expect(core.leaseExpiresAtMs).toBeGreaterThan(0);
  core.transferLeader(2);
  expect(core.leaseExpiresAtMs).toBe(0);
  c.settle();
  expect(c.core(2).role).toBe('leader');
});

test('a transfer that was given up gives the lease back only with a later round, and cannot win votes any more', () => {
  const c = cluster();
  const { core } = c.elect(1);
  c.tick(1);
  core.transferLeader(2);
  c.work();
  const late = c.queue.filter(({ type }) => type === 'timeout-now');
  expect(late).toHaveLength(1);
  c.queue = c.queue.filter(({ type }) => type !== 'timeout-now');
  c.settle();
  // Ten ticks are an election timeout.
  c.tick(9, [1]);
  expect(core.leaseExpiresAtMs).toBe(0);
  c.tick(1, [1], false);
  expect(core.status().transferee).toBe(0);
  expect(core.leaseExpiresAtMs).toBe(0);
  // Replica 2 does not hear of the end of the transfer; replica 3 does, and the lease is back.
  c.passes = ({ to }) => to !== 2;
  c.tick(2, [1]);
  expect(core.leaseExpiresAtMs).toBeGreaterThan(c.nowMs);
  c.heal();
  c.passes = ({ from, to }) => from !== 1 && to !== 1;
  for (const message of late) c.core(2).step(message, c.nowMs);
  c.settle();
  expect(c.core(2).role).not.toBe('leader');
  expect(c.core(3).term).toBe(core.term);
});

test('without the option there is never a lease', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  c.tick(3);
  core.propose(bytes('x'));
  c.settle();
  expect(core.leaseExpiresAtMs).toBe(0);
  expect(core.leaseRead(c.nowMs)).toBeUndefined();
});

test('who has been moved to a later term without voting in it still keeps its promise there', () => {
  const c = cluster();
  c.elect(1);
  c.tick(1);
  const { term, lastIndex } = c.core(2);
  expect(c.core(1).leaseExpiresAtMs).toBeGreaterThan(c.nowMs);
  // Replica 3 refuses a pre-vote of long ago, as a candidate of the next term; then its request for votes arrives.
  const refusal = { ...blankMessage('pre-vote-response', 3, 2, term + 1), reject: true };
  c.core(2).step(refusal, c.nowMs);
  expect(c.core(2).term).toBe(term + 1);
  const vote = { ...blankMessage('vote', 3, 2, term + 1), index: lastIndex, logTerm: term };
  c.core(2).step(vote, c.nowMs);
  let ready = c.core(2).ready();
  expect(ready.hardState).toMatchObject({ term: term + 1, vote: 0 });
  expect(ready.afterAppend).toMatchObject([{ type: 'vote-response', to: 3, reject: true }]);
  c.nowMs += 900;
  c.core(2).step(vote, c.nowMs);
  ready = c.core(2).ready();
  expect(ready.hardState).toMatchObject({ vote: 3 });
  expect(ready.afterAppend).toMatchObject([{ type: 'vote-response', to: 3, reject: false }]);
});

test('who restarts in a term in which it has not voted keeps the promises of before there, too', () => {
  const c = cluster();
  c.elect(1);
  c.tick(1);
  const { term, lastIndex } = c.core(2);
  c.core(2).step({ ...blankMessage('pre-vote-response', 3, 2, term + 1), reject: true }, c.nowMs);
  c.node(2).work(() => {});
  c.node(2).restart({ lease: { ...lease, nowMs: c.nowMs } });
  const vote = { ...blankMessage('vote', 3, 2, term + 1), index: lastIndex, logTerm: term };
  c.core(2).step(vote, c.nowMs);
  expect(c.core(2).ready().afterAppend).toMatchObject([{ type: 'vote-response', reject: true }]);
});

test('who has just become the only voter keeps its promise to the leader of before after a restart', () => {
  const c = cluster({ voters: [1, 2] });
  c.elect(2);
  // The leader is slow to learn that it was removed, and has its lease until then.
  c.node(2).slowApply = true;
  c.core(2).proposeConfChange({ transition: 'auto', steps: [{ type: 'remove', id: 2 }] });
  c.settle();
  c.tick(1, [2]);
  expect(c.core(1).config.voters).toEqual([1]);
  expect(c.core(2).leaseExpiresAtMs).toBeGreaterThan(c.nowMs);
  c.node(1).restart({ lease: { ...lease, nowMs: c.nowMs } });
  c.isolate(2);
  c.core(1).campaign(c.nowMs);
  c.settle();
  expect(c.core(1).role).toBe('follower');
});
