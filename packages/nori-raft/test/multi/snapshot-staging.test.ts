// Snapshots on bad days.
import type { Mark, StagedSnapshot } from 'nori-raft';
import { expect, test } from 'vitest';
import { bytes, ListMachine, MultiCluster, type TestNode } from './cluster.js';

/** A cluster whose node 3 has to be sent a snapshot; it is opened, and has no replica yet. */
async function withOneFarBehind(): Promise<MultiCluster> {
  const c = await MultiCluster.start({ snapshotChunkBytes: 3000 });
  await c.run(500);
  await c.node(3).kill();
  for (let i = 0; i < 100; i++) {
    void c
      .node(1)
      .group(0)
      .propose(bytes(`entry ${i} ${'x'.repeat(50)}`));
  }
  await c.run(2000);
  for (const number of [1, 2]) c.node(number).machine(0).flush();
  await c.run(3000);
  const opening = c.node(3).open();
  await c.run(10);
  await opening;
  return c;
}

const failures = ({ events }: TestNode) => events.filter(({ type }) => type === 'raft.snapshot_failed');

test('a state machine may take longer to stage a snapshot than one that is silent is waited for', async () => {
  const c = await withOneFarBehind();
  const { clock } = c;
  class SlowMachine extends ListMachine {
    override async stage(mark: Mark, chunks: AsyncIterable<Uint8Array>): Promise<StagedSnapshot> {
      const staged = await super.stage(mark, chunks);
      await new Promise<void>((resolve) => clock.setTimer(60_000, resolve));
      return staged;
    }
  }
  const machine = new SlowMachine({ list: [], mark: { term: 1, index: 1, config: c.config } });
  const { peers } = c;
  const creating = c.node(3).multi.createGroup({ groupId: 0, replicaId: 3, stateMachine: machine, peers });
  await c.run(10);
  await creating;
  await c.until(() => machine.installs === 1, 100_000);
  expect(failures(c.node(1))).toEqual([]);
  expect(machine.list).toHaveLength(100);
  await c.close();
});

test('a snapshot that waits to be installed when its group is removed is discarded', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const [leader, node] = [c.node(1), c.node(2)];
  const machine = node.machine(0);
  let staged = 0;
  let discarded = 0;
  const stage = machine.stage.bind(machine);
  machine.stage = async (mark, chunks) => {
    const { install } = await stage(mark, chunks);
    staged++;
    return {
      install,
      discard: async () => {
        discarded++;
      },
    };
  };
  // It never ends what it is applying.
  machine.gate = new Promise(() => {});
  void leader.group(0).propose(bytes('a'));
  await c.run(200);
  for (const other of [1, 3]) c.network.disconnect('n2', `n${other}`);
  for (let i = 0; i < 100; i++) void leader.group(0).propose(bytes(`${i}`));
  await c.run(2000);
  for (const number of [1, 3]) c.node(number).machine(0).flush();
  await c.run(3000);
  for (const other of [1, 3]) c.network.reconnect('n2', `n${other}`);
  await c.until(() => staged === 1);
  await c.run(10);
  expect(discarded).toBe(0);
  const removed = node.multi.removeGroup(0);
  await c.run(10);
  await removed;
  expect({ staged, discarded, installs: machine.installs }).toEqual({ staged: 1, discarded: 1, installs: 0 });
  await c.close();
});
