import { readFile } from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { ERROR_TABLE } from '../src/index.js';

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');

test('the example of the README is the one that is run here, and prints what it says', async () => {
  const example = await readFile(new URL('./readme-example.ts', import.meta.url), 'utf8');
  expect(readme).toContain(`\`\`\`ts\n${example}\`\`\``);
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    await import('./readme-example.js');
    expect(log.mock.calls).toEqual([['user:42'], [717], [1048576, 412]]);
  } finally {
    log.mockRestore();
  }
});

test('the error table of the README is the one of the code', () => {
  for (const [name, { number, connectCode, grpcStatus, httpStatus, retryable }] of Object.entries(ERROR_TABLE)) {
    const row = `| ${number} | \`${name}\` | \`${connectCode}\` (${grpcStatus}) | ${httpStatus} | ${retryable ? 'yes' : 'no'} |`;
    expect(readme).toContain(row);
  }
});
