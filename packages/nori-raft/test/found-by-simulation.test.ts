// Bugs that the simulation has found in the core, each as the shortest course of events that shows it.
import { expect, test } from 'vitest';
import { bytes, Cluster } from './helpers/cluster.js';

test('a candidate does not lead before its own vote is durable, whoever else has voted', () => {
  const c = new Cluster();
  const node = c.node(1);
  node.slowDisk = true;
  c.core(1).campaign(0);
  for (let i = 0; i < 4; i++) {
    c.work();
    c.deliver();
    // Its pre-vote does not wait for anything.
    if (c.core(1).role === 'pre-candidate') node.finishWrites((message) => c.queue.push(message));
  }
  expect(c.core(2).status().vote).toBe(1);
  expect(c.core(3).status().vote).toBe(1);
  expect(c.core(1).role).toBe('candidate');
  node.finishWrites((message) => c.queue.push(message));
  expect(c.core(1).role).toBe('leader');
});

test('what was to be applied before a received snapshot no longer counts as being applied', () => {
  const c = new Cluster({ core: { applyingBytesMax: 100 } });
  const leader = c.elect(1);
  const follower = c.node(3);
  follower.slowApply = true;
  for (let i = 0; i < 8; i++) leader.core.propose(new Uint8Array(200));
  c.settle();
  c.isolate(3);
  leader.core.propose(bytes('more'));
  c.settle();
  const { appliedIndex, config } = leader.core;
  leader.storage.createSnapshot(appliedIndex, config);
  leader.storage.compact(appliedIndex);
  c.heal();
  c.tick(5);
  // The state machine now is the snapshot's: the entries that were handed out before it are not applied any more.
  expect(follower.core.appliedIndex).toBe(appliedIndex);
  follower.forgetUnapplied();
  follower.slowApply = false;
  leader.core.propose(bytes('last'));
  c.settle();
  expect(follower.applied).toEqual(['last']);
});

test('entries handed out before a snapshot came are applied on their own configuration, not on the snapshot’s', () => {
  const c = new Cluster({ spare: [4] });
  const leader = c.elect(1);
  const follower = c.node(3);
  follower.slowApply = true;
  leader.core.proposeConfChange({ transition: 'auto', steps: [{ type: 'add-learner', id: 4 }] });
  c.settle();
  const change = follower.unapplied.find(({ type }) => type === 'conf-change')!;
  c.isolate(3);
  leader.core.proposeConfChange({ transition: 'auto', steps: [{ type: 'add-voter', id: 4 }] });
  c.settle();
  leader.storage.createSnapshot(leader.core.appliedIndex, leader.core.config);
  leader.storage.compact(leader.core.appliedIndex);
  c.heal();
  c.tick(3, [1, 2, 3, 4], false);
  for (let i = 0; i < 20; i++) {
    c.work();
    c.deliver(({ type }) => type !== 'snapshot');
  }
  follower.slowDisk = true;
  c.settle();
  expect(follower.writes.some(({ snapshot }) => snapshot !== undefined)).toBe(true);
  expect(follower.core.applyConfChange(change)).toMatchObject({ voters: [1, 2, 3], learners: [4] });
  follower.finishWrites((message) => c.queue.push(message));
  expect(follower.core.config).toMatchObject({ voters: [1, 2, 3, 4], learners: [] });
});

test('a removed leader that alone knows of its removal being committed tells those who ask for its vote', () => {
  const c = new Cluster({ voters: [1, 2], core: { stepDownOnRemoval: true } });
  const leader = c.elect(1);
  // Replica 2 gets the entry; that it is committed, only the leader hears.
  c.passes = ({ to, commit }) => to === 1 || commit <= leader.core.appliedIndex;
  const { index } = leader.core.proposeConfChange({ transition: 'auto', steps: [{ type: 'remove', id: 1 }] });
  // What it had proposed besides makes its log the longest.
  leader.core.propose(bytes('longer'));
  const isLonger = (last: number) => last > index;
  c.passes = ({ to, type, entries, commit }) =>
    to === 1 || (commit < index && !isLonger(entries.at(-1)?.index ?? 0) && type !== 'heartbeat');
  c.settle();
  expect(leader.core.role).toBe('follower');
  expect(c.core(2).commitIndex).toBeLessThan(index);
  c.heal();
  c.tick(60);
  expect(c.core(2).role).toBe('leader');
  expect(c.core(2).config.voters).toEqual([2]);
});
