// With a full disk reads go on, those of expired keys too.
import { MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { get, HeldClock, openFixture, put, scanAll } from './fixture.js';

test('an expired key is absent, not an error, while the disk of the log is full', async () => {
  const fs = new MemoryFileSystem();
  const clock = new HeldClock();
  const { node, store } = await openFixture({ fs, clock });
  await put(node, 'session', 'v', { ttlMs: 1000 });
  const full = fs.inject({ on: 'write', code: 'IO_NO_SPACE', times: Number.POSITIVE_INFINITY });
  clock.advance(2000);
  const results = await Promise.allSettled([get(node, 'session'), scanAll(node)]);
  full.remove();
  // The log tries again.
  await clock.advanceAsync(1000);
  await store.close({ flush: false });
  expect(results.map((r) => (r.status === 'rejected' ? r.reason.code : 'ok'))).toEqual(['ok', 'ok']);
}, 20_000);
