import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { BlockCache, SSTableReader, type TableEntry } from '../src/index.js';
import { memoryFileSystem, put, utf8, writeTable } from './support.js';

const KEYS = 400;
const entries: TableEntry[] = Array.from({ length: KEYS }, (_, i) =>
  put(`key:${String(i).padStart(6, '0')}`, `value ${i}`),
);

async function tables(cache: BlockCache, count: number): Promise<SSTableReader[]> {
  const fs = await memoryFileSystem();
  const readers: SSTableReader[] = [];
  for (let i = 0; i < count; i++) {
    await writeTable(fs, `/${i}.sst`, entries, { blockBytes: 512 });
    readers.push(await SSTableReader.open({ fs, path: `/${i}.sst`, cache }));
  }
  return readers;
}

test('a second look-up of a key is a hit and reads nothing', async () => {
  const cache = new BlockCache({ bytesMax: 1 << 20 });
  const [table] = await tables(cache, 1);
  table!.get(entries[7]!.key);
  expect(cache.stats()).toMatchObject({ hits: 0, misses: 1, blocks: 1 });
  table!.get(entries[7]!.key);
  expect(cache.stats()).toMatchObject({ hits: 1, misses: 1, blocks: 1 });
  expect(table!.stats().reads).toBe(1);
});

test('tables share the bound, and values stay good when their blocks are evicted', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const cache = new BlockCache({ bytesMax: 5000 });
  const readers = await tables(cache, 3);
  const held: [Uint8Array, TableEntry][] = [];
  for (let i = 0; i < 3000; i++) {
    const entry = rng.pick(entries);
    const found = rng.pick(readers).get(entry.key);
    expect(found?.value, `seed ${seed}`).toEqual(entry.value);
    if (i % 50 === 0) held.push([found!.value, entry]);
    expect(cache.stats().bytes).toBeLessThanOrEqual(5000);
  }
  expect(cache.stats().evictions).toBeGreaterThan(100);
  expect(cache.stats().blocks).toBeGreaterThan(2);
  for (const [value, entry] of held) expect(value).toEqual(entry.value);
});

test('closing a table drops its blocks and no others', async () => {
  const cache = new BlockCache({ bytesMax: 1 << 20 });
  const [first, second] = await tables(cache, 2);
  for (const { key } of entries) {
    first!.get(key);
    second!.get(key);
  }
  const { blocks, misses } = cache.stats();
  await first!.close();
  expect(cache.stats().blocks).toBe(blocks / 2);
  for (const { key } of entries) second!.get(key);
  expect(cache.stats().misses).toBe(misses);
  await second!.close();
  expect(cache.stats()).toMatchObject({ blocks: 0, bytes: 0 });
});

test('a block in use survives a scan of blocks that are not', async () => {
  const cache = new BlockCache({ bytesMax: 8000 });
  const [table] = await tables(cache, 1);
  const hot = utf8('key:000003');
  for (let i = 0; i < 20; i++) table!.get(hot);
  for (const { key } of entries) {
    table!.get(key);
    table!.get(hot);
  }
  const before = table!.stats().reads;
  table!.get(hot);
  expect(table!.stats().reads).toBe(before);
});

test('a cursor that does not fill the cache leaves it as it was', async () => {
  const cache = new BlockCache({ bytesMax: 1 << 20 });
  const [table] = await tables(cache, 1);
  table!.get(entries[200]!.key);
  const cursor = table!.cursor({ fillCache: false });
  let count = 0;
  for (cursor.first(); cursor.valid; cursor.next()) count++;
  expect(count).toBe(KEYS);
  expect(cache.stats().blocks).toBe(1);
});

test('a cache without room, and one larger block than it, keep nothing', async () => {
  for (const bytesMax of [0, 100]) {
    const cache = new BlockCache({ bytesMax });
    const [table] = await tables(cache, 1);
    expect(table!.get(entries[0]!.key)?.value).toEqual(entries[0]!.value);
    expect(cache.stats()).toMatchObject({ blocks: 0, bytes: 0 });
  }
  expect(() => new BlockCache({ bytesMax: -1 })).toThrow(expect.objectContaining({ code: 'SSTABLE_INVALID_OPTION' }));
});
