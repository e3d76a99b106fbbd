import type { ConfChange } from 'nori-raft';
import { expect, test } from 'vitest';
import { bytes, Cluster } from './helpers/cluster.js';

const add = (id: number): ConfChange => ({ transition: 'auto', steps: [{ type: 'add-voter', id }] });
const remove = (id: number): ConfChange => ({ transition: 'auto', steps: [{ type: 'remove', id }] });
const pending = expect.objectContaining({ code: 'RAFT_CONF_CHANGE_PENDING' });
const invalid = expect.objectContaining({ code: 'RAFT_CONF_CHANGE_INVALID' });

test('a leader proposes no configuration change before an entry of its own term is applied', () => {
  const c = new Cluster();
  c.core(1).campaign(0);
  c.passes = ({ type }) => type !== 'append';
  c.settle();
  expect(c.core(1).role).toBe('leader');
  expect(() => c.core(1).proposeConfChange(remove(3))).toThrow(pending);
  c.heal();
  c.tick(1);
  c.core(1).proposeConfChange(remove(3));
});

test('one configuration change at a time', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  c.node(1).slowApply = true;
  core.proposeConfChange(remove(3));
  expect(() => core.proposeConfChange(add(4))).toThrow(pending);
  c.settle();
  expect(core.config.voters).toEqual([1, 2, 3]);
  expect(() => core.proposeConfChange(add(4))).toThrow(pending);
  c.node(1).apply();
  expect(core.config.voters).toEqual([1, 2]);
  core.proposeConfChange(add(4));
});

test('a configuration without voters, or none to leave, is refused and nothing has happened', () => {
  const c = new Cluster({ voters: [1] });
  const { core } = c.elect(1);
  const before = core.status();
  expect(() => core.proposeConfChange(remove(1))).toThrow(invalid);
  expect(() => core.proposeConfChange({ transition: 'auto', steps: [] })).toThrow(invalid);
  expect(core.status()).toEqual(before);
});

test('several replicas are replaced at once by way of a joint configuration that is left by itself', () => {
  const c = new Cluster({ spare: [4, 5] });
  const { core } = c.elect(1);
  core.propose(bytes('before'));
  core.proposeConfChange({
    transition: 'auto',
    steps: [
      { type: 'add-voter', id: 4 },
      { type: 'add-voter', id: 5 },
      { type: 'remove', id: 2 },
      { type: 'remove', id: 3 },
    ],
  });
  c.settle();
  c.tick(3);
  expect(core.config).toMatchObject({ voters: [1, 4, 5], votersOutgoing: [], autoLeave: false });
  expect(c.node(4).applied).toEqual(['before']);
});

test('a joint configuration that its leader did not live to leave is left by the next one', () => {
  const c = new Cluster({ spare: [4, 5] });
  const { core } = c.elect(1);
  const steps = [
    { type: 'add-voter' as const, id: 4 },
    { type: 'add-voter' as const, id: 5 },
  ];
  core.proposeConfChange({ transition: 'auto', steps });
  // All learn of the change, and then the leader is gone.
  const changed = () => [2, 3].every((id) => c.core(id).config.votersOutgoing.length > 0);
  for (let i = 0; i < 20 && !changed(); i++) {
    c.work();
    c.deliver(
      ({ from, entries }) => !(from === 1 && entries.some(({ data, index }) => index > 3 && data.length === 0)),
    );
    c.queue = c.queue.filter(({ from }) => from !== 1);
    c.tick(1, [1], false);
  }
  expect(changed()).toBe(true);
  for (const id of [2, 3]) c.node(id).restart();
  c.queue = [];
  c.isolate(1);
  c.tick(80, [2, 3, 4, 5]);
  const next = [2, 3, 4, 5].map((id) => c.core(id)).find(({ role }) => role === 'leader')!;
  expect(next.config).toMatchObject({ voters: [1, 2, 3, 4, 5], votersOutgoing: [] });
});

test('a joint configuration is left when a transfer that stood in the way is given up', () => {
  const c = new Cluster({ spare: [4, 5] });
  const { core } = c.elect(1);
  c.node(1).slowApply = true;
  const steps = [4, 5].map((id) => ({ type: 'add-voter' as const, id }));
  core.proposeConfChange({ transition: 'auto', steps });
  c.settle();
  c.passes = ({ type }) => type !== 'timeout-now';
  core.transferLeader(2);
  c.node(1).slowApply = false;
  c.node(1).apply();
  c.settle();
  expect(core.config.votersOutgoing).toEqual([1, 2, 3]);
  // An election timeout later the transfer is over, and nobody proposes anything.
  c.tick(15);
  expect(core.status().transferee).toBe(0);
  expect(core.config).toMatchObject({ voters: [1, 2, 3, 4, 5], votersOutgoing: [] });
});

test('a leader that removes itself steps down once that is applied', () => {
  const c = new Cluster();
  const { core } = c.elect(1);
  core.proposeConfChange(remove(1));
  c.settle();
  expect(core.role).toBe('follower');
  expect(core.config.voters).toEqual([2, 3]);
  c.tick(40, [2, 3]);
  expect(c.leader?.core.id).not.toBe(1);
});

test('a change that a snapshot has overtaken is not applied a second time', () => {
  const c = new Cluster();
  const { core, storage } = c.elect(1);
  c.node(3).slowApply = true;
  core.proposeConfChange(remove(2));
  c.settle();
  c.tick(1);
  core.proposeConfChange(add(2));
  c.isolate(3);
  c.settle();
  core.propose(bytes('x'));
  c.settle();
  c.tick(2, [1, 2]);
  storage.createSnapshot(core.appliedIndex, core.config);
  storage.compact(core.appliedIndex);
  c.heal();
  c.tick(3);
  const before = c.core(3).config;
  expect(before).toEqual(core.config);
  c.node(3).apply();
  expect(c.core(3).config).toEqual(before);
});
