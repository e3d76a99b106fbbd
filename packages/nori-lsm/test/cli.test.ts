// The nori-lsm command as a process of its own, on the real file system. Needs the build: it runs dist/cli.js.
import { spawn } from 'node:child_process';
import {
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ClassicLevel } from 'classic-level';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lsm } from '../src/index.js';
import { text, utf8 } from './support.js';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
/** Where classic-level is installed. */
const PACKAGE = fileURLToPath(new URL('..', import.meta.url));

let root: string;
/** A database of some tables and a log; commands that only look share it. */
let sample: string;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const run = (args: readonly string[], cwd = root, cli = CLI): Promise<Ended> =>
  new Promise((resolve, reject) => {
    // Whoever runs the tests may have packages elsewhere that are not to be found.
    const { NODE_PATH: _, ...env } = process.env;
    const child = spawn(process.execPath, [cli, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      out += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      err += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });

const fill = async (dir: string): Promise<void> => {
  const db = await Lsm.open({ dir, autoCompact: false });
  for (let i = 0; i < 3; i++) {
    const put = (n: number) => ({
      type: 'put' as const,
      key: `key:${i}${n}`,
      value: `value ${i}${n} ${'x'.repeat(200)}`,
    });
    await db.batch(Array.from({ length: 90 }, (_, n) => put(n + 10)));
    await db.flush();
  }
  await db.batch([
    { type: 'put', key: 'strange:\t\n', value: utf8('back\\slash\r\u0007') },
    { type: 'put', key: new Uint8Array([115, 255, 195, 164]), value: new Uint8Array([0, 127]) },
    { type: 'put', key: 'expiring', value: 'soon', ttlMs: 3_600_000 },
  ]);
  await db.close();
};

const tablesOf = async (dir: string): Promise<string[]> =>
  (await readdir(dir)).filter((name) => name.endsWith('.sst')).map((name) => join(dir, name));

const damage = async (path: string, at: number): Promise<void> => {
  const bytes = await readFile(path);
  bytes[at]! ^= 255;
  await writeFile(path, bytes);
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'nori-lsm-cli-'));
  sample = join(root, 'sample');
  await fill(sample);
});
afterAll(() => rm(root, { recursive: true }));

/** A copy of the sample, to be hurt. */
const copyOfSample = async (name: string): Promise<string> => {
  const dir = join(root, name);
  await cp(sample, dir, { recursive: true });
  return dir;
};

test('help, version and wrong usage', async () => {
  const [help, commandHelp, version, nothing, unknown, option, missing] = await Promise.all(
    [['--help'], ['dump', '--help'], ['--version'], [], ['frob'], ['stats', '--frob', 'x'], ['dump']].map((args) =>
      run(args),
    ),
  );
  expect([help!.code, commandHelp!.code, version!.code]).toEqual([0, 0, 0]);
  for (const name of ['dump', 'verify', 'stats', 'compact', 'import', 'repair'])
    expect(help!.out).toContain(`  ${name} `);
  expect(commandHelp!.out).toContain('--encoding');
  expect(version!.out).toMatch(/^\d+\.\d+\.\d+\n$/);
  for (const { code, out, err } of [nothing!, unknown!, option!, missing!]) {
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/^error USAGE: .+\n$/);
  }
});

test('every option of every command is in the README', async () => {
  const readme = await readFile(join(PACKAGE, 'README.md'), 'utf8');
  const section = readme.slice(readme.indexOf('## Command line'));
  for (const name of ['dump', 'verify', 'stats', 'compact', 'import', 'repair']) {
    const { out } = await run([name, '--help']);
    for (const option of new Set(out.match(/--[a-z-]+/g) ?? []))
      expect([name, option, section.includes(option)]).toEqual([name, option, true]);
  }
});

test('no database is made where there is none', async () => {
  const nowhere = join(root, 'nowhere');
  for (const name of ['dump', 'stats', 'verify', 'compact', 'repair']) {
    const { code, out, err } = await run([name, nowhere]);
    expect([name, code, out]).toEqual([name, 1, '']);
    expect(err).toMatch(/^error LSM_NOT_FOUND: .*nowhere.*\n$/);
  }
  await expect(stat(nowhere)).rejects.toThrow();
});

test('dump prints ranges, in both directions, in three encodings and as JSON', async () => {
  const dump = async (...args: string[]): Promise<string[]> => {
    const { code, out, err } = await run(['dump', sample, ...args]);
    expect([code, err]).toEqual([0, '']);
    expect(out.endsWith('\n') || out === '').toBe(true);
    return out.split('\n').slice(0, -1);
  };
  const all = await dump();
  const strange = await dump('--prefix', 's');
  const keys = await dump('--keys', '--limit', '2');
  const last = await dump('--keys', '--reverse', '--limit', '1', '--prefix', 'key:');
  const range = await dump('--keys', '--gte', 'key:198', '--lt', 'key:211');
  const hex = await dump('--encoding', 'hex', '--prefix', '73ff');
  const json = await dump('--json', '--gte', 'expiring', '--limit', '1');
  const none = await dump('--gte', 'zzz', '--encoding', 'utf8');
  expect(all.length).toBe(273);
  expect(strange).toEqual(['strange:\\t\\n\tback\\\\slash\\r\\x07', 's\\xffä\t\\x00\\x7f']);
  expect(keys).toEqual(['expiring', 'key:010']);
  expect(last).toEqual(['key:299']);
  expect(range).toEqual(['key:198', 'key:199', 'key:210']);
  expect(hex).toEqual(['73ffc3a4\t007f']);
  const { key, value, expiresAtMs } = JSON.parse(json[0]!);
  expect([key, value, expiresAtMs > Date.now()]).toEqual([btoa('expiring'), btoa('soon'), true]);
  expect(none).toEqual([]);
  // What is printed can be given back.
  expect(await dump('--keys', '--prefix', 's\\xffä')).toEqual(['s\\xffä']);
});

test('a reader that has seen enough ends dump quietly', async () => {
  const child = spawn(process.execPath, [CLI, 'dump', sample], { stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err += chunk;
  });
  child.stdout.destroy();
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect([code, err]).toEqual([0, '']);
});

test('stats tells levels, sizes and the sequence number', async () => {
  const [plain, json] = await Promise.all([
    run(['stats', await copyOfSample('stats')]),
    run(['stats', sample, '--json']),
  ]);
  expect([plain.code, json.code]).toEqual([0, 0]);
  expect(plain.out).toMatch(/level +tables/);
  expect(plain.out).toContain('last sequence number: 273\n');
  const found = JSON.parse(json.out);
  expect(found).toMatchObject({ ownLog: true, marks: 0, lastSequence: 273 });
  expect(found.levels[0].tables).toBe(3);
  expect(found.logBytes).toBeGreaterThan(0);
});

test('a database without own log is read with its marks', async () => {
  const dir = join(root, 'no-log');
  const db = await Lsm.open({ dir, wal: false, collectMarks: () => [[7, utf8('mark')]] });
  await db.put('a', '1');
  await db.flush();
  await db.close();
  expect((await run(['dump', dir])).out).toBe('a\t1\n');
  expect(JSON.parse((await run(['stats', dir, '--json'])).out)).toMatchObject({ ownLog: false, marks: 1 });
  expect((await run(['verify', dir])).out).toContain('no own log');
});

test('a database that is open can be read, and is left alone', async () => {
  const dir = await copyOfSample('open');
  const db = await Lsm.open({ dir });
  await db.put('written while open', 'x');
  expect((await run(['dump', dir, '--prefix', 'written'])).out).toBe('written while open\tx\n');
  expect((await run(['stats', dir])).out).toContain('last sequence number: 274\n');
  for (const name of ['verify', 'repair', 'compact']) {
    const { code, err } = await run([name, dir]);
    expect([name, code]).toEqual([name, 1]);
    expect(err).toMatch(/^error LSM_LOCKED: .*\n$/);
  }
  await db.close();
});

test('keyspaces are listed, and dumped by their names', async () => {
  const dir = join(root, 'keyspaces');
  const db = await Lsm.open({ dir });
  const users = await db.openKeyspace('users', { ttlMs: 3_600_000 });
  await db.openKeyspace('a\tb');
  await users.put('alice', '1');
  await db.put('other', '2');
  await db.flush();
  await db.deleteRange({ gte: 'o' });
  expect((await run(['dump', dir, '--keyspace', 'users'])).out).toBe('alice\t1\n');
  expect((await run(['dump', dir])).out).toBe('');
  const unknown = await run(['dump', dir, '--keyspace', 'nobody']);
  expect([unknown.code, unknown.err.startsWith('error LSM_UNKNOWN_KEYSPACE: ')]).toEqual([1, true]);
  const { out } = await run(['stats', dir]);
  expect(out).toContain('keyspaces: a\\tb, users (ttlMs 3600000)\n');
  expect(out).toContain('range tombstones: 1\n');
  const json = JSON.parse((await run(['stats', dir, '--json'])).out);
  expect(json.keyspaces).toEqual([{ name: 'a\tb' }, { name: 'users', ttlMs: 3_600_000 }]);
  expect(json.rangeTombstones).toBe(1);
  await db.close();
});

test('compact merges everything', async () => {
  const dir = await copyOfSample('compact');
  const { code, out } = await run(['compact', dir]);
  expect(code).toBe(0);
  expect(out).toMatch(/^tables [\d.]+ MiB before, [\d.]+ MiB after; /);
  const { levels } = JSON.parse((await run(['stats', dir, '--json'])).out);
  expect(levels[0].tables).toBe(0);
  expect((await run(['dump', dir])).out).toBe((await run(['dump', sample])).out);
});

test('verify finds nothing in a sound database, and every damage in another', async () => {
  const dir = await copyOfSample('damaged');
  const sound = await run(['verify', dir]);
  expect([sound.code, sound.out.endsWith('sound\n')]).toEqual([0, true]);
  expect(sound.out).toContain('3 tables, 270 entries');
  const [first, second, third] = (await tablesOf(dir)) as [string, string, string];
  await damage(first, 100);
  await damage(first, 9000);
  await unlink(second);
  await truncate(third, 5000);
  const plain = await run(['verify', dir]);
  expect(plain.code).toBe(1);
  expect(plain.out.match(/LSM_CORRUPT_TABLE/g)?.length).toBe(3);
  expect(plain.out.match(/LSM_MISSING_TABLE/g)?.length).toBe(1);
  expect(plain.out).toContain('4 problems');
  const json = await run(['verify', dir, '--json']);
  const { problems, sound: isSound } = JSON.parse(json.out);
  expect([json.code, isSound]).toEqual([1, false]);
  expect(problems).toContainEqual(expect.objectContaining({ code: 'LSM_CORRUPT_TABLE', file: first, offset: 0 }));
});

test('repair salvages, tells what was lost, and leaves a sound database', async () => {
  const dir = await copyOfSample('repaired');
  expect((await run(['repair', dir])).out).toMatch(/^sound: 3 tables; nothing was changed\n/);
  const [first] = (await tablesOf(dir)) as [string];
  await damage(first, 100);
  const { code, out } = await run(['repair', dir]);
  expect(code).toBe(1);
  expect(out).toMatch(
    /table 0+\d+\.sst \(L0\): rewritten, \d+ entries kept, \d+ lost\n {2}lost keys from key:010 to key:0/,
  );
  expect(out).toContain(join(dir, 'lost', '001'));
  expect((await run(['verify', dir])).code).toBe(0);
  expect((await run(['repair', dir])).code).toBe(0);
  // The log still held what the table lost.
  expect((await run(['dump', dir])).out).toBe((await run(['dump', sample])).out);
  await copyFile(join(sample, 'CURRENT'), join(dir, 'CURRENT'));
  const json = JSON.parse((await run(['repair', dir, '--json'])).out);
  expect(json.damaged).toBe(true);
  expect(json.problems[0]).toMatchObject({ code: 'LSM_CORRUPT_MANIFEST' });
});

const classicDatabase = async (dir: string, entries: number): Promise<void> => {
  const source = new ClassicLevel<Buffer, Buffer>(dir, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  for (let i = 0; i < entries; i += 1000) {
    await source.batch(
      Array.from({ length: Math.min(1000, entries - i) }, (_, n) => ({
        type: 'put' as const,
        key: Buffer.from(`key${String(i + n).padStart(8, '0')}`),
        value: Buffer.from([i & 255, n & 255, ...new Array<number>(n % 300).fill(n & 255)]),
      })),
    );
  }
  await source.put(Buffer.from([0, 255, 10]), Buffer.alloc(3 * 1024 * 1024, 7));
  await source.compactRange(Buffer.alloc(0), Buffer.from([255]));
  await source.close();
};

test('import copies a database of classic-level', async () => {
  const [source, dir] = [join(root, 'classic'), join(root, 'imported')];
  await classicDatabase(source, 15_000);
  const { code, out, err } = await run(['import', '--from', 'classic-level', source, dir], PACKAGE);
  expect([code, err]).toEqual([0, '']);
  expect(out).toMatch(/^imported 15001 entries, [\d.]+ MiB in [\d.]+ s \([\d.]+ MiB\/s\), all compared\n$/);
  const db = await Lsm.open({ dir });
  expect(db.getSync(new Uint8Array([0, 255, 10]))?.length).toBe(3 * 1024 * 1024);
  expect(Array.from(db.scanSync(), ([key]) => text(key)).length).toBe(15_001);
  expect([...db.getSync('key00014299')!].slice(0, 4)).toEqual([14_000 & 255, 299 & 255, 299 & 255, 299 & 255]);
  await db.close();
  // A second time it is refused, and the source is still one of classic-level.
  const again = await run(['import', '--from', 'classic-level', '--no-verify', source, dir], PACKAGE);
  expect([again.code, again.err.startsWith('error LSM_EXISTS: ')]).toEqual([1, true]);
  const quick = await run(['import', '--from', 'classic-level', '--no-verify', source, join(root, 'quick')], PACKAGE);
  expect([quick.code, quick.out.includes('compared')]).toEqual([0, false]);
});

/** The command as it is installed by somebody who has neither classic-level nor level: with its dependencies alone. */
const installedAlone = async (): Promise<string> => {
  const modules = join(root, 'alone', 'node_modules');
  const own = join(modules, 'nori-lsm');
  await mkdir(own, { recursive: true });
  await cp(join(PACKAGE, 'dist'), join(own, 'dist'), { recursive: true });
  await copyFile(join(PACKAGE, 'package.json'), join(own, 'package.json'));
  const { dependencies } = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) {
    await symlink(await realpath(join(PACKAGE, 'node_modules', name)), join(modules, name));
  }
  return join(own, 'dist', 'cli.js');
};

test('import says what is missing, and what it leaves when it fails', async () => {
  const [source, foreign] = [join(root, 'to-fail'), join(root, 'foreign')];
  await classicDatabase(source, 5000);
  const alone = await installedAlone();
  for (const name of ['classic-level', 'level']) {
    const uninstalled = await run(['import', '--from', name, source, join(root, 'never')], root, alone);
    expect([uninstalled.code, uninstalled.err]).toEqual([1, expect.stringContaining(`npm install ${name} in`)]);
  }
  const absent = await run(['import', '--from', 'classic-level', join(root, 'absent'), join(root, 'never')], PACKAGE);
  expect([absent.code, absent.err]).toEqual([1, expect.stringMatching(/^error LSM_NOT_FOUND: .*absent/)]);
  await expect(stat(join(root, 'absent'))).rejects.toThrow();
  await mkdir(foreign);
  await writeFile(join(foreign, 'CURRENT'), 'something else\n');
  const wrong = await run(['import', '--from', 'classic-level', foreign, join(root, 'never')], PACKAGE);
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringMatching(/^error LSM_NOT_FOUND: .*cannot open/)]);
  await expect(stat(join(root, 'never'))).rejects.toThrow();
  const tables = (await readdir(source)).filter((name) => name.endsWith('.ldb'));
  expect(tables.length).toBeGreaterThan(0);
  for (const name of tables) await truncate(join(source, name), 1000);
  const failed = await run(['import', '--from', 'classic-level', source, join(root, 'half')], PACKAGE);
  expect(failed.code).toBe(1);
  expect(failed.err).toContain(`rm -r '${join(root, 'half')}'`);
});
