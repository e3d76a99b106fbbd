import type { File, FileSystem, OpenMode } from 'nori-io';
import { RecordingMeter } from 'nori-observe';
import { describe, expect, test } from 'vitest';
import * as api from '../src/index.js';
import { BlockCache, hashKey, KeyHash, SSTableReader, SSTableWriter, type TableEntry } from '../src/index.js';
import { memoryFileSystem, PATH, put, tableOf, text, utf8, writeBytes, writeTable } from './support.js';

const code = (name: string) => expect.objectContaining({ code: name });
const users: TableEntry[] = Array.from({ length: 300 }, (_, i) =>
  put(`user:${String(i).padStart(4, '0')}`, `name ${i}`, i),
);

test('the package exports what it promises', () => {
  expect(Object.keys(api).sort()).toEqual([
    'BlockCache',
    'FORMAT_VERSION',
    'KEY_BYTES_MAX',
    'KeyHash',
    'SSTABLE_ERROR_CODES',
    'SSTableError',
    'SSTableReader',
    'SSTableWriter',
    'VALUE_BYTES_MAX',
    'compareKeys',
    'copyOut',
    'hashKey',
    'salvageTable',
  ]);
});

describe('look-ups', () => {
  test('give the newest version that may be seen, tombstones included', async () => {
    const table = await tableOf([put('a', 'new', 9), { ...put('a', '', 5), kind: 2 }, put('a', 'old', 2, 77)]);
    const key = utf8('a');
    expect(table.get(key)).toEqual(put('a', 'new', 9));
    expect(table.get(key, 8)).toMatchObject({ kind: 2, seq: 5 });
    expect(table.get(key, 4)).toEqual(put('a', 'old', 2, 77));
    expect(table.get(key, 1)).toBeUndefined();
    expect(table.get(utf8('b'))).toBeUndefined();
  });

  test('give the key that was asked for, and a value that may be kept', async () => {
    const table = await tableOf(users, { blockBytes: 200 }, { cache: new BlockCache({ bytesMax: 1000 }) });
    const key = utf8('user:0007');
    const found = table.get(key)!;
    expect(found.key).toBe(key);
    for (const { key: other } of users) table.get(other);
    expect(text(found.value)).toBe('name 7');
    await table.close();
    expect(text(found.value)).toBe('name 7');
  });

  test('take a hash that was computed before', async () => {
    const table = await tableOf(users);
    const hash = hashKey(utf8('user:0100'), new KeyHash());
    expect(table.mayContain(hash)).toBe(true);
    expect(table.get(utf8('user:0100'), 1000, hash)?.seq).toBe(100);
  });

  test('of absent keys are answered by the filter, without a read', async () => {
    const table = await tableOf(users);
    for (let i = 0; i < 1000; i++) expect(table.get(utf8(`user:0000:${i}`))).toBeUndefined();
    const { filterNegatives, reads, pinnedBytes } = table.stats();
    expect(filterNegatives).toBeGreaterThan(970);
    expect(reads).toBe(1000 - filterNegatives);
    expect(pinnedBytes).toBeGreaterThan((300 * 10) / 8);
  });

  test('of keys expected here ask the filter only before a read', async () => {
    const absent = Array.from({ length: 1000 }, (_, i) => utf8(`user:0000:${i}`));
    const uncached = await tableOf(users);
    for (const key of absent) expect(uncached.getExpected(key)).toBeUndefined();
    const { filterNegatives, reads } = uncached.stats();
    expect(filterNegatives).toBeGreaterThan(970);
    expect(reads).toBe(1000 - filterNegatives);

    const cache = new BlockCache({ bytesMax: 1 << 20 });
    const table = await tableOf(users, {}, { cache });
    for (const { key, value } of users) expect(table.getExpected(key)?.value).toEqual(value);
    const before = table.stats();
    const { hits } = cache.stats();
    for (const key of absent) expect(table.getExpected(key)).toBeUndefined();
    expect(table.stats()).toEqual(before);
    expect(cache.stats().hits).toBe(hits + absent.length);
    await table.close();
  });

  test('find keys in one block by the thousand, with long common prefixes and many versions', async () => {
    const entries = Array.from({ length: 400 }, (_, i) =>
      put(`${'p'.repeat(300)}${String(i).padStart(9, '0')}`, `${i}`, i),
    );
    for (let seq = 900; seq > 400; seq--) entries.push(put('q', `${seq}`, seq));
    const table = await tableOf(entries, { blockBytes: 1 << 20 }, { cache: new BlockCache({ bytesMax: 1 << 22 }) });
    expect(table.properties.dataBlocks).toBe(1);
    for (let round = 0; round < 2; round++) {
      for (const entry of entries) expect(table.get(entry.key, entry.seq)?.value).toEqual(entry.value);
    }
    expect(table.get(utf8('q'), 400)).toBeUndefined();
  });
});

describe('cursors', () => {
  test('may be given their own key', async () => {
    const table = await tableOf(users, { blockBytes: 200 });
    const cursor = table.cursor();
    cursor.seek(utf8('user:0123'));
    cursor.seek(cursor.key);
    expect([cursor.valid, text(cursor.key), cursor.seq]).toEqual([true, 'user:0123', 123]);
    cursor.seekForPrev(cursor.key);
    expect([cursor.valid, text(cursor.key), cursor.seq]).toEqual([true, 'user:0123', 123]);
    cursor.prev();
    expect(text(cursor.key)).toBe('user:0122');
  });

  test('hide what is newer than maxSeq', async () => {
    const table = await tableOf(users, { blockBytes: 200 });
    const cursor = table.cursor({ maxSeq: 3 });
    cursor.last();
    expect(text(cursor.key)).toBe('user:0003');
    cursor.next();
    expect(cursor.valid).toBe(false);
    cursor.seek(utf8('user:0004'));
    expect(cursor.valid).toBe(false);
  });

  test('read ahead in few reads', async () => {
    const table = await tableOf(users, { blockBytes: 200 });
    const cursor = table.cursor({ fillCache: false });
    let count = 0;
    for (cursor.first(); cursor.valid; cursor.next()) count++;
    expect(count).toBe(300);
    expect(table.stats().reads).toBe(1);
    expect(table.properties.dataBlocks).toBeGreaterThan(20);
  });
});

test('approximate offsets grow with the key', async () => {
  const table = await tableOf(users, { blockBytes: 200 });
  const offsets = ['', 'user:0050', 'user:0150', 'user:0250', 'v'].map((key) => table.approximateOffset(utf8(key)));
  expect(offsets[0]).toBe(0);
  expect(offsets.at(-1)).toBe(table.properties.dataBytes);
  expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  expect(new Set(offsets).size).toBe(5);
});

test('reads are metered', async () => {
  const meter = new RecordingMeter();
  const table = await tableOf(users, {}, { meter });
  table.get(utf8('user:0001'));
  expect(meter.value('nori_sstable_reads_total')).toBe(1);
  expect(meter.value('nori_sstable_read_bytes_total')).toBe(table.stats().readBytes);
});

describe('closing', () => {
  test('is idempotent, and ends look-ups, cursors and checks with a typed error', async () => {
    const table = await tableOf(users, { blockBytes: 200 });
    const cursor = table.cursor();
    cursor.first();
    await table.close();
    await table.close();
    const closed = code('SSTABLE_CLOSED');
    expect(() => table.get(utf8('user:0001'))).toThrow(closed);
    expect(() => table.cursor()).toThrow(closed);
    expect(() => cursor.last()).toThrow(closed);
    expect(cursor.valid).toBe(false);
    await expect(table.verify()).rejects.toMatchObject({ code: 'SSTABLE_CLOSED' });
  });

  test('leaves no file open, also when opening fails', async () => {
    const fs = await memoryFileSystem();
    await writeTable(fs, PATH, users);
    await writeBytes(fs, '/broken', utf8('not a table'));
    const open = new Set<File>();
    const track = (file: File): File => {
      open.add(file);
      const { close, closeSync } = file;
      file.close = () => close.call(file).finally(() => open.delete(file));
      file.closeSync = () => {
        closeSync.call(file);
        open.delete(file);
      };
      return file;
    };
    const tracking: FileSystem = Object.assign(Object.create(fs), {
      open: async (path: string, mode: OpenMode) => track(await fs.open(path, mode)),
      openSync: (path: string, mode: OpenMode) => track(fs.openSync(path, mode)),
    });
    const options = { fs: tracking, path: '/broken' };
    await expect(SSTableReader.open(options)).rejects.toMatchObject({ code: 'SSTABLE_NOT_A_TABLE' });
    expect(() => SSTableReader.openSync(options)).toThrow(code('SSTABLE_NOT_A_TABLE'));
    const table = await SSTableReader.open({ ...options, path: PATH });
    expect(open.size).toBe(1);
    await table[Symbol.asyncDispose]();
    expect(open.size).toBe(0);
  });
});

describe('failures of the file system', () => {
  test('pass through a look-up, which works again afterwards', async () => {
    const fs = await memoryFileSystem();
    await writeTable(fs, PATH, users);
    const table = await SSTableReader.open({ fs, path: PATH });
    const cursor = table.cursor();
    fs.inject({ on: 'read', times: 2 });
    expect(() => table.get(utf8('user:0001'))).toThrow(code('IO_FAILED'));
    expect(() => cursor.first()).toThrow(code('IO_FAILED'));
    expect(cursor.valid).toBe(false);
    cursor.first();
    expect(text(cursor.key)).toBe('user:0000');
    expect(table.get(utf8('user:0001'))?.seq).toBe(1);
  });

  test('of a missing table are told as such', async () => {
    const fs = await memoryFileSystem();
    await expect(SSTableReader.open({ fs, path: PATH })).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
  });

  test('while writing end in finish or in a later add, and the table can be abandoned', async () => {
    for (const on of ['write', 'datasync'] as const) {
      const fs = await memoryFileSystem();
      const writer = await SSTableWriter.create({ fs, path: PATH });
      fs.inject({ on, code: 'IO_NO_SPACE' });
      writer.add(utf8('a'), 1, 1, 0, utf8('b'));
      await expect(writer.finish()).rejects.toMatchObject({ code: 'IO_NO_SPACE' });
      await writer.abandon();
      expect(await fs.readdir('/')).toEqual([]);
    }
    const fs = await memoryFileSystem();
    const writer = await SSTableWriter.create({ fs, path: PATH });
    fs.inject({ on: 'write', code: 'IO_NO_SPACE' });
    const chunk = new Uint8Array(700_000);
    writer.add(Uint8Array.of(1), 1, 1, 0, chunk);
    writer.add(Uint8Array.of(2), 1, 1, 0, chunk);
    await expect(writer.drain()).rejects.toMatchObject({ code: 'IO_NO_SPACE' });
    expect(() => writer.add(Uint8Array.of(3), 1, 1, 0, chunk)).toThrow(code('IO_NO_SPACE'));
    await writer.abandon();
    expect(await fs.readdir('/')).toEqual([]);
  });
});

test('a check can be stopped', async () => {
  const table = await tableOf(users);
  await expect(table.verify({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
});
