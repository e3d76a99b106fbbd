// Files of format 1, checked in. NORI_UPDATE_GOLDEN=1 writes them anew: only for a new version of the format.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { MemoryFileSystem } from 'nori-io/memory';
import { VirtualClock } from 'nori-testkit';
import { Wal } from 'nori-wal';
import { expect, test } from 'vitest';
import { bytes, DIR, readAll, replaceAll, segmentFiles, texts } from './helpers.js';

const GOLDEN = new URL('./golden/v1/', import.meta.url);
const EXPECTED = ['first', '', 'one', 'two', 'three', 'x'.repeat(3000), 'y'.repeat(2000), 'last'];

/** Writes the log of the golden files, group by group. */
async function write(fs: MemoryFileSystem): Promise<void> {
  const wal = await Wal.open({ dir: DIR, fs, segmentBytesMax: 4096, fsync: 'always', clock: new VirtualClock() });
  const [first, empty, one, two, three, x, y, last] = EXPECTED.map(bytes);
  await Promise.all([wal.append(first!), wal.append(empty!)]);
  await wal.appendBatch([one!, two!, three!]);
  await wal.append(x!);
  await wal.append(y!);
  await wal.append(last!, { durability: 'sync' });
  await wal.close();
}

test('files of format 1 are read', async () => {
  if (process.env.NORI_UPDATE_GOLDEN === '1') await update();
  const fs = new MemoryFileSystem();
  await fs.mkdir(DIR);
  for (const name of await readdir(GOLDEN))
    await replaceAll(fs, `${DIR}/${name}`, await readFile(new URL(name, GOLDEN)));
  const wal = await Wal.open({ dir: DIR, fs });
  expect(wal.recovery).toEqual({ segments: 2, records: EXPECTED.length, bytes: 5020, start: 0, end: wal.end });
  expect(await texts(wal)).toEqual(EXPECTED);
  await wal.close();
});

test('the same appends make the same bytes', async () => {
  const fs = new MemoryFileSystem();
  await write(fs);
  const files = await segmentFiles(fs);
  expect(files.map((path) => path.slice(DIR.length + 1))).toEqual((await readdir(GOLDEN)).sort());
  for (const path of files) {
    const golden = await readFile(new URL(path.slice(DIR.length + 1), GOLDEN));
    expect(Buffer.compare(readAll(fs, path), golden)).toBe(0);
  }
});

async function update(): Promise<void> {
  const fs = new MemoryFileSystem();
  await write(fs);
  await mkdir(GOLDEN, { recursive: true });
  for (const path of await segmentFiles(fs)) {
    await writeFile(new URL(path.slice(DIR.length + 1), GOLDEN), readAll(fs, path));
  }
}
