// Groups that are created when the first message for them comes: that message counts, so that a new group has a leader at once.
import { expect, test } from 'vitest';
import { MultiCluster } from './cluster.js';

test('a group that others create because of its first vote request elects without waiting for a second one', async () => {
  const c = await MultiCluster.start({ size: 3, groups: 0 });
  for (const node of c.nodes) {
    Object.assign(node.multi.options, {
      onUnknownGroup: (groupId: number) => {
        node.unknownGroups.push(groupId);
        void node.create(groupId, { preferredLeader: 1 });
      },
    });
  }
  await c.run(5_000);
  const startMs = c.clock.monotonic();
  void c.node(1).create(7, { preferredLeader: 1 });
  await c.until(() => c.node(1).group(7)?.role === 'leader');
  expect(c.clock.monotonic() - startMs).toBeLessThan(500);
  await c.until(() => [2, 3].every((number) => c.node(number).group(7)?.leader === 1));
  // One message is enough to ask for a group.
  expect(c.node(2).unknownGroups).toEqual([7]);
  await c.close();
});
