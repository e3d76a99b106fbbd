// Damage anywhere: it is found and named, or it changes nothing. Never a wrong value, an endless loop or an error of another kind.
import { crc32c, readU32LE, readU64LE, writeU32LE, writeU64LE } from 'nori-io';
import type { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { BlockCache, SSTableError, SSTableReader, type TableEntry } from '../src/index.js';
import { copyOf, memoryFileSystem, PATH, put, randomEntries, readBytes, writeBytes, writeTable } from './support.js';

const FOOTER_BYTES = 96;
const seed = seedFromEnv();

const entries: TableEntry[] = [];
for (let i = 0; i < 24; i++) {
  entries.push(put(`user:${String(i).padStart(4, '0')}`, `name ${i}`, 300 - i, i % 3 === 0 ? 1e12 + i : 0));
  if (i % 5 === 0) entries.push({ ...put(`user:${String(i).padStart(4, '0')}`, '', 3), kind: 2 });
}

async function original(): Promise<{ fs: MemoryFileSystem; bytes: Uint8Array }> {
  const fs = await memoryFileSystem();
  await writeTable(fs, PATH, entries, { blockBytes: 150, restartInterval: 4 });
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
async function readEverything(fs: MemoryFileSystem, isRightAlways = true): Promise<string | undefined> {
  let table: SSTableReader | undefined;
  const codes: (string | undefined)[] = [];
  codes.push(
    await codeOf(async () => {
      table = await SSTableReader.open({ fs, path: PATH, cache: new BlockCache({ bytesMax: 2000 }) });
    }),
  );
  const reader = table;
  if (!reader) return codes[0];
  for (const entry of entries) {
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
    const expected = isForward ? entries : entries.toReversed();
    expect(walked).toEqual(code === undefined ? expected : expected.slice(0, walked.length));
  }
  codes.push(await codeOf(() => reader.verify()));
  await reader.close();
  return codes.find((code) => code !== undefined);
}

test('a change of any byte is found, and no wrong entry is read', async () => {
  const { fs, bytes } = await original();
  expect(await readEverything(fs)).toBeUndefined();
  const rng = new Rng(seed);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at]! ^= 1 + rng.int(255);
    await writeBytes(fs, PATH, damaged);
    expect(await readEverything(fs), `byte ${at}, seed ${seed}`).toMatch(/^SSTABLE_/);
  }
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
  writeU32LE(later, footer + 72, 2);
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
    for (let i = 0; i < 500; i++) {
      if (i % 50 === 0) {
        await fs.unlink(PATH).catch(() => {});
        const options = { blockBytes: rng.pick([64, 300, 4096]), restartInterval: rng.pick([1, 4, 100]) };
        await writeTable(fs, PATH, i % 100 === 0 ? entries : randomEntries(rng, 60), options);
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
  // Data blocks follow each other; a trailer is where the checksum fits.
  for (let start = 0, end = 13; end + 5 <= dataEnd; end++) {
    if (bytes[end] !== 0 || readU32LE(bytes, end + 1) !== crc32c(bytes, start, end + 1)) continue;
    blocks.push({ offset: start, size: end - start });
    start = end + 5;
    end = start + 12;
  }
  return blocks;
}
