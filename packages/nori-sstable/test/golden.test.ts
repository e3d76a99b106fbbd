// The golden files: what was written once can be read for ever, and is written the same way still.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { nodeFileSystem } from 'nori-io';
import { describe, expect, test } from 'vitest';
import { SSTableReader } from '../src/index.js';
import { entries, options } from './golden/v1.js';
import { entries as featureEntries, features } from './golden/v1-features.js';
import { COMPRESSIONS, copyOf, memoryFileSystem, PATH, readBytes, utf8, writeTable } from './support.js';

const v1 = fileURLToPath(new URL('./golden/v1.sst', import.meta.url));

test('the golden file of version 1 is read, entry by entry', async () => {
  const table = await SSTableReader.open({ fs: nodeFileSystem, path: v1 });
  const read = [...table.dump()].filter((item) => item.type === 'entry');
  expect(read.map(copyOf)).toEqual(entries());
  expect(new Set(read.map(({ block }) => block)).size).toBe(table.properties.dataBlocks);
  expect(table.properties).toMatchObject({ level: 2, restartInterval: 4, blockBytes: 256, tombstones: 6, expiring: 9 });
  expect(table.properties.extra.get('example.origin')).toEqual(utf8('golden'));
  for (const entry of entries()) expect(copyOf(table.get(entry.key, entry.seq)!)).toEqual(entry);
  await table.verify();
  await table.close();
});

test('the writer still writes the golden file of version 1, byte by byte', async () => {
  const fs = await memoryFileSystem();
  await writeTable(fs, PATH, entries(), options);
  expect(await readBytes(fs, PATH)).toEqual(new Uint8Array(readFileSync(v1)));
});

describe.each(features)('the golden file %s', (name, options) => {
  const path = fileURLToPath(new URL(`./golden/${name}.sst`, import.meta.url));
  const compression = options.compression ?? 'none';
  const isReadable = COMPRESSIONS.includes(compression);

  test.runIf(isReadable)('is read, entry by entry, in every way', async () => {
    const table = await SSTableReader.open({ fs: nodeFileSystem, path });
    const items = [...table.dump()];
    expect(items.filter((item) => item.type === 'entry').map(copyOf)).toEqual(featureEntries());
    expect(items.some((item) => item.type === 'index-partition')).toBe(name === 'v1-two-level');
    expect(table.properties.compression).toBe(compression);
    for (const entry of featureEntries()) expect(copyOf(table.get(entry.key, entry.seq)!)).toEqual(entry);
    await table.verify();
    await table.close();
  });

  test.skipIf(isReadable)('is refused where the runtime cannot decompress it', async () => {
    await expect(SSTableReader.open({ fs: nodeFileSystem, path })).rejects.toMatchObject({
      code: 'SSTABLE_UNSUPPORTED_COMPRESSION',
      file: path,
    });
  });

  // What a compressor makes of its input may change with its version; what it means may not.
  test.runIf(compression === 'none')('is still written byte by byte', async () => {
    const fs = await memoryFileSystem();
    await writeTable(fs, PATH, featureEntries(), options);
    expect(await readBytes(fs, PATH)).toEqual(new Uint8Array(readFileSync(path)));
  });
});
