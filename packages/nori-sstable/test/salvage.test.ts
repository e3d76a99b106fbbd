// What a salvage gives of a damaged table: entries of the original only, all that lie outside of what it says is lost, and
// nothing lost that is not damaged.
import { crc32c, writeU32LE } from 'nori-io';
import type { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { compareKeys, SSTableError, salvageTable, type TableEntry, type TableSalvageItem } from '../src/index.js';
import { memoryFileSystem, PATH, put, readBytes, writeBytes, writeTable } from './support.js';

type Options = NonNullable<Parameters<typeof writeTable>[3]>;
type Lost = Extract<TableSalvageItem, { type: 'lost' }>;

const VARIANTS: readonly (readonly [name: string, options: Options])[] = [
  ['plain', { blockBytes: 150, restartInterval: 4 }],
  ['with a two-level index', { blockBytes: 64, restartInterval: 4, indexPartitionBytes: 64 }],
  ['with lz4', { blockBytes: 400, compression: 'lz4' }],
];
const stem = '.'.repeat(90);
const entries: TableEntry[] = [];
for (let i = 0; i < 40; i++) {
  const key = `${stem}user:${String(i).padStart(4, '0')}`;
  entries.push(put(key, `name ${i % 3} ${'ab'.repeat(i % 9)}`, 300 - i, i % 3 === 0 ? 1e12 + i : 0));
  if (i % 5 === 0) entries.push({ ...put(key, '', 3), kind: 2 });
}

const nameOf = ({ key, seq, kind, expiresAtMs, value }: TableEntry): string =>
  [Buffer.from(key).toString('hex'), seq, kind, expiresAtMs, Buffer.from(value).toString('hex')].join(' ');

const original = async (options: Options): Promise<Uint8Array> => {
  const fs = await memoryFileSystem();
  await writeTable(fs, PATH, entries, options);
  return readBytes(fs, PATH);
};

const salvage = async (bytes: Uint8Array) => {
  const fs = await memoryFileSystem();
  await writeBytes(fs, PATH, bytes);
  return salvageFrom(fs);
};

const salvageFrom = async (fs: MemoryFileSystem) => {
  const found: TableEntry[] = [];
  const lost: Lost[] = [];
  const damaged: string[] = [];
  for await (const item of salvageTable(fs, PATH)) {
    if (item.type === 'block') found.push(...item.entries);
    else if (item.type === 'lost') lost.push(item);
    else if (item.type === 'damage') damaged.push(item.problem.code);
  }
  return { found, lost, damaged };
};

const isIn = (key: Uint8Array, { from, to }: Lost): boolean =>
  (from === undefined || compareKeys(key, from) >= 0) && compareKeys(key, to) <= 0;

describe.each(VARIANTS)('a table %s', (_, options) => {
  test('gives all its entries when it is sound', async () => {
    const { found, lost, damaged } = await salvage(await original(options));
    expect(found.map(nameOf)).toEqual(entries.map(nameOf));
    expect([lost, damaged]).toEqual([[], []]);
  });

  test('with any byte changed gives what is outside of the damage, and says what is lost', async () => {
    const seed = seedFromEnv();
    const rng = new Rng(seed);
    const bytes = await original(options);
    const known = new Set(entries.map(nameOf));
    let salvaged = 0;
    for (let at = rng.int(5); at < bytes.length; at += rng.range(1, 9)) {
      const damagedBytes = bytes.slice();
      damagedBytes[at]! ^= 1 + rng.int(255);
      try {
        const { found, lost, damaged } = await salvage(damagedBytes);
        expect(lost.length + damaged.length).toBe(1);
        const kept = new Set(found.map(nameOf));
        expect([...kept].filter((name) => !known.has(name))).toEqual([]);
        const gone = entries.filter((entry) => !kept.has(nameOf(entry)));
        expect(gone.filter((entry) => !lost.some((each) => isIn(entry.key, each)))).toEqual([]);
        if (damaged.length === 1) expect(found.length).toBe(entries.length);
        salvaged++;
      } catch (error) {
        if (!(error instanceof SSTableError)) throw new Error(`NORI_SEED=${seed}, byte ${at}`, { cause: error });
        expect(error.code).toMatch(/^SSTABLE_(NOT_A_TABLE|CORRUPT_FOOTER|CORRUPT_INDEX)$/);
      }
    }
    expect(salvaged).toBeGreaterThan(bytes.length / 20);
  });
});

test('a block that was written to the place of another is lost, not taken for it', async () => {
  // Entries of one size, so that blocks are of one size.
  const same = Array.from({ length: 60 }, (_, i) => put(`key${String(i).padStart(3, '0')}`, 'x'.repeat(20)));
  const fs = await memoryFileSystem();
  await writeTable(fs, PATH, same, { blockBytes: 200, restartInterval: 1 });
  const bytes = await readBytes(fs, PATH);
  const blocks: number[] = [];
  for (let at = 0; at < bytes.length - 6; at++) {
    if (
      !blocks.some((block) => at - block < 150) &&
      bytes[at] === 0 &&
      Buffer.from(bytes.subarray(at + 5, at + 8)).toString() === 'key'
    )
      blocks.push(at);
  }
  const [first, second, third] = blocks as [number, number, number];
  expect(second - first).toBe(third - second);
  const misdirected = bytes.slice();
  misdirected.copyWithin(second, first, second);
  const { found, lost } = await salvage(misdirected);
  expect(lost.map(({ problem }) => problem.offset)).toEqual([second]);
  expect(new Set(found.map(nameOf)).size).toBe(found.length);
});

test('a disk that cannot read a part of the file loses that part', async () => {
  const bytes = await original(VARIANTS[0]![1]);
  const fs = await memoryFileSystem();
  await writeBytes(fs, PATH, bytes);
  // Footer, properties, filter and index come first.
  fs.inject({ on: 'read', path: PATH, after: 4 });
  const { found, lost } = await salvageFrom(fs);
  expect(lost.length).toBe(1);
  expect(found.length).toBeLessThan(entries.length);
});

test('a table of a later version is refused', async () => {
  const bytes = await original(VARIANTS[0]![1]);
  const footer = bytes.length - 96;
  writeU32LE(bytes, footer + 80, 2);
  writeU32LE(bytes, footer + 84, crc32c(bytes, footer, footer + 84));
  await expect(salvage(bytes)).rejects.toThrow('format version 2');
});
