// The replicated map of the README on three processes, one of which is killed and comes back.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transform } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
/** Inside the package, so that it finds itself by its name. */
const SCRIPT = join(PACKAGE, '.reports', 'map.mjs');

let dir: string;
let httpPort: number;
const processes = new Map<number, ChildProcess>();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nori-raft-map-'));
  const source = await readFile(join(PACKAGE, 'test', 'readme-map.ts'), 'utf8');
  const [peerPort, http] = [await freePorts(), await freePorts()];
  httpPort = http;
  const placed = source.replace('[7000, 9000]', `[${peerPort}, ${http}]`);
  expect(placed).not.toBe(source);
  const { code } = await transform(placed, { loader: 'ts', format: 'esm', target: 'node20' });
  await mkdir(join(PACKAGE, '.reports'), { recursive: true });
  await writeFile(SCRIPT, code);
});

afterAll(async () => {
  await Promise.all([...processes.keys()].map(kill));
  await rm(dir, { recursive: true, force: true });
  await rm(SCRIPT, { force: true });
});

/** A port p such that p + 1 to p + 3 are free. */
async function freePorts(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = 20_000 + Math.floor(Math.random() * 10_000);
    if ((await Promise.all([1, 2, 3].map((n) => isFree(base + n)))).every(Boolean)) return base;
  }
  throw new Error('There are no three free ports in a row.');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

async function start(number: number): Promise<void> {
  const child = spawn(process.execPath, [SCRIPT, String(number)], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  processes.set(number, child);
  await new Promise<void>((resolve, reject) => {
    let output = '';
    const take = (chunk: unknown) => {
      output += String(chunk);
      if (output.includes(' at http://')) resolve();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('exit', () => reject(new Error(`Node ${number} ended: ${output}`)));
  });
}

async function kill(number: number): Promise<void> {
  const child = processes.get(number)!;
  processes.delete(number);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}

/** Asks a node until it answers: there may be no leader for a moment. */
async function ask(number: number, key: string, value?: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      const options = value === undefined ? {} : { method: 'PUT', body: value };
      const response = await fetch(`http://127.0.0.1:${httpPort + number}/${key}`, options);
      const text = (await response.text()).trim();
      if (response.ok) return text;
      if (attempt === 200) throw new Error(text);
    } catch (error) {
      if (attempt === 200) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('the replicated map of the README survives the death of its leader', { timeout: 60_000 }, async () => {
  const readme = await readFile(join(PACKAGE, 'README.md'), 'utf8');
  expect(readme).toContain(`\`\`\`ts\n${await readFile(join(PACKAGE, 'test', 'readme-map.ts'), 'utf8')}\`\`\``);

  await Promise.all([1, 2, 3].map(start));
  expect(await ask(1, 'color', 'red')).toMatch(/^created at \d+$/);
  for (const number of [1, 2, 3]) expect(await ask(number, 'color')).toBe('red');
  for (const number of [1, 2, 3]) {
    await kill(number);
    const others = [1, 2, 3].filter((n) => n !== number);
    expect(await ask(others[0]!, 'color', `without ${number}`)).toMatch(/^changed at \d+$/);
    expect(await ask(others[1]!, 'color')).toBe(`without ${number}`);
    await start(number);
    expect(await ask(number, 'color')).toBe(`without ${number}`);
  }
});
