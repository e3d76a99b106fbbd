// A page of a scan reads about as many bytes as it gives.
import { afterEach, expect, test } from 'vitest';
import type { StorageCursor } from '../../src/ports/storage.js';
import { type Fixture, openFixture, put, scanQuery, utf8 } from './fixture.js';

let fixture: Fixture | undefined;
afterEach(async () => {
  await fixture?.store.close({ flush: false });
  fixture = undefined;
});

test('a page of large values of one hash tag does not read all of them in one go', async () => {
  fixture = await openFixture({ memtableBytes: 8 * 1024 * 1024, logSegmentBytes: 128 * 1024 * 1024 });
  const { node, store } = fixture;
  const value = 'x'.repeat(256 * 1024);
  for (let i = 0; i < 160; i++) await put(node, `{t}${String(i).padStart(4, '0')}`, value);
  let read = 0;
  const open = store.storage.cursor.bind(store.storage);
  store.storage.cursor = (reverse: boolean): StorageCursor => {
    const cursor = open(reverse);
    const entry = cursor.entry.bind(cursor);
    cursor.entry = () => {
      const stored = entry();
      read += stored.value.length;
      return stored;
    };
    return cursor;
  };
  const page = await node.scan(scanQuery({ prefix: utf8('{t}') }));
  const given = page.entries.reduce((sum, entry) => sum + entry.value.length, 0);
  expect(given).toBeLessThanOrEqual(1024 * 1024);
  expect(read).toBeLessThanOrEqual(4 * 1024 * 1024);
}, 60_000);
