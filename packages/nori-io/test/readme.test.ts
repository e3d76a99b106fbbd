import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { example } from './readme-example.js';

test('the example in the README runs, and its note survives every crash', async () => {
  for (let round = 0; round < 20; round++) {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'nori-io-'));
    try {
      expect(await example(dir)).toBe(5);
    } finally {
      await rm(dir, { recursive: true });
    }
  }
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const source = await readFile(new URL('./readme-example.ts', import.meta.url), 'utf8');
  expect(readme).toContain(`\`\`\`ts\n${source}\`\`\``);
});
