// The built package in a process of its own.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startNode } from './support/harness.js';

const run = promisify(execFile);
const dist = fileURLToPath(new URL('../dist/index.js', import.meta.url));

test('a process that closes its client exits by itself; so does one that failed to connect', async () => {
  const node = await startNode({ onRow: (row) => (row.key[0] === 0x61 ? undefined : 'silence') });
  const script = `
    import { NoriClient } from ${JSON.stringify(dist)};
    const client = await NoriClient.connect({ endpoints: ['${node.address}'] });
    await client.put('a', '1');
    const pending = client.get('b').catch((error) => error.code);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await client.close();
    const refused = await NoriClient.connect({ endpoints: ['127.0.0.1:1'] }).catch((error) => error.code);
    console.log(await pending, refused);
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
  expect(stdout.trim()).toBe('CLIENT_CLOSED UNAVAILABLE');
});

test('CommonJS can require the package', async () => {
  const script = `console.log(Object.keys(require(${JSON.stringify(dist)})).join())`;
  const { stdout } = await run(process.execPath, ['-e', script]);
  expect(stdout.trim().split(',')).toEqual(expect.arrayContaining(['NoriClient', 'NoriError']));
});
