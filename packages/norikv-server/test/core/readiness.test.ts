// A full disk is over when there is space again, whether somebody writes or not.
import { MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { openFixture, put } from './fixture.js';

test('a store that refused a write for want of space is ready again once there is space', async () => {
  const fs = new MemoryFileSystem();
  const { node, store } = await openFixture({ fs });
  await put(node, 'a', 'v');
  fs.capacityBytes = 1;
  // More than the room that the log has made ahead.
  const waiting = put(node, 'b', 'v'.repeat(200_000));
  await expect.poll(() => store.refusal).toContain('full');
  await expect(put(node, 'c', 'v')).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  fs.capacityBytes = Number.POSITIVE_INFINITY;
  // A load balancer that looks at /readyz sends nothing to this node meanwhile.
  await expect.poll(() => store.refusal, { timeout: 20_000 }).toBeUndefined();
  await waiting;
  await store.close({ flush: false });
}, 25_000);
