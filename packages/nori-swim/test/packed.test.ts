// What is published, installed the way its users would and run on three processes: the example of the README. No network is used.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from './helpers/processes.js';

const PACKAGES = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
const processes: ChildProcess[] = [];
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nori-swim-packed-'));
  const archives = join(dir, 'archives');
  await mkdir(archives);
  const PATH = [join(PACKAGES, '..', 'node_modules/.bin'), process.env.PATH].join(delimiter);
  for (const name of ['nori-observe', 'nori-swim']) {
    await run('pnpm', ['pack', '--pack-destination', archives], {
      cwd: join(PACKAGES, name),
      env: { ...process.env, PATH },
    });
  }
  await writeFile(join(dir, 'package.json'), JSON.stringify({ name: 'example', private: true, type: 'module' }));
  const files = (await readdir(archives)).map((file) => join(archives, file));
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', ...files], { cwd: dir });
  const source = await readFile(new URL('./readme-example.ts', import.meta.url), 'utf8');
  const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'node20' });
  await writeFile(join(dir, 'example.mjs'), code);
}, 120_000);

afterAll(async () => {
  await Promise.all(processes.map(end));
  await rm(dir, { recursive: true, force: true });
});

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}

/** A port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts the example; resolves once it listens. Its output grows. */
async function start(...args: readonly string[]) {
  const child = spawn(process.execPath, ['example.mjs', ...args], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  processes.push(child);
  const node = { child, output: '' };
  const take = (chunk: unknown) => {
    node.output += String(chunk);
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  await until(() => node.output.includes(' listens on ') || child.exitCode !== null);
  return node;
}

test('three processes find each other; one dies, one leaves, and the last one says so', {
  timeout: 60_000,
}, async () => {
  const ports = [await freePort(), await freePort(), await freePort()];
  const seed = `127.0.0.1:${ports[0]}`;
  const n1 = await start('n1', `${ports[0]}`);
  const n2 = await start('n2', `${ports[1]}`, seed);
  const n3 = await start('n3', `${ports[2]}`, seed);
  expect(n3.output).toContain(`n3 listens on 127.0.0.1:${ports[2]}`);
  await until(
    () =>
      [n2, n3].every(({ output }) => output.includes('n1 is alive (joined)')) &&
      n2.output.includes('n3 is alive (joined)'),
  );
  await end(n3.child);
  await until(() => /n3 did not answer n[12]/.test(n1.output) && /n3 is dead, say n[12]/.test(n1.output));
  n2.child.kill('SIGINT');
  await until(() => n1.output.includes('n2 has left'));
  await until(() => n2.child.exitCode !== null);
  expect(n2.child.exitCode).toBe(0);
});

test('it can be required as well, and its parts have types', async () => {
  const { stdout } = await run(
    process.execPath,
    ['-e', "console.log(typeof require('nori-swim').Swim.start, typeof require('nori-swim/sim').Simulation)"],
    { cwd: dir },
  );
  expect(stdout.trim()).toBe('function function');
  const files = await readdir(join(dir, 'node_modules/nori-swim/dist'));
  expect(files).toEqual(expect.arrayContaining(['index.js', 'index.d.ts', 'sim.js', 'sim.d.ts']));
});
