// The golden files: what was written once can be read for ever, and is written the same way still.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { nodeFileSystem } from 'nori-io';
import { expect, test } from 'vitest';
import { SSTableReader } from '../src/index.js';
import { entries, options } from './golden/v1.js';
import { copyOf, memoryFileSystem, PATH, readBytes, utf8, writeTable } from './support.js';

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
