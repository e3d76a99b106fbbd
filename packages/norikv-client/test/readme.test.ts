import { readFile } from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { startNode } from './support/harness.js';

test('the example of the README is the one that is run here, and it works', async () => {
  const example = await readFile(new URL('./readme-example.ts', import.meta.url), 'utf8');
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  expect(readme).toContain(`\`\`\`ts\n${example}\`\`\``);
  const node = await startNode();
  vi.stubEnv('NORIKV_ENDPOINT', node.address);
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    await import('./readme-example.js');
    expect(log.mock.calls[0]).toEqual(['alice', { term: 1, index: 1 }]);
    expect(log.mock.calls[1]?.[1]).toEqual(new TextEncoder().encode('bob'));
  } finally {
    log.mockRestore();
    vi.unstubAllEnvs();
  }
});
