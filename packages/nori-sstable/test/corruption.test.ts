// Damage anywhere: it is found and named, or it changes nothing. Never a wrong value, an endless loop or an error of another kind.
import { crc32c, readU32LE, readU64LE, writeU32LE, writeU64LE, writeVarint } from 'nori-io';
import type { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { BlockCache, compareKeys, SSTableError, SSTableReader, type TableEntry } from '../src/index.js';
import {
  COMPRESSIONS,
  copyOf,
  memoryFileSystem,
  PATH,
  put,
  randomEntries,
  readBytes,
  writeBytes,
  writeTable,
} from './support.js';

const FOOTER_BYTES = 96;
const seed = seedFromEnv();

const entries: TableEntry[] = [];
for (let i = 0; i < 24; i++) {
  entries.push(
    put(
      `user:${String(i).padStart(4, '0')}`,
      `name ${i % 3} ${'ab'.repeat(i % 9)}`,
      300 - i,
      i % 3 === 0 ? 1e12 + i : 0,
    ),
  );
  if (i % 5 === 0) entries.push({ ...put(`user:${String(i).padStart(4, '0')}`, '', 3), kind: 2 });
}

type Options = Parameters<typeof writeTable>[3];

/** What the parts of a table can look like. `indexPartitionBytes` is below the usual, for the entries are few. */
const VARIANTS: readonly (readonly [name: string, options: NonNullable<Options>])[] = [
  ['plain', { blockBytes: 150, restartInterval: 4 }],
  ['with a two-level index', { blockBytes: 64, restartInterval: 4, indexPartitionBytes: 64 }],
  ['with lz4', { blockBytes: 400, compression: 'lz4' }],
  ['with deflate', { blockBytes: 400, compression: 'deflate' }],
];

// An index has two levels from 32 partitions on: with long keys it gets there with few entries.
const longKey = (key: Uint8Array): Uint8Array => Uint8Array.of(...new Array<number>(90).fill(0x2e), ...key);

/** The entries of a variant. */
function entriesOf(options: Options): TableEntry[] {
  return options?.indexPartitionBytes ? entries.map((entry) => ({ ...entry, key: longKey(entry.key) })) : entries;
}

async function original(options: Options = VARIANTS[0]![1]): Promise<{ fs: MemoryFileSystem; bytes: Uint8Array }> {
  const fs = await memoryFileSystem();
  await writeTable(fs, PATH, entriesOf(options), options);
  return { fs, bytes: await readBytes(fs, PATH) };
}

/** Runs `read`; returns the code of its SSTableError, and fails on any other error. */
async function codeOf(read: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await read();
    return undefined;
  } catch (error) {
    if (!(error instanceof SSTableError)) throw error;
    expect(error.file).toBe(PATH);
    return error.code;
  }
}

/** Reads all it can from the table in every way; what it gets must be right. Returns the code of the first error. */
async function readEverything(
  fs: MemoryFileSystem,
  isRightAlways = true,
  all: readonly TableEntry[] = entries,
): Promise<string | undefined> {
  let table: SSTableReader | undefined;
  const codes: (string | undefined)[] = [];
  codes.push(
    await codeOf(async () => {
      table = await SSTableReader.open({ fs, path: PATH, cache: new BlockCache({ bytesMax: 2000 }) });
    }),
  );
  const reader = table;
  if (!reader) return codes[0];
  for (const entry of all) {
    const code = await codeOf(async () => {
      const found = reader.get(entry.key, entry.seq);
      if (isRightAlways) expect(found && copyOf(found)).toEqual(entry);
    });
    codes.push(code);
  }
  for (const isForward of [true, false]) {
    const walked: TableEntry[] = [];
    const code = await codeOf(async () => {
      const cursor = reader.cursor();
      if (isForward) cursor.first();
      else cursor.last();
      while (cursor.valid) {
        const { key, seq, kind, expiresAtMs, value } = cursor;
        walked.push(copyOf({ key, seq, kind, expiresAtMs, value }));
        if (isForward) cursor.next();
        else cursor.prev();
      }
    });
    codes.push(code);
    if (!isRightAlways) continue;
    const expected = isForward ? all : all.toReversed();
    expect(walked).toEqual(code === undefined ? expected : expected.slice(0, walked.length));
  }
  codes.push(await codeOf(() => reader.verify()));
  await reader.close();
  return codes.find((code) => code !== undefined);
}

test.each(VARIANTS)('a change of any byte is found, and no wrong entry is read: %s', async (_, options) => {
  const { fs, bytes } = await original(options);
  const all = entriesOf(options);
  expect(await readEverything(fs, true, all)).toBeUndefined();
  const rng = new Rng(seed);
  // Of the largest table, some.
  const stepMax = options.indexPartitionBytes ? 80 : 1;
  for (let at = 0; at < bytes.length; at += 1 + rng.int(stepMax)) {
    const damaged = bytes.slice();
    damaged[at]! ^= 1 + rng.int(255);
    await writeBytes(fs, PATH, damaged);
    expect(await readEverything(fs, true, all), `byte ${at}, seed ${seed}`).toMatch(/^SSTABLE_/);
  }
});

test.each(VARIANTS)('look-ups, cursors and verify name the damaged block: %s', async (_, options) => {
  const { fs, bytes } = await original(options);
  const table = await SSTableReader.open({ fs, path: PATH });
  expect(table.properties.compression).toBe(options.compression ?? 'none');
  // Each data block and index partition, with the first entry that cannot be read without it.
  const needed = new Map<number, { size: number; code: string; entry?: TableEntry }>();
  for (const item of table.dump()) {
    if (item.type === 'block') needed.set(item.offset, { size: item.size, code: 'SSTABLE_CORRUPT_BLOCK' });
    if (item.type === 'index-partition') needed.set(item.offset, { size: item.size, code: 'SSTABLE_CORRUPT_INDEX' });
    if (item.type === 'entry') for (const block of needed.values()) block.entry ??= copyOf(item);
  }
  await table.close();
  expect([...needed.values()].some(({ code }) => code === 'SSTABLE_CORRUPT_INDEX')).toBe(
    options.indexPartitionBytes !== undefined,
  );
  const rng = new Rng(seed);
  for (const [offset, { size, code, entry }] of needed) {
    const damaged = bytes.slice();
    damaged[offset + rng.int(size + 5)]! ^= 1 << rng.int(8);
    await writeBytes(fs, PATH, damaged);
    const reader = await SSTableReader.open({ fs, path: PATH, cache: new BlockCache({ bytesMax: 1 << 20 }) });
    const error = expect.objectContaining({ code, file: PATH, offset });
    expect(() => reader.get(entry!.key, entry!.seq)).toThrow(error);
    expect(() => reader.cursor().seek(entry!.key, entry!.seq)).toThrow(error);
    const oldest = entriesOf(options).findLast(({ key }) => compareKeys(key, entry!.key) === 0)!;
    if (oldest.seq === entry!.seq) expect(() => reader.cursor().seekForPrev(entry!.key)).toThrow(error);
    await expect(reader.verify()).rejects.toThrow(error);
    await reader.close();
  }
});

test('a claimed size beyond any block takes no memory', async () => {
  const { fs, bytes } = await original(VARIANTS[2]![1]);
  const block = blocksOf(bytes).find(({ offset, size }) => bytes[offset + size] === 1)!;
  writeVarint(bytes, block.offset, 68_000_000);
  writeU32LE(bytes, block.offset + block.size + 1, crc32c(bytes, block.offset, block.offset + block.size + 1));
  await writeBytes(fs, PATH, bytes);
  const table = await SSTableReader.open({ fs, path: PATH });
  const code = 'SSTABLE_CORRUPT_BLOCK';
  await expect(table.verify()).rejects.toMatchObject({
    code,
    offset: block.offset,
    message: /68000000 is above 67174655/,
  });
});

test('the error says which part is damaged, and where it begins', async () => {
  const { fs, bytes } = await original();
  const footer = bytes.length - FOOTER_BYTES;
  const indexOffset = readU64LE(bytes, footer);
  const propertiesOffset = readU64LE(bytes, footer + 12);
  const filterOffset = readU64LE(bytes, footer + 24);
  const errorWithDamageAt = async (at: number): Promise<SSTableError> => {
    const damaged = bytes.slice();
    damaged[at]! ^= 0x10;
    await writeBytes(fs, PATH, damaged);
    const read = SSTableReader.open({ fs, path: PATH }).then((table) => table.verify());
    return (await read.catch((error: unknown) => error)) as SSTableError;
  };
  expect(await errorWithDamageAt(20)).toMatchObject({ code: 'SSTABLE_CORRUPT_BLOCK', file: PATH, offset: 0 });
  expect(await errorWithDamageAt(filterOffset + 3)).toMatchObject({
    code: 'SSTABLE_CORRUPT_FILTER',
    offset: filterOffset,
  });
  expect(await errorWithDamageAt(indexOffset)).toMatchObject({ code: 'SSTABLE_CORRUPT_INDEX', offset: indexOffset });
  expect(await errorWithDamageAt(propertiesOffset + 9)).toMatchObject({
    code: 'SSTABLE_CORRUPT_PROPERTIES',
    offset: propertiesOffset,
  });
  expect(await errorWithDamageAt(footer + 50)).toMatchObject({ code: 'SSTABLE_CORRUPT_FOOTER', offset: footer });
  expect(await errorWithDamageAt(footer + 80)).toMatchObject({ code: 'SSTABLE_UNSUPPORTED_VERSION', offset: footer });
  expect(await errorWithDamageAt(bytes.length - 1)).toMatchObject({ code: 'SSTABLE_NOT_A_TABLE', file: PATH });
  const { message } = await errorWithDamageAt(20);
  expect(message).toContain(PATH);
  expect(message).toContain('offset 0');
});

test('a table cut short anywhere is not taken for one', async () => {
  const { fs, bytes } = await original();
  for (let length = 0; length < bytes.length; length++) {
    await writeBytes(fs, PATH, bytes.slice(0, length));
    expect(await readEverything(fs), `length ${length}`).toBe('SSTABLE_NOT_A_TABLE');
  }
});

test('a table of which a part was lost after it was opened gives typed errors', async () => {
  const { fs, bytes } = await original();
  const table = await SSTableReader.open({ fs, path: PATH });
  const file = await fs.open(PATH, 'write');
  await file.truncate(Math.floor(bytes.length / 8));
  expect(() => table.get(entries.at(-1)!.key)).toThrow(expect.objectContaining({ code: 'SSTABLE_CORRUPT_BLOCK' }));
  await file.close();
});

test('required features and compression types of later versions are refused by name', async () => {
  const { fs, bytes } = await original();
  const footer = bytes.length - FOOTER_BYTES;
  const later = bytes.slice();
  writeU32LE(later, footer + 72, 3);
  writeU32LE(later, footer + 84, crc32c(later, footer, footer + 84));
  await writeBytes(fs, PATH, later);
  await expect(SSTableReader.open({ fs, path: PATH })).rejects.toMatchObject({
    code: 'SSTABLE_UNSUPPORTED_VERSION',
    message: expect.stringContaining('features 0x2'),
  });
  const optional = bytes.slice();
  writeU32LE(optional, footer + 76, 0xffff_ffff);
  writeU32LE(optional, footer + 84, crc32c(optional, footer, footer + 84));
  await writeBytes(fs, PATH, optional);
  expect(await readEverything(fs)).toBeUndefined();

  const compressed = bytes.slice();
  const indexOffset = readU64LE(bytes, footer);
  const end = indexOffset + readU32LE(bytes, footer + 8);
  compressed[end] = 1;
  writeU32LE(compressed, end + 1, crc32c(compressed, indexOffset, end + 1));
  await writeBytes(fs, PATH, compressed);
  await expect(SSTableReader.open({ fs, path: PATH })).rejects.toMatchObject({
    code: 'SSTABLE_UNSUPPORTED_COMPRESSION',
    message: expect.stringContaining('lz4'),
  });
});

describe('arbitrary bytes', () => {
  test('are refused with a typed error', async () => {
    const rng = new Rng(seed);
    const fs = await memoryFileSystem();
    for (let i = 0; i < 600; i++) {
      const bytes = rng.bytes(rng.int(400));
      if (bytes.length >= FOOTER_BYTES && rng.chance(0.9)) {
        const footer = bytes.length - FOOTER_BYTES;
        if (rng.chance(0.8)) bytes.fill(0, footer, footer + 80);
        for (let handle = 0; handle < 3; handle++) {
          if (rng.chance(0.3))
            writeU64LE(bytes, footer + 12 * handle, Math.floor(rng.next() * Number.MAX_SAFE_INTEGER));
          else writeU64LE(bytes, footer + 12 * handle, rng.int(bytes.length + 1));
          writeU32LE(bytes, footer + 12 * handle + 8, rng.chance(0.3) ? 0xffff_ffff : rng.int(bytes.length));
        }
        writeU32LE(bytes, footer + 80, 1);
        writeU32LE(bytes, footer + 84, crc32c(bytes, footer, footer + 84));
        bytes.set(new TextEncoder().encode('NORISST\0'), footer + 88);
      }
      await writeBytes(fs, PATH, bytes);
      expect(await readEverything(fs, false), `run ${i}, seed ${seed}`).toMatch(/^SSTABLE_/);
    }
  });

  test('under valid checksums end in typed errors or in nonsense, but do end', async () => {
    const rng = new Rng(seed);
    const fs = await memoryFileSystem();
    for (let i = 0; i < 700; i++) {
      if (i % 20 === 0) {
        await fs.unlink(PATH).catch(() => {});
        const options = {
          blockBytes: rng.pick([64, 300, 4096]),
          restartInterval: rng.pick([1, 4, 100]),
          compression: rng.pick(COMPRESSIONS),
          indexPartitionBytes: rng.pick([64, 8192]),
        };
        await writeTable(fs, PATH, i % 80 === 0 ? entries : randomEntries(rng, 60), options);
        await writeBytes(fs, '/good.sst', await readBytes(fs, PATH));
      }
      const bytes = await readBytes(fs, '/good.sst');
      const blocks = blocksOf(bytes);
      for (let change = rng.range(1, 4); change > 0; change--) {
        const { offset, size } = rng.pick(blocks);
        bytes[offset + rng.int(size)] = rng.pick([0, 1, 0x7f, 0x80, 0xff, rng.int(256)]);
        writeU32LE(bytes, offset + size + 1, crc32c(bytes, offset, offset + size + 1));
      }
      await writeBytes(fs, PATH, bytes);
      await readEverything(fs, false);
    }
  });
});

/** Handles of all blocks of a good table. */
function blocksOf(bytes: Uint8Array): { offset: number; size: number }[] {
  const footer = bytes.length - FOOTER_BYTES;
  const blocks = [0, 12, 24].map((at) => ({
    offset: readU64LE(bytes, footer + at),
    size: readU32LE(bytes, footer + at + 8),
  }));
  const dataEnd = Math.min(...blocks.map(({ offset }) => offset));
  // Data blocks and index partitions follow each other; a trailer is where the checksum fits.
  for (let start = 0, end = 2; end + 5 <= dataEnd; end++) {
    if (bytes[end]! > 3 || readU32LE(bytes, end + 1) !== crc32c(bytes, start, end + 1)) continue;
    blocks.push({ offset: start, size: end - start });
    start = end + 5;
    end = start + 1;
  }
  return blocks;
}
