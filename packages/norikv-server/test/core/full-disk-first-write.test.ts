// The first write to a shard, whose group has to be made, meets a full disk.
import { MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { get, openFixture, put } from './fixture.js';

test('the first write to a shard is refused as any other while the disk is full, and works again when it is not', async () => {
  const fs = new MemoryFileSystem();
  const { node, store } = await openFixture({ fs });
  const full = fs.inject({ on: 'write', code: 'IO_NO_SPACE', times: Number.POSITIVE_INFINITY });
  await expect(put(node, 'first', 'v')).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  full.remove();
  await put(node, 'first', 'v');
  expect((await get(node, 'first'))?.value).toBe('v');
  await store.close({ flush: false });
}, 20_000);
