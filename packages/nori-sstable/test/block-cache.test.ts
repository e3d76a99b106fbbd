import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { BlockCache, compareKeys, SSTableReader, type TableEntry } from '../src/index.js';
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

test('a full cache takes a block at its second miss, so that what is read once drives out nothing', async () => {
  const cache = new BlockCache({ bytesMax: 12_000 });
  const [table, other] = await tables(cache, 2);
  for (const { key } of entries) table!.get(key);
  const full = cache.stats();
  for (const { key } of entries.filter((_, i) => i % 80 === 0)) other!.get(key);
  expect(cache.stats().evictions).toBe(full.evictions);
  for (const { key } of entries.filter((_, i) => i % 80 === 0)) other!.get(key);
  expect(cache.stats().evictions).toBeGreaterThan(full.evictions);
});

test('the bound holds whatever comes, and what is in use stays', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const fs = await memoryFileSystem();
  const value = (i: number, length: number) => new Uint8Array(length).fill(i);
  const mixed = Array.from({ length: 600 }, (_, i) =>
    put(`key:${String(i).padStart(6, '0')}`, value(i, rng.chance(0.05) ? rng.int(40_000) : rng.int(200))),
  );
  for (const bytesMax of [3000, 20_000, 80_000, 300_000, 3_000_000]) {
    const cache = new BlockCache({ bytesMax });
    let readers: SSTableReader[] = [];
    for (let round = 0; round < 4; round++) {
      const path = `/${bytesMax}-${round}.sst`;
      await writeTable(fs, path, mixed, { blockBytes: rng.pick([256, 1024, 4096]), indexPartitionBytes: 64 });
      readers.push(await SSTableReader.open({ fs, path, cache }));
      for (let i = 0; i < 400; i++) {
        const entry = mixed[rng.chance(0.5) ? rng.int(20) : rng.int(mixed.length)]!;
        const value = rng.pick(readers).get(entry.key)!.value;
        expect(compareKeys(value, entry.value), `seed ${seed}`).toBe(0);
        expect(cache.stats().bytes).toBeLessThanOrEqual(bytesMax);
      }
      if (rng.chance(0.5)) {
        await readers[0]!.close();
        readers = readers.slice(1);
      }
    }
    for (const reader of readers) await reader.close();
    expect(cache.stats()).toMatchObject({ blocks: 0, bytes: 0, pinnedBytes: 0 });
  }
});

test('the blocks of a large table are dropped a part at a time, and all in the end', async () => {
  const cache = new BlockCache({ bytesMax: 1 << 24 });
  const fs = await memoryFileSystem();
  const many = Array.from({ length: 24_000 }, (_, i) => put(`key:${String(i).padStart(6, '0')}`, 'value'));
  await writeTable(fs, '/large.sst', many, { blockBytes: 64 });
  await writeTable(fs, '/small.sst', entries, { blockBytes: 64 });
  const large = await SSTableReader.open({ fs, path: '/large.sst', cache });
  for (const { key } of many) large.get(key);
  const { blocks } = cache.stats();
  expect(blocks).toBe(large.properties.dataBlocks);
  await large.close();
  expect(cache.stats().blocks).toBe(blocks - 4096);
  const small = await SSTableReader.open({ fs, path: '/small.sst', cache });
  for (const { key } of entries) small.get(key);
  expect(cache.stats().blocks).toBe(small.properties.dataBlocks);
});
