// Writes that wait for the log may have 64 MiB in all; when they are all of one shard they become one entry of one record.
import { expect, test } from 'vitest';
import { get, openFixture, put } from './fixture.js';

test('many large writes to one shard do not end the node', async () => {
  const { node, store, log } = await openFixture({
    memtableBytes: 8 * 1024 * 1024,
    logSegmentBytes: 128 * 1024 * 1024,
  });
  let failure: Error | undefined;
  void log.failed.then((error) => {
    failure = error;
  });
  const value = 'x'.repeat(1024 * 1024);
  // All of it is accepted: the bound on what waits is looked at before a write is added.
  const results = await Promise.allSettled(Array.from({ length: 65 }, (_, i) => put(node, `{hot}${i}`, value)));
  const codes = new Set(results.map((r) => (r.status === 'rejected' ? (r.reason as { code: string }).code : 'OK')));
  expect(failure).toBeUndefined();
  expect([...codes].filter((code) => code !== 'OK' && code !== 'RESOURCE_EXHAUSTED')).toEqual([]);
  await put(node, '{hot}after', 'v');
  expect((await get(node, '{hot}after'))?.value).toBe('v');
  await store.close({ flush: false });
}, 60_000);
