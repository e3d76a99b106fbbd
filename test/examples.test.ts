// The examples that embed nori-lsm, as their users have them: installed by npm from packed packages, without a network and without scripts,
// and run where there is no compiler, no make and no Python.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
// @ts-expect-error a script without declarations
import * as examples from '../scripts/examples.mjs';
import { readText, root } from './workspace.js';

const scratch = mkdtempSync(join(tmpdir(), 'nori-examples-'));
/** Holds node and npm, and nothing else. */
const bin = join(scratch, 'bin');
/** An empty cache: what npm installs can only come from the archives. */
const env = { PATH: bin, HOME: scratch, npm_config_cache: join(scratch, 'cache') };
let archives: Map<string, string>;

beforeAll(async () => {
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, 'node'));
  const npm = process.env.PATH?.split(delimiter).find((folder) => existsSync(join(folder, 'npm')));
  symlinkSync(realpathSync(join(npm!, 'npm')), join(bin, 'npm'));
  archives = await examples.packAll(join(scratch, 'packed'));
}, 60_000);

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Installs an example, once; its folder. */
const installed = async (name: string): Promise<string> => {
  const dir = join(scratch, name);
  await examples.install(name, dir, archives, env);
  return dir;
};

const node = (dir: string, args: readonly string[], more: Record<string, string> = {}): Promise<string> =>
  examples.run('node', args, { cwd: dir, env: { ...env, ...more } });

const filesOf = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

test('what is installed is JavaScript and WebAssembly: no binaries, nothing to build, no script to run', async () => {
  await expect(examples.run('gcc', ['--version'], { env })).rejects.toMatchObject({ code: 'ENOENT' });
  const files = filesOf(join(await installed('plain-esm'), 'node_modules'));
  expect(files.filter((file) => /\.(node|gyp|gypi|so|dll|dylib|c|cc|cpp|h)$|[\\/]prebuilds[\\/]/.test(file))).toEqual(
    [],
  );
  const manifests = files.filter((file) => /node_modules[\\/](@[^\\/]+[\\/])?[^\\/]+[\\/]package\.json$/.test(file));
  expect(manifests.length).toBe(archives.size);
  for (const file of manifests) {
    const scripts = JSON.parse(readFileSync(file, 'utf8')).scripts ?? {};
    expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$/.test(name))).toEqual([]);
  }
});

test('plain-esm: an ES module', async () => {
  const dir = join(scratch, 'plain-esm');
  expect(await node(dir, ['main.js'])).toBe('user:42 alice\nuser:43 bob\nvisits 1\nflushes 1\n');
  expect(await node(dir, ['main.js'])).toContain('visits 2\n');
});

/** esbuild, as if the example's developer had installed it. */
const linkEsbuild = (dir: string): void => {
  const esbuild = dirname(createRequire(import.meta.url).resolve('esbuild/package.json'));
  symlinkSync(esbuild, join(dir, 'node_modules/esbuild'));
};

test('plain-esm, bundled as the README says, runs without any node_modules', async () => {
  const dir = join(scratch, 'plain-esm');
  const recipe = /```js\n(import \{ build \} from 'esbuild';.*?)```/s.exec(
    readText('packages/nori-lsm/README.md'),
  )![1]!;
  writeFileSync(join(dir, 'build.js'), recipe);
  linkEsbuild(dir);
  await node(dir, ['build.js']);
  await rename(join(dir, 'node_modules'), join(dir, 'modules'));
  expect(readdirSync(join(dir, 'bundle')).sort()).toEqual(['lsm-worker.js', 'main.js']);
  expect(await node(dir, ['bundle/main.js'])).toContain('visits 3\nflushes 1\n');
});

test('a single file, without threads, does with inlineExecutor', async () => {
  const dir = join(scratch, 'plain-esm');
  await rename(join(dir, 'modules'), join(dir, 'node_modules'));
  const main = readFileSync(join(dir, 'main.js'), 'utf8')
    .replace(
      "import { Lsm } from 'nori-lsm'",
      "import { nodeFileSystem, systemClock } from 'nori-io';\nimport { inlineExecutor, Lsm } from 'nori-lsm'",
    )
    .replace('Lsm.open({', 'Lsm.open({ executor: inlineExecutor(nodeFileSystem, { clock: systemClock }),');
  writeFileSync(join(dir, 'inline.js'), main);
  const outfile = join(scratch, 'single/inline.mjs');
  await build({ entryPoints: [join(dir, 'inline.js')], outfile, bundle: true, platform: 'node', format: 'esm' });
  expect(await node(dirname(outfile), ['inline.mjs'])).toContain('visits 1\nflushes 1\n');
});

test('plain-cjs: require of both entries', async () => {
  const dir = await installed('plain-cjs');
  const output = "lsm hello flushes 1\nlevel { name: 'alice' }\n";
  expect(await node(dir, ['main.js'])).toBe(output);
  // Bundled as CommonJS, abstract-level and all.
  cpSync(join(root, 'examples/electron-like/build.mjs'), join(dir, 'build.mjs'));
  linkEsbuild(dir);
  await node(dir, ['build.mjs']);
  await rm(join(dir, 'node_modules'), { recursive: true });
  expect(await node(dir, ['bundle/main.js'])).toBe(output);
});

describe('session-store', () => {
  const servers = new Set<ChildProcess>();
  afterAll(() => {
    for (const server of servers) server.kill('SIGKILL');
  });

  const start = async (dir: string, ttlMs: number) => {
    const server = spawn('node', ['server.js', 'data', '0', String(ttlMs)], { cwd: dir, env });
    servers.add(server);
    const exited = new Promise((resolve) => server.once('close', resolve));
    const url = await new Promise<string>((resolve, reject) => {
      let output = '';
      server.stdout.on('data', (chunk) => {
        output += String(chunk);
        const found = /listening on (\S+)\n/.exec(output)?.[1];
        if (found !== undefined) resolve(found);
      });
      void exited.then(() => reject(new Error(`The server ended before it was ready: ${output}`)));
    });
    const visit = async (path: string, cookie = '') => {
      const response = await fetch(`${url}${path}`, { headers: { cookie } });
      return { text: await response.text(), cookie: response.headers.get('set-cookie')?.split(';')[0] ?? '' };
    };
    const stop = async () => {
      server.kill('SIGTERM');
      expect(await exited).toBe(0);
    };
    return { visit, stop };
  };

  test('sessions outlive the server, end when they are destroyed, and expire', async () => {
    const dir = await installed('session-store');
    let server = await start(dir, 3_600_000);
    const { text, cookie } = await server.visit('/');
    expect(text).toBe('visit 1\n');
    expect((await server.visit('/', cookie)).text).toBe('visit 2\n');
    const other = (await server.visit('/')).cookie;
    await server.stop();

    server = await start(dir, 3_600_000);
    expect((await server.visit('/', cookie)).text).toBe('visit 3\n');
    expect((await server.visit('/sessions')).text).toBe('2\n');
    expect((await server.visit('/logout', other)).text).toBe('bye\n');
    expect((await server.visit('/sessions')).text).toBe('1\n');
    await server.stop();

    server = await start(dir, 20);
    const shortLived = (await server.visit('/', cookie)).cookie;
    expect(shortLived).toBe(cookie);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await server.visit('/sessions')).text).toBe('0\n');
    expect((await server.visit('/', shortLived)).text).toBe('visit 1\n');
    await server.stop();
  });
});

test('queue: a worker that dies in the middle of a job loses none, and the order is kept', async () => {
  const dir = await installed('queue');
  expect((await node(dir, ['demo.js'])).trim().split('\n')).toEqual([
    'doing a (attempt 1)',
    'doing b (attempt 1)',
    'doing c (attempt 1)',
    'the worker ended by SIGKILL',
    'doing c (attempt 2)',
    'doing d (attempt 1)',
    'doing e (attempt 1)',
    'the worker is done',
    'f again (attempt 2)',
    'the slow one may say that it is done: false',
    'so may the other: true',
    'left: undefined',
  ]);
});

test('time-series: ranges, means, and space that comes back', async () => {
  const dir = await installed('time-series');
  const output = await node(dir, ['demo.js']);
  expect(output).toContain('points in one minute: 6\nlatest memory: 24.00\n00:00 75.5 50.0 90.0\n');
  const reports = [...output.matchAll(/: (\d+) points, (\d+) KiB/g)].map(([, points, kib]) => ({
    points: Number(points),
    kib: Number(kib),
  }));
  expect(reports.map(({ points }) => points)).toEqual([17_278, 8_638, 0]);
  expect(reports[1]!.kib / reports[0]!.kib).toBeCloseTo(0.5, 1);
  expect(reports[2]!.kib).toBe(0);
});

describe('electron-like', () => {
  let dir: string;
  const data = () => ({ APP_DATA: join(dir, 'data') });
  const started = (times: number) => `started ${times} times\nflushed 1, all is well: true\nclosed\n`;

  beforeAll(async () => {
    dir = await installed('electron-like');
  });

  test('runs from its folder, and again', async () => {
    expect(await node(dir, ['main.js'], data())).toBe(started(1));
    expect(await node(dir, ['main.js'], data())).toBe(started(2));
  });

  // To those who run in it, an archive of Electron looks like a folder.
  test('packed into an archive as it is, with the packages of the thread outside, runs', async () => {
    const [inside, outside] = [join(dir, 'whole/app.asar'), join(dir, 'whole/app.asar.unpacked')];
    for (const name of ['main.js', 'app.js', 'node_modules'])
      cpSync(join(dir, name), join(inside, name), { recursive: true });
    for (const name of readdirSync(join(dir, 'node_modules')).filter((each) =>
      /^(nori-|lz4-wasm-nodejs$)/.test(each),
    )) {
      cpSync(join(dir, 'node_modules', name), join(outside, 'node_modules', name), { recursive: true });
    }
    await rm(join(inside, 'node_modules/nori-lsm/dist/lsm-worker.js'));
    expect(await node(dir, ['whole/app.asar/main.js'], data())).toBe(started(3));
  });

  test('bundled into two files, runs without any node_modules', async () => {
    linkEsbuild(dir);
    await node(dir, ['build.mjs']);
    await rm(join(dir, 'node_modules'), { recursive: true });
    expect(readdirSync(join(dir, 'bundle')).sort()).toEqual(['lsm-worker.js', 'main.js']);
    expect(await node(dir, ['bundle/main.js'], data())).toBe(started(4));
  });

  test('bundled and packed into an archive with the worker outside, runs; without the worker it is told at once what is missing', async () => {
    mkdirSync(join(dir, 'app.asar'));
    mkdirSync(join(dir, 'app.asar.unpacked'));
    await rename(join(dir, 'bundle/main.js'), join(dir, 'app.asar/main.js'));
    await rename(join(dir, 'bundle/lsm-worker.js'), join(dir, 'app.asar.unpacked/lsm-worker.js'));
    expect(await node(dir, ['app.asar/main.js'], data())).toBe(started(5));
    await rm(join(dir, 'app.asar.unpacked'), { recursive: true });
    await expect(node(dir, ['app.asar/main.js'], data())).rejects.toThrow(/LSM_INVALID_OPTIONS/);
  });
});
