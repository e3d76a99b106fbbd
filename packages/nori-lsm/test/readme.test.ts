import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { conditionalExample } from './readme-conditional-example.js';
import { example } from './readme-example.js';
import { levelExample } from './readme-level-example.js';
import { rangesExample } from './readme-ranges-example.js';

const read = (name: string): Promise<string> => readFile(new URL(name, import.meta.url), 'utf8');

test('the examples in the README are those that run here', async () => {
  for (const name of ['example', 'level-example', 'conditional-example', 'ranges-example']) {
    expect(await read('../README.md')).toContain(`\`\`\`ts\n${await read(`./readme-${name}.ts`)}\`\`\``);
  }
});

test('the examples do what they say', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-lsm-readme-'));
  try {
    expect(await example(join(dir, 'one'))).toEqual(['alice', 'user:42', 'user:43']);
    expect(await conditionalExample(join(dir, 'third'))).toBe(10);
    expect(await rangesExample(join(dir, 'fourth'))).toEqual(['user:42']);
    expect(await levelExample(join(dir, 'other'))).toEqual(['alice', 'bob']);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('the README lists every error code', async () => {
  const readme = await read('../README.md');
  const codes = (await read('../src/errors.ts')).match(/'LSM_[A-Z_]+'/g)!;
  for (const code of new Set(codes)) expect(readme).toContain(`\`${code.slice(1, -1)}\``);
});
