import { readFile } from 'node:fs/promises';
import { DEFAULT_PROTOCOL } from 'nori-swim';
import { expect, test } from 'vitest';
import { example } from './readme-sim-example.js';

const read = (path: string) => readFile(new URL(path, import.meta.url), 'utf8');

test('the README shows the examples that are run, the first in fifteen lines', async () => {
  const readme = await read('../README.md');
  for (const file of ['./readme-example.ts', './readme-sim-example.ts']) {
    expect(readme).toContain(`\`\`\`ts\n${await read(file)}\`\`\``);
  }
  const lines = (await read('./readme-example.ts')).split('\n').filter((line) => line !== '');
  expect(lines.length).toBeLessThanOrEqual(15);
});

test('the example of the simulator runs, and finds what the README says', () => {
  expect(example(1)).toEqual(['3 rightly']);
});

test('the README names every error code, every drop reason, every event and every constant with its default', async () => {
  const [readme, errors, metrics, events] = await Promise.all(
    ['../README.md', '../src/errors.ts', '../src/node/metrics.ts', '../src/membership-events.ts'].map(read),
  );
  const codes = [...errors!.matchAll(/\| '(SWIM_[A-Z_]+)'/g)].map(([, code]) => code!);
  expect(codes.length).toBeGreaterThan(15);
  const reasons = [...metrics!.matchAll(/^ {2}'([a-z-]+)',$/gm)].map(([, reason]) => reason!);
  expect(reasons.length).toBeGreaterThan(10);
  const types = [...events!.matchAll(/readonly type: '([a-z]+)'/g)].map(([, type]) => type!);
  expect(types.length).toBeGreaterThan(8);
  for (const name of [...codes, ...reasons, ...types]) expect(readme, name).toContain(`\`${name}\``);
  for (const [name, value] of Object.entries(DEFAULT_PROTOCOL)) {
    if (typeof value === 'number') expect(readme, name).toContain(`| \`${name}\` | ${value.toLocaleString('en')} |`);
  }
});
