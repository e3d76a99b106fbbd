// What the front page shows runs as it stands there: the SDK against a real node, the embedded engine on a real directory.
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Inside the repository, so that the packages are found by their names. */
const SCRATCH = join(ROOT, '.reports');
const run = promisify(execFile);

let blocks: string[];
let dir: string;

beforeAll(async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  blocks = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!);
  dir = await mkdtemp(join(tmpdir(), 'norikv-readme-'));
  await mkdir(SCRATCH, { recursive: true });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const runBlock = async (name: string, code: string): Promise<string> => {
  const file = join(SCRATCH, `readme-${name}.mjs`);
  await writeFile(file, code);
  return (await run(process.execPath, [file])).stdout;
};

const startNode = async () => {
  const node = spawn(
    process.execPath,
    [
      join(ROOT, 'packages/norikv-server/bin/norikv.js'),
      ...['start', '--data-dir', join(dir, 'node'), '--rpc-addr', '127.0.0.1:0', '--http-addr', '127.0.0.1:0'],
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const exited = new Promise((resolve) => node.once('close', resolve));
  const address = await new Promise<string>((resolve, reject) => {
    let output = '';
    node.stdout.on('data', (chunk) => {
      output += String(chunk);
      const found = /norikv ready .*rpc=(\S+)/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
    void exited.then(() => reject(new Error(`The node ended before it was ready: ${output}`)));
  });
  return {
    address,
    stop: async () => {
      node.kill('SIGTERM');
      await exited;
    },
  };
};

test('the SDK example runs against a node', async () => {
  const node = await startNode();
  try {
    expect(blocks[0]).toContain('127.0.0.1:7447');
    const output = await runBlock('sdk', blocks[0]!.replace('127.0.0.1:7447', node.address));
    expect(output).toBe('alice\nuser:42\n');
  } finally {
    await node.stop();
  }
});

test('the embedded example runs on a directory', async () => {
  expect(blocks[1]).toContain('./my-data');
  const output = await runBlock('embedded', blocks[1]!.replace('./my-data', join(dir, 'embedded')));
  expect(output).toContain('Uint8Array');
});
