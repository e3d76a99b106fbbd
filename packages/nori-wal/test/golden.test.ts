// Logs of each kind, checked in. NORI_UPDATE_GOLDEN=1 writes those that are missing; what is there is never changed.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { MemoryFileSystem } from 'nori-io/memory';
import { VirtualClock } from 'nori-testkit';
import { Wal, type WalOptions } from 'nori-wal';
import { describe, expect, test } from 'vitest';
import { bytes, DIR, readAll, replaceAll, segmentFiles, texts } from './helpers.js';

/** One log: how it came to be, and what it holds. */
interface Golden {
  readonly name: string;
  readonly expected: readonly string[];
  /** What opening it finds. */
  readonly recovery: object;
  /** Whether the same appends make the same bytes, whatever the version of a compression library. */
  readonly exact: boolean;
  write(fs: MemoryFileSystem): Promise<void>;
}

const open = (fs: MemoryFileSystem, options: Partial<WalOptions> = {}): Promise<Wal> =>
  Wal.open({ dir: DIR, fs, segmentBytesMax: 4096, fsync: 'always', clock: new VirtualClock(), ...options });

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `record ${from + index} `.padEnd(700, '.'));

const V1 = ['first', '', 'one', 'two', 'three', 'x'.repeat(3000), 'y'.repeat(2000), 'last'];
const COMPRESSED = [
  'raw'.repeat(50),
  'lz4 '.repeat(300),
  'small',
  'deflate '.repeat(300),
  'a'.repeat(500),
  'raw again',
];

const GOLDEN: readonly Golden[] = [
  {
    name: 'v1',
    expected: V1,
    recovery: { segments: 2, records: V1.length, bytes: 5020, start: 0 },
    exact: true,
    async write(fs) {
      const wal = await open(fs);
      const [first, empty, one, two, three, x, y, last] = V1.map(bytes);
      await Promise.all([wal.append(first!), wal.append(empty!)]);
      await wal.appendBatch([one!, two!, three!]);
      await wal.append(x!);
      await wal.append(y!);
      await wal.append(last!, { durability: 'sync' });
      await wal.close();
    },
  },
  {
    name: 'compressed',
    expected: COMPRESSED,
    recovery: { segments: 1, records: 6, bytes: 4264 },
    exact: false,
    async write(fs) {
      for (const [index, compression] of (['none', 'lz4', 'lz4', 'deflate', 'deflate', 'none'] as const).entries()) {
        const wal = await open(fs, { compression });
        await wal.append(bytes(COMPRESSED[index]!));
        await wal.close();
      }
    },
  },
  {
    // Version 2: cut twice, once inside a batch and over several segments.
    name: 'cut',
    expected: [...numbered(0, 3), 'batch 0', 'after the first cut', 'after the second cut'],
    recovery: { segments: 3, records: 6, start: 0 },
    exact: true,
    async write(fs) {
      const wal = await open(fs);
      for (const text of numbered(0, 3)) await wal.append(bytes(text));
      const batch = await wal.appendBatch(['batch 0', 'batch 1', 'batch 2'].map(bytes));
      for (const text of numbered(3, 20)) await wal.append(bytes(text));
      await wal.truncateAfter(batch[1]!);
      await wal.append(bytes('after the first cut'));
      await wal.truncateAfter(await wal.append(bytes('dropped')));
      await wal.append(bytes('after the second cut'));
      await wal.close();
    },
  },
  {
    // Not closed: behind the end of the last segment stand records of the segment whose file it was.
    name: 'recycled',
    expected: numbered(10, 22),
    recovery: { segments: 3, records: 12 },
    exact: true,
    async write(fs) {
      const wal = await open(fs, { spareSegmentsMax: 2 });
      for (const text of numbered(0, 15)) await wal.append(bytes(text));
      await wal.truncateBefore(wal.end);
      for (const text of numbered(15, 22)) await wal.append(bytes(text));
    },
  },
];

describe.each(GOLDEN)('the golden log "$name"', ({ name, expected, recovery, write }) => {
  const folder = new URL(`./golden/${name}/`, import.meta.url);

  test('is read', async () => {
    if (process.env.NORI_UPDATE_GOLDEN === '1' && !existsSync(folder)) await update(folder, write);
    const fs = new MemoryFileSystem();
    await fs.mkdir(DIR);
    for (const file of await readdir(folder))
      await replaceAll(fs, `${DIR}/${file}`, await readFile(new URL(file, folder)));
    const wal = await Wal.open({ dir: DIR, fs });
    expect(wal.recovery).toMatchObject(recovery);
    expect(wal.recovery.cut).toBeUndefined();
    expect(await texts(wal)).toEqual(expected);
    await wal.close();
  });
});

describe.each(GOLDEN.filter(({ exact }) => exact))('the golden log "$name"', ({ name, write }) => {
  const folder = new URL(`./golden/${name}/`, import.meta.url);

  test('is made by the same appends, bit by bit', async () => {
    const fs = new MemoryFileSystem();
    await write(fs);
    const files = await segmentFiles(fs);
    expect(files.map((path) => path.slice(DIR.length + 1))).toEqual((await readdir(folder)).sort());
    for (const path of files) {
      const golden = await readFile(new URL(path.slice(DIR.length + 1), folder));
      expect(Buffer.compare(readAll(fs, path), golden)).toBe(0);
    }
  });
});

async function update(folder: URL, write: Golden['write']): Promise<void> {
  const fs = new MemoryFileSystem();
  await write(fs);
  await mkdir(folder, { recursive: true });
  for (const path of await segmentFiles(fs)) {
    await writeFile(new URL(path.slice(DIR.length + 1), folder), readAll(fs, path));
  }
}
