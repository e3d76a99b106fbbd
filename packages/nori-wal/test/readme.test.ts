import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { example } from './readme-example.js';

test('the example in the README runs, on a real disk', async () => {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'nori-wal-'));
  try {
    expect(await example(dir)).toEqual(['alice pays bob 5', 'bob pays carol 3', 'carol pays alice 1']);
    expect(await example(dir)).toHaveLength(3);
  } finally {
    await rm(dir, { recursive: true });
  }
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const source = await readFile(new URL('./readme-example.ts', import.meta.url), 'utf8');
  expect(readme).toContain(`\`\`\`ts\n${source}\`\`\``);
});
