// A node whose disk is full can be stopped.
import { MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { get, openFixture, put } from './fixture.js';

test('close comes to an end while the disk is full', async () => {
  const fs = new MemoryFileSystem();
  const { node, store } = await openFixture({ fs });
  for (let i = 0; i < 20; i++) await put(node, `k${i}`, 'v'.repeat(500));
  fs.capacityBytes = 1;
  const ended = await Promise.race([
    store.close({ flush: true }).then(
      () => 'closed',
      () => 'failed',
    ),
    new Promise((resolve) => setTimeout(() => resolve('hangs'), 3000)),
  ]);
  expect(ended).not.toBe('hangs');
  fs.capacityBytes = Number.POSITIVE_INFINITY;
  const again = await openFixture({ fs });
  expect((await get(again.node, 'k7'))?.value).toBe('v'.repeat(500));
  await again.store.close({ flush: false });
}, 20_000);
