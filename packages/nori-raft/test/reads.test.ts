// Linearizable reads by read index (README, "Reads").
import { expect, test } from 'vitest';
import { bytes, Cluster } from './helpers/cluster.js';

test('all reads of a turn share one heartbeat round, and are answered when a quorum has answered it', () => {
  const c = new Cluster();
  const { core, reads } = c.elect(1);
  const tokens = [core.readIndex(), core.readIndex(), core.readIndex()];
  c.work();
  expect(c.queue.map(({ type }) => type)).toEqual(['heartbeat', 'heartbeat']);
  expect(reads).toEqual([]);
  c.settle();
  expect(reads).toEqual(tokens.map((token) => ({ token, index: core.commitIndex })));
});

test('a round that began before a read does not answer it', () => {
  const c = new Cluster();
  const { core, reads } = c.elect(1);
  c.tick(1, [1], false);
  c.work();
  const earlier = c.queue.splice(0);
  core.readIndex();
  c.work();
  c.queue = earlier;
  c.settle();
  expect(reads).toEqual([]);
});

test('the only voter answers by itself', () => {
  const c = new Cluster({ voters: [1] });
  const { core, reads } = c.elect(1);
  core.readIndex();
  c.settle();
  expect(reads).toHaveLength(1);
});

test('a new leader answers no read before an entry of its own term is committed', () => {
  const c = new Cluster();
  c.elect(1);
  c.core(1).propose(bytes('a'));
  c.settle();
  // Replica 2 leads, but nobody stores what it sends: it does not know yet whether `a` is committed.
  c.core(1).transferLeader(2);
  c.passes = ({ from, type }) => !(from === 2 && type === 'append');
  c.settle();
  const { core, reads } = c.node(2);
  expect(core.role).toBe('leader');
  core.readIndex();
  c.tick(1, [2]);
  expect(reads).toEqual([]);
  c.heal();
  c.tick(2, [2]);
  expect(reads).toHaveLength(1);
  expect(reads[0]!.index).toBe(core.lastIndex);
});

test('a follower asks the leader; a repeated answer is dropped', () => {
  const c = new Cluster();
  c.elect(1);
  c.node(2).core.readIndex();
  c.node(2).core.readIndex();
  c.work();
  expect(c.queue.map(({ type }) => type)).toEqual(['read-index']);
  c.deliver();
  c.work();
  c.deliver();
  c.work();
  c.deliver();
  c.work();
  const answer = c.queue.find(({ type }) => type === 'read-index-response')!;
  c.settle();
  expect(c.node(2).reads.map(({ index }) => index)).toEqual([2, 2]);
  expect(c.core(2).step(answer, c.nowMs)).toBe('stale-term');
  c.settle();
  expect(c.node(2).reads).toHaveLength(2);
});

test('reads fail when leadership changes, at leader and follower', () => {
  const c = new Cluster();
  c.elect(1);
  c.isolate(1);
  const atLeader = c.core(1).readIndex();
  const atFollower = c.core(3).readIndex();
  c.settle();
  c.tick(21, [1]);
  expect(c.core(1).role).toBe('follower');
  expect(c.node(1).readsFailed).toEqual([atLeader]);
  c.tick(25, [2]);
  c.heal();
  c.tick(25, [2]);
  expect(c.node(3).readsFailed).toEqual([atFollower]);
  expect(c.node(1).reads).toEqual([]);
});

test('tokens of a restarted replica differ from those it gave out before', () => {
  const c = new Cluster();
  c.elect(1);
  const before = [c.core(2).readIndex(), c.core(2).readIndex()];
  c.node(2).restart();
  c.tick(1);
  expect(before).not.toContain(c.core(2).readIndex());
});

test('without a leader a read is refused', () => {
  const c = new Cluster();
  expect(() => c.core(1).readIndex()).toThrow(expect.objectContaining({ code: 'RAFT_NOT_LEADER', leader: 0 }));
});

test('a follower that does not know yet who the leader is reads by it all the same', () => {
  const c = new Cluster({ spare: [4] });
  c.elect(1);
  c.node(3).slowApply = true;
  c.core(1).proposeConfChange({ transition: 'auto', steps: [{ type: 'add-voter', id: 4 }] });
  c.settle();
  c.tick(2);
  c.core(1).transferLeader(4);
  c.settle();
  expect(c.core(4).role).toBe('leader');
  expect(c.core(3).leader).toBe(4);
  expect(c.core(3).config.voters).toEqual([1, 2, 3]);
  const token = c.core(3).readIndex();
  c.settle();
  expect(c.node(3).reads).toEqual([{ token, index: c.core(4).commitIndex }]);
});

test('questions whose answers never come are bounded: the oldest fail', () => {
  const c = new Cluster();
  c.elect(1);
  const { core, readsFailed, reads } = c.node(2);
  c.passes = ({ type }) => type !== 'read-index';
  const tokens: number[] = [];
  for (let i = 0; i < 1030; i++) {
    tokens.push(core.readIndex());
    c.settle();
  }
  expect(readsFailed).toEqual(tokens.slice(0, 6));
  c.heal();
  const last = core.readIndex();
  c.settle();
  expect(reads.map(({ token }) => token)).toEqual([last]);
});
