import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SSTABLE_ERROR_CODES } from '../src/index.js';
import { example } from './readme-example.js';

const read = (path: string) => readFile(new URL(path, import.meta.url), 'utf8');

test('the example of the README runs and is what the README shows', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-sstable-'));
  try {
    expect(await example(join(dir, 'example.sst'))).toBe('alice, bob; newest of user:1 is 7');
  } finally {
    await rm(dir, { recursive: true });
  }
  expect(await read('../README.md')).toContain(`\`\`\`ts\n${await read('./readme-example.ts')}\`\`\``);
});

test('the README explains every error code', async () => {
  const readme = await read('../README.md');
  for (const code of SSTABLE_ERROR_CODES) expect(readme).toContain(`\`${code}\``);
});
