// Leadership goes back to where it belongs, without a pause in service.
import { expect, test } from 'vitest';
import { bytes, MultiCluster, outcomeOf } from './cluster.js';

test('leadership is handed back to a node that has come back once that may lead, not in vain before', async () => {
  const c = await MultiCluster.start({ groups: 6 });
  await c.run(500);
  await c.node(1).kill();
  await c.until(() => [0, 3].every((g) => c.leader(g) !== undefined && c.leader(g) !== c.node(1)), 4000);
  await c.run(1000);
  const opening = c.node(1).open();
  await c.run(10);
  await opening;
  for (let g = 0; g < 6; g++) void c.node(1).create(g, { preferredLeader: (g % 3) + 1 });
  let [refusedMs, longestMs] = [0, 0];
  for (let ms = 0; ms < 8000; ms += 10) {
    const leader = c.leader(0);
    const proposal = leader === undefined ? undefined : outcomeOf(leader.group(0).propose(bytes('x')));
    await c.run(10);
    if (proposal?.value === undefined) refusedMs += 10;
    else refusedMs = 0;
    longestMs = Math.max(longestMs, refusedMs);
  }
  expect(c.leader(0)).toBe(c.node(1));
  expect(longestMs).toBeLessThan(200);
  await c.close();
});
