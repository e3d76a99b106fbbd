import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { example } from './readme-example.js';

const read = (name: string): Promise<string> => readFile(new URL(name, import.meta.url), 'utf8');

test('the example in the README is the one that runs here', async () => {
  const source = await read('./readme-example.ts');
  expect(await read('../README.md')).toContain(`\`\`\`ts\n${source}\`\`\``);
});

test('the example does what it says', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-lsm-readme-'));
  try {
    expect(await example(dir)).toEqual(['alice', 'user:42', 'user:43']);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('the README lists every error code', async () => {
  const readme = await read('../README.md');
  const codes = (await read('../src/errors.ts')).match(/'LSM_[A-Z_]+'/g)!;
  for (const code of new Set(codes)) expect(readme).toContain(`\`${code.slice(1, -1)}\``);
});
