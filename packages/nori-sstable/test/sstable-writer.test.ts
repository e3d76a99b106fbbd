import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { KEY_BYTES_MAX, SSTableReader, SSTableWriter, VALUE_BYTES_MAX } from '../src/index.js';
import { memoryFileSystem, PATH, put, randomEntries, readBytes, tableOf, utf8, writeTable } from './support.js';

const EMPTY = new Uint8Array(0);
const code = (name: string) => expect.objectContaining({ code: name });

async function newWriter() {
  const fs = await memoryFileSystem();
  return { fs, writer: await SSTableWriter.create({ fs, path: PATH }) };
}

describe('the order of entries', () => {
  test('must be ascending in the key, bytewise', async () => {
    const { writer } = await newWriter();
    writer.add(Uint8Array.of(0x7f, 1), 1, 1, 0, EMPTY);
    for (const key of [[], [0x7f], [0x7f, 0], [0x7e, 0xff, 0xff]]) {
      expect(() => writer.add(Uint8Array.from(key), 0, 1, 0, EMPTY)).toThrow(code('SSTABLE_OUT_OF_ORDER'));
    }
    writer.add(Uint8Array.of(0x80), 9, 1, 0, EMPTY);
    expect((await writer.finish()).entries).toBe(2);
  });

  test('must be descending in the sequence number within a key, without repetition', async () => {
    const { writer } = await newWriter();
    writer.add(EMPTY, 5, 1, 0, EMPTY);
    expect(() => writer.add(EMPTY, 5, 1, 0, EMPTY)).toThrow(code('SSTABLE_OUT_OF_ORDER'));
    expect(() => writer.add(EMPTY, 6, 1, 0, EMPTY)).toThrow(code('SSTABLE_OUT_OF_ORDER'));
    writer.add(EMPTY, 4, 1, 0, EMPTY);
    writer.add(utf8('a'), 4, 1, 0, EMPTY);
    expect(await writer.finish()).toMatchObject({ entries: 3, keys: 2 });
  });
});

test('a value can be taken from where it lies in larger memory, shared or not', async () => {
  const entries = Array.from({ length: 400 }, (_, i) =>
    put(String(i).padStart(4, '0'), new Uint8Array(i).fill(i), 1, i % 7 === 0 ? 99 : 0),
  );
  const fs = await memoryFileSystem();
  await writeTable(fs, PATH, entries);
  const expected = await readBytes(fs, PATH);
  for (const memory of [new ArrayBuffer(1000), new SharedArrayBuffer(1000)]) {
    await fs.unlink(PATH);
    const writer = await SSTableWriter.create({ fs, path: PATH });
    const view = new DataView(memory, 3);
    for (const { key, seq, kind, expiresAtMs, value } of entries) {
      const start = 1 + (value.length % 5);
      new Uint8Array(memory).set(value, 3 + start);
      writer.addFrom(key, seq, kind, expiresAtMs, view, start, value.length);
    }
    for (const [start, length] of [
      [-1, 5],
      [990, 8],
      [0, -1],
    ] as const) {
      expect(() => writer.addFrom(utf8('9999'), 1, 1, 0, view, start, length)).toThrow(RangeError);
    }
    await writer.finish();
    expect(Buffer.compare(await readBytes(fs, PATH), expected)).toBe(0);
  }
});

describe('limits', () => {
  test('of an entry are checked, and a refused entry leaves no trace', async () => {
    const { fs, writer } = await newWriter();
    const add = (key: Uint8Array, seq: number, kind: number, expiresAtMs: number, value = EMPTY) =>
      writer.add(key, seq, kind as 1, expiresAtMs, value);
    const refused = code('SSTABLE_LIMIT_EXCEEDED');
    expect(() => add(new Uint8Array(KEY_BYTES_MAX + 1), 1, 1, 0)).toThrow(refused);
    expect(() => add(EMPTY, 1, 1, 0, new Uint8Array(VALUE_BYTES_MAX + 1))).toThrow(refused);
    for (const seq of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => add(EMPTY, seq, 1, 0)).toThrow(refused);
    for (const time of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => add(EMPTY, 1, 1, time)).toThrow(refused);
    for (const kind of [0, 3, 127]) expect(() => add(EMPTY, 1, kind, 0)).toThrow(refused);
    await writer.finish();
    const table = await SSTableReader.open({ fs, path: PATH });
    expect(table.properties.entries).toBe(0);
  });

  test('are reached by the longest key, the largest numbers and a large value', async () => {
    const key = new Uint8Array(KEY_BYTES_MAX).fill(0xff);
    const value = new Uint8Array(3_000_000).fill(7);
    const entry = { key, seq: Number.MAX_SAFE_INTEGER, kind: 1, expiresAtMs: Number.MAX_SAFE_INTEGER, value } as const;
    const table = await tableOf([put('a', 'b'), entry, { ...entry, seq: 0, value: EMPTY }]);
    const found = table.get(key)!;
    expect(found).toMatchObject({ seq: Number.MAX_SAFE_INTEGER, expiresAtMs: Number.MAX_SAFE_INTEGER });
    expect(found.value.length).toBe(value.length);
    expect(table.get(key, 0)?.value).toEqual(EMPTY);
    expect(table.properties.latestExpiryMs).toBe(Number.MAX_SAFE_INTEGER);
    await table.verify();
  });

  test('of options are checked by name', async () => {
    const fs = await memoryFileSystem();
    const refusedOptions = [
      { blockBytes: 63 },
      { blockBytes: 2 ** 25 },
      { restartInterval: 0 },
      { bloomBitsPerKey: 1.5 },
      { level: -1 },
    ];
    for (const options of refusedOptions) {
      await expect(SSTableWriter.create({ fs, path: PATH, ...options })).rejects.toMatchObject({
        code: 'SSTABLE_INVALID_OPTION',
        message: expect.stringContaining(Object.keys(options)[0]!),
      });
    }
    for (const name of ['', 'nori.mine', '\ud800', 'x'.repeat(256)]) {
      const properties = [[name, EMPTY]] as const;
      await expect(SSTableWriter.create({ fs, path: PATH, properties })).rejects.toMatchObject({
        code: 'SSTABLE_INVALID_OPTION',
      });
    }
    expect(await fs.readdir('/')).toEqual([]);
  });
});

test('properties describe the table, and are the same when it is opened', async () => {
  const fs = await memoryFileSystem();
  const entries = [
    put('a', 'xyz', 7, 5000),
    put('a', 'old', 3),
    { ...put('b', '', 9), kind: 2 as const },
    put('c', 'value', 1, 4000),
  ];
  const properties = await writeTable(fs, PATH, entries, { level: 3, properties: [['owner', utf8('me')]] });
  const table = await SSTableReader.open({ fs, path: PATH });
  expect(table.properties).toEqual(properties);
  expect(properties).toMatchObject({
    entries: 4,
    keys: 3,
    tombstones: 1,
    expiring: 2,
    smallestKey: utf8('a'),
    largestKey: utf8('c'),
    smallestSeq: 1,
    largestSeq: 9,
    earliestExpiryMs: 4000,
    latestExpiryMs: 5000,
    keyBytes: 4,
    valueBytes: 11,
    dataBlocks: 1,
    level: 3,
    blockBytes: 4096,
    restartInterval: 16,
    bloomBitsPerKey: 10,
    fileBytes: (await readBytes(fs, PATH)).length,
  });
  expect(table.properties.extra).toEqual(new Map([['owner', utf8('me')]]));
});

test('a table without entries is one, and finds nothing', async () => {
  const table = await tableOf([]);
  expect(table.properties).toMatchObject({ entries: 0, smallestKey: EMPTY, largestKey: EMPTY, smallestSeq: 0 });
  expect(table.get(EMPTY)).toBeUndefined();
  const cursor = table.cursor();
  cursor.first();
  expect(cursor.valid).toBe(false);
  cursor.last();
  expect(cursor.valid).toBe(false);
  cursor.seekForPrev(utf8('a'));
  expect(cursor.valid).toBe(false);
  cursor.next();
  cursor.prev();
  expect(await table.verify()).toMatchObject({ entries: 0, blocks: 0 });
});

test('blocks stay within their size unless one entry is larger', async () => {
  const entries = Array.from({ length: 500 }, (_, i) =>
    put(`k${String(i).padStart(5, '0')}`, 'v'.repeat(i === 250 ? 9000 : i % 90)),
  );
  const table = await tableOf(entries, { blockBytes: 1000 });
  const blocks = [...table.dump()].filter((item) => item.type === 'block');
  expect(blocks.length).toBeGreaterThan(15);
  expect(blocks.filter(({ size }) => size > 1000)).toHaveLength(1);
});

test('both variants write the same bytes, and the estimate of the size is close', async () => {
  const fs = await memoryFileSystem();
  const entries = randomEntries(new Rng(seedFromEnv()), 3000);
  await writeTable(fs, '/async.sst', entries);
  const writer = SSTableWriter.createSync({ fs, path: '/sync.sst' });
  for (const { key, seq, kind, expiresAtMs, value } of entries) writer.add(key, seq, kind, expiresAtMs, value);
  expect(writer.entries).toBe(entries.length);
  const estimate = writer.estimatedFileBytes;
  const { fileBytes } = writer.finishSync();
  expect(Math.abs(fileBytes - estimate)).toBeLessThan(6000);
  const bytes = await readBytes(fs, '/sync.sst');
  expect(bytes).toEqual(await readBytes(fs, '/async.sst'));
  const table = SSTableReader.openSync({ fs, path: '/sync.sst' });
  expect(await table.verify()).toMatchObject({ entries: entries.length, bytes: fileBytes });
  table.closeSync();
});

test('a table of several chunks is written completely, without waiting and with', async () => {
  for (const isDraining of [false, true]) {
    const { fs, writer } = await newWriter();
    const value = new Uint8Array(1000);
    for (let i = 0; i < 12_000; i++) {
      writer.add(utf8(String(i).padStart(8, '0')), i, 1, 0, value);
      if (isDraining && writer.needsDrain) await writer.drain();
    }
    expect(writer.needsDrain).toBe(!isDraining);
    await writer.finish();
    const table = await SSTableReader.open({ fs, path: PATH });
    expect(await table.verify()).toMatchObject({ entries: 12_000 });
  }
});

describe('the end of a writer', () => {
  test('finishing makes the data durable', async () => {
    const fs = await memoryFileSystem();
    await writeTable(fs, PATH, [put('a', 'b')]);
    await fs.syncDir('/');
    const table = await SSTableReader.open({ fs: fs.crash(new Rng(seedFromEnv())), path: PATH });
    expect(table.get(utf8('a'))?.value).toEqual(utf8('b'));
  });

  test('abandoning removes the file; so does leaving the scope', async () => {
    const fs = await memoryFileSystem();
    const writer = await SSTableWriter.create({ fs, path: PATH });
    for (let i = 0; i < 3; i++) writer.add(Uint8Array.of(i), 1, 1, 0, new Uint8Array(400_000));
    await writer.abandon();
    await writer.abandon();
    expect(await fs.readdir('/')).toEqual([]);
    const sync = SSTableWriter.createSync({ fs, path: PATH });
    await sync[Symbol.asyncDispose]();
    expect(await fs.readdir('/')).toEqual([]);
  });

  test('a finished table is not removed, and takes no more entries', async () => {
    const { fs, writer } = await newWriter();
    await writer.finish();
    await writer.abandon();
    expect(await fs.readdir('/')).toEqual(['table.sst']);
    expect(() => writer.add(EMPTY, 1, 1, 0, EMPTY)).toThrow(code('SSTABLE_CLOSED'));
    await expect(writer.finish()).rejects.toMatchObject({ code: 'SSTABLE_CLOSED' });
  });

  test('finishSync is refused by a writer that was made by create', async () => {
    const { writer } = await newWriter();
    expect(() => writer.finishSync()).toThrow(code('SSTABLE_INVALID_OPTION'));
    await writer.finish();
  });

  test('an existing file is not touched', async () => {
    const fs = await memoryFileSystem();
    await writeTable(fs, PATH, [put('a')]);
    await expect(SSTableWriter.create({ fs, path: PATH })).rejects.toMatchObject({ code: 'IO_EXISTS' });
    expect(() => SSTableWriter.createSync({ fs, path: PATH })).toThrow(expect.objectContaining({ code: 'IO_EXISTS' }));
    expect((await SSTableReader.open({ fs, path: PATH })).properties.entries).toBe(1);
  });
});
