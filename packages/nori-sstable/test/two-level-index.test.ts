// Indexes in two levels: when a table gets one, what stays in memory, what goes through the cache.
import { expect, test } from 'vitest';
import { BlockCache, SSTableReader, type TableEntry } from '../src/index.js';
import { memoryFileSystem, PATH, put, tableOf, utf8, writeTable } from './support.js';

const KEYS = 3000;
const keyOf = (i: number): string => `key:${String(i).padStart(8, '0')}`;
const entries: TableEntry[] = Array.from({ length: KEYS }, (_, i) => put(keyOf(2 * i), `value ${i}`, i));
const small = { blockBytes: 128, indexPartitionBytes: 256 };

const partitionsOf = (table: SSTableReader) => [...table.dump()].filter(({ type }) => type === 'index-partition');

test('an index gets two levels when it is larger than 32 partitions, not before', async () => {
  const few = await tableOf(entries.slice(0, 600), small);
  expect(partitionsOf(few)).toEqual([]);
  const many = await tableOf(entries, small);
  expect(partitionsOf(many).length).toBeGreaterThan(32);
  expect(partitionsOf(await tableOf(entries, { blockBytes: 128 }))).toEqual([]);
  expect(await many.verify()).toMatchObject({ entries: KEYS, blocks: many.properties.dataBlocks });
});

test('only the upper level stays in memory', async () => {
  const options = { blockBytes: 64, bloomBitsPerKey: 0 };
  const whole = await tableOf(entries, options);
  const parted = await tableOf(entries, { ...options, indexPartitionBytes: 512 });
  expect(partitionsOf(parted).length).toBeGreaterThan(0);
  expect(parted.stats().pinnedBytes).toBeLessThan(whole.stats().pinnedBytes / 8);
});

test('partitions go through the cache, and are counted apart from data blocks', async () => {
  const cache = new BlockCache({ bytesMax: 1 << 20 });
  const table = await tableOf(entries, small, { cache });
  expect(cache.stats().pinnedBytes).toBe(table.stats().pinnedBytes);
  for (const expected of [
    { indexHits: 0, hits: 0 },
    { indexHits: 1, hits: 1 },
  ]) {
    expect(table.get(entries[77]!.key)?.value).toEqual(entries[77]!.value);
    expect(cache.stats()).toMatchObject({ indexMisses: 1, misses: 1, blocks: 2, ...expected });
  }
  expect(table.stats().reads).toBe(2);
  for (const { key } of entries) table.get(key);
  await table.close();
  expect(cache.stats()).toMatchObject({ blocks: 0, bytes: 0, pinnedBytes: 0 });
});

test('what is read under a cache too small for a partition is right', async () => {
  for (const bytesMax of [0, 2000, 6000]) {
    const cache = new BlockCache({ bytesMax });
    const table = await tableOf(entries, small, { cache });
    for (let i = 0; i < KEYS; i += 7) {
      expect(table.get(entries[i]!.key)?.value).toEqual(entries[i]!.value);
      expect(table.get(utf8(keyOf(2 * i + 1)))).toBeUndefined();
      expect(cache.stats().bytes).toBeLessThanOrEqual(bytesMax);
    }
    await table.close();
  }
});

test('approximate offsets grow with the key, from nothing to all of the data', async () => {
  for (const options of [small, { blockBytes: 128 }]) {
    const table = await tableOf(entries, options);
    const { dataBytes } = table.properties;
    let before = 0;
    for (let i = 0; i < 2 * KEYS; i += 50) {
      const offset = table.approximateOffset(utf8(keyOf(i)));
      expect(offset).toBeGreaterThanOrEqual(before);
      expect(Math.abs(offset - (dataBytes * i) / (2 * KEYS))).toBeLessThan(dataBytes / 16);
      before = offset;
    }
    expect(table.approximateOffset(utf8('a'))).toBe(0);
    expect(table.approximateOffset(utf8('z'))).toBe(dataBytes);
  }
});

test('opening reads once what stays in memory, and no partition', async () => {
  const fs = await memoryFileSystem();
  const { fileBytes } = await writeTable(fs, PATH, entries, small);
  const reads: number[] = [];
  const { open } = fs;
  fs.open = async (path, mode) => {
    const file = await open.call(fs, path, mode);
    const read = file.read.bind(file);
    file.read = (buffer, position) => {
      reads.push(buffer.length);
      return read(buffer, position);
    };
    return file;
  };
  await SSTableReader.open({ fs, path: PATH });
  expect(reads).toHaveLength(1);
  expect(reads[0]).toBeLessThan(fileBytes / 4);
});
