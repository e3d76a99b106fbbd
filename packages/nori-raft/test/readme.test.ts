import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { example } from './readme-example.js';

test('the replicated counter of the README runs, in under 60 lines', async () => {
  expect(example()).toEqual([42, 42, 42]);
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const source = await readFile(new URL('./readme-example.ts', import.meta.url), 'utf8');
  expect(readme).toContain(`\`\`\`ts\n${source}\`\`\``);
  expect(source.split('\n').length).toBeLessThan(60);
});

test('the README names every error code', async () => {
  const [readme, errors] = await Promise.all(
    ['../README.md', '../src/errors.ts'].map((path) => readFile(new URL(path, import.meta.url), 'utf8')),
  );
  const codes = [...errors!.matchAll(/\| '(RAFT_[A-Z_]+)'/g)].map(([, code]) => code!);
  expect(codes.length).toBeGreaterThan(20);
  expect(codes.filter((code) => !readme!.includes(`\`${code}\``))).toEqual([]);
});
