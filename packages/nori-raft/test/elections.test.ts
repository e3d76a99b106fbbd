import { expect, test } from 'vitest';
import { bytes, Cluster } from './helpers/cluster.js';

test('with pre-vote, a replica that comes back does not unseat the leader', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  c.isolate(3);
  c.tick(60);
  expect(c.core(3).term).toBe(core.term);
  c.heal();
  c.tick(5);
  expect(core.role).toBe('leader');
});

test('an older term with a longer log and a newer term with a shorter one elect a leader between them', () => {
  // Raft, pre-vote: the candidate of the older term must learn of the newer one from the refusal.
  const c = new Cluster({ core: { checkQuorum: false } });
  c.elect(1);
  c.isolate(1);
  c.core(1).propose(bytes('longer'));
  c.settle();
  const [long, short] = [1, 2];
  c.heal();
  c.core(1).step(
    {
      ...{ type: 'vote', from: 3, to: 1, term: 1, index: 0, logTerm: 0, commit: 0, entries: [], reject: false },
      ...{ rejectHint: 0, snapshot: undefined, context: 0, transfer: 0 },
    },
    0,
  );
  // Replica 2 moves to a later term; replica 3 is gone.
  c.passes = ({ from, to }) => from !== 3 && to !== 3 && from !== 1 && to !== 1;
  c.node(2).storage.setHardState({ ...c.node(2).storage.initialState().hardState, term: 9, vote: 0 });
  c.node(2).restart();
  c.isolate(3);
  c.tick(100, [long, short]);
  expect(c.core(long).role).toBe('leader');
});

test('a chain of five keeps one leader', () => {
  const c = new Cluster({ voters: [1, 2, 3, 4, 5] });
  // Only neighbours hear each other.
  c.passes = ({ from, to }) => Math.abs(from - to) === 1;
  c.tick(60);
  // Nobody has three; a bridge in the middle has.
  c.passes = ({ from, to }) => from === 3 || to === 3;
  c.tick(60);
  const { term } = c.core(3);
  expect(c.core(3).role).toBe('leader');
  c.tick(100);
  expect(c.core(3).term).toBe(term);
});

test('a leader that hears from no quorum steps down', () => {
  const c = new Cluster();
  c.elect(1);
  c.isolate(1);
  c.tick(21, [1]);
  expect(c.core(1).role).toBe('follower');
});

test('a learner that was promoted without knowing it votes', () => {
  const c = new Cluster({ voters: [1, 2], learners: [3] });
  c.elect(1);
  c.passes = ({ to }) => to !== 3;
  c.core(1).proposeConfChange({ transition: 'auto', steps: [{ type: 'add-voter', id: 3 }] });
  c.settle();
  expect(c.core(1).config.voters).toEqual([1, 2, 3]);
  expect(c.core(3).config.voters).toEqual([1, 2]);
  c.isolate(1);
  c.tick(30, [2, 3]);
  expect(c.core(2).role).toBe('leader');
});

test('nobody campaigns while a committed configuration change is not applied', () => {
  const c = new Cluster();
  c.elect(1);
  c.node(2).slowApply = true;
  c.core(1).proposeConfChange({ transition: 'auto', steps: [{ type: 'remove', id: 3 }] });
  c.settle();
  c.tick(1);
  c.isolate(1);
  c.core(2).campaign(c.nowMs);
  c.tick(40, [2]);
  expect(c.core(2).role).toBe('follower');
  c.node(2).apply();
  c.tick(40, [2]);
  expect(c.core(2).role).toBe('pre-candidate');
});

test('who may not campaign because it does not know the voters does not keep others from being elected', () => {
  const c = new Cluster();
  c.elect(1);
  c.node(2).slowApply = true;
  c.core(1).proposeConfChange({ transition: 'auto', steps: [{ type: 'update', id: 3 }] });
  c.settle();
  c.tick(1);
  // Its timer runs out as soon as it might vote again.
  c.core(2).setRandomizedElectionTicks(10);
  c.isolate(1);
  c.tick(100, [2, 3]);
  expect(c.core(3).role).toBe('leader');
});

test('learners and removed replicas never campaign', () => {
  const c = new Cluster({ voters: [1, 2], learners: [3] });
  c.core(3).campaign(0);
  c.tick(100, [3]);
  expect(c.core(3).role).toBe('follower');
  expect(c.core(3).term).toBe(1);
});

test('a vote is not sent, and the own is not counted, before it is durable', () => {
  const c = new Cluster({ core: { preVote: false } });
  c.node(1).slowDisk = true;
  c.node(2).slowDisk = true;
  c.core(1).campaign(0);
  c.isolate(3);
  c.settle();
  expect(c.core(1).role).toBe('candidate');
  c.node(2).finishWrites((m) => c.queue.push(m));
  c.settle();
  expect(c.core(1).role).toBe('candidate');
  c.node(1).finishWrites((m) => c.queue.push(m));
  expect(c.core(1).role).toBe('leader');
});

test('a candidate that cannot win does not put off the election of one that can', () => {
  const c = new Cluster({ core: { preVote: false, checkQuorum: false } });
  c.elect(1);
  c.isolate(3);
  c.core(1).propose(bytes('3 does not have this'));
  c.settle();
  c.isolate(1);
  // Replica 3 is in a hurry: it campaigns after every five ticks.
  for (let i = 0; i < 8; i++) {
    c.tick(5, [2]);
    if (c.core(2).role === 'leader') break;
    c.core(3).campaign(c.nowMs);
    c.settle();
  }
  expect(c.core(2).role).toBe('leader');
});

test('of two that ask for votes at the same moment one is elected, without another timeout', () => {
  const c = new Cluster();
  // Replica 3 is dead.
  c.isolate(3);
  for (const id of [1, 2]) c.core(id).setRandomizedElectionTicks(15);
  c.tick(14, [1, 2], false);
  for (const id of [1, 2]) expect(c.core(id).role).toBe('follower');
  c.tick(1, [1, 2]);
  expect(c.core(2).role).toBe('leader');
  expect(c.core(1).leader).toBe(2);
});

test('who asks for votes and does not get them stands in the way of others for a moment only', () => {
  const c = new Cluster();
  c.isolate(3);
  c.core(2).setRandomizedElectionTicks(10);
  c.core(1).setRandomizedElectionTicks(12);
  c.tick(10, [1, 2], false);
  c.work();
  c.queue = [];
  expect(c.core(2).role).toBe('pre-candidate');
  c.tick(2, [1, 2]);
  expect(c.core(1).role).toBe('leader');
});
