// Opening for reading alone: nothing on disk changes, everything that changes something is refused, and beside a process that
// writes constantly each view is one moment of it. The last needs the build: the process runs dist/.
import { spawn } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { FileSystem } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { NoriLevel } from '../src/abstract-level.js';
import { readWhole } from '../src/directory.js';
import { Lsm, LsmError, type LsmOptions, WriteBatch } from '../src/index.js';
import { batchAt, COUNTER } from './sigkill-load.mjs';
import { smallOptions, TestClock, text, withSeed } from './support.js';

const DIR = '/data/db';
const SEED = seedFromEnv();
const LOAD = fileURLToPath(new URL('./sigkill-load.mjs', import.meta.url));
const BESIDE_MS = Number(process.env.NORI_BESIDE_MS ?? 3000);
const MUTATIONS = [
  ...(['create', 'write', 'truncate', 'datasync', 'rename', 'unlink'] as const),
  ...(['link', 'mkdir', 'sync-dir', 'lock', 'unlock'] as const),
];

const openView = (fs: FileSystem, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: DIR, fs, readOnly: true, ...options });

const entriesOf = (db: Lsm): Record<string, string> =>
  Object.fromEntries(Array.from(db.scanSync(), ([key, value]) => [text(key)!, text(value)!]));

/** Does everything that reading can do. */
const readAll = async (db: Lsm): Promise<Record<string, string>> => {
  const found = entriesOf(db);
  const keys = Object.keys(found);
  expect((await db.getMany(keys)).map(text)).toEqual(Object.values(found));
  const snapshot = db.snapshot();
  for (const key of keys.slice(0, 20)) {
    expect(text(await db.get(key, { snapshot }))).toBe(found[key]);
    expect(text(db.getEntry(new TextEncoder().encode(key))?.value)).toBe(found[key]);
  }
  snapshot.close();
  let count = 0;
  for await (const _ of db.scan()) count++;
  expect(count).toBe(keys.length);
  expect((await db.verify()).problems).toEqual([]);
  expect(db.stats().stalled).toBeUndefined();
  expect(db.stalled).toBe(false);
  expect(db.durableMarks().size).toBeGreaterThanOrEqual(0);
  return found;
};

const small: Partial<LsmOptions> = { memtableBytes: 4096, walSegmentBytesMax: 4096, l0Trigger: 2, tableBytes: 4096 };

test('after a crash at any moment a view changes nothing and sees what opening finds', {
  timeout: 60_000,
}, async () => {
  await withSeed(SEED, async () => {
    for (let round = 0; round < 15; round++) {
      const rng = new Rng(SEED + round);
      const wal = rng.chance(0.8);
      const live = new MemoryFileSystem();
      const crashed: MemoryFileSystem[] = [];
      live.onOperation = ({ index }) => {
        if (index > 20 && rng.chance(0.02)) crashed.push(live.crash(rng));
      };
      const db = await Lsm.open({ ...smallOptions(rng), dir: DIR, fs: live, wal });
      for (let i = 0; i < 150; i++) {
        const key = `key ${rng.int(60)}`;
        if (rng.chance(0.2)) await db.delete(key);
        else
          await db.put(key, `${i} `.repeat(rng.int(60)), wal ? { durability: rng.pick(['sync', 'os', 'none']) } : {});
        if (rng.chance(0.05)) await db.flush();
      }
      crashed.push(live.kill());
      await db.close();
      crashed.push(live);
      for (const fs of crashed) {
        const forbidden = fs.inject({ on: MUTATIONS, times: Number.POSITIVE_INFINITY });
        const before = fs.stats();
        const view = await openView(fs, { memtableBytes: rng.pick([1024, 1 << 20]) });
        const seen = await readAll(view);
        await view.close();
        expect(forbidden.hits).toBe(0);
        expect(fs.stats().mutations).toBe(before.mutations);
        forbidden.remove();
        const opened = await Lsm.open({ dir: DIR, fs, wal });
        expect(entriesOf(opened)).toEqual(seen);
        await opened.close();
      }
    }
  });
});

/** Every name below a folder with all that could change of it. */
const stateOf = async (dir: string): Promise<Record<string, string>> => {
  const state: Record<string, string> = {};
  for (const name of ['.', ...(await readdir(dir, { recursive: true }))].sort()) {
    const found = await stat(join(dir, name), { bigint: true });
    const content = found.isFile() ? (await readFile(join(dir, name))).toString('hex') : '';
    state[name] = `${found.ino} ${found.mode} ${found.mtimeNs} ${found.ctimeNs} ${content}`;
  }
  return state;
};

/** Writes what is in memory below `from` into a folder of the real file system. */
const copyOut = async (fs: MemoryFileSystem, from: string, to: string): Promise<void> => {
  await mkdir(to);
  for (const name of await fs.readdir(from)) {
    const isFile = (await fs.stat(`${from}/${name}`))?.kind === 'file';
    if (isFile) await writeFile(join(to, name), await readWhole(fs, `${from}/${name}`));
    else await copyOut(fs, `${from}/${name}`, join(to, name));
  }
};

test('on a real file system not a byte, a name or a time changes, with torn tails too', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ ...small, dir: DIR, fs });
  for (let i = 0; i < 500; i++) await db.put(`key ${i % 100}`, `${i} `.repeat(20), { durability: 'os' });
  await db.flush();
  await db.put('logged', 'only');
  const expected = entriesOf(db);
  const work = await mkdtemp(join(tmpdir(), 'nori-lsm-read-only-'));
  try {
    const dir = join(work, 'killed');
    await copyOut(fs.kill(), DIR, dir);
    await db.close();
    const names = await readdir(dir, { recursive: true });
    const segments = names.filter((name) => name.endsWith('.wal')).sort();
    await appendFile(join(dir, segments.at(-1)!), Buffer.alloc(1000, 'torn'));
    await appendFile(join(dir, names.find((name) => name.startsWith('MANIFEST'))!), Buffer.alloc(50, 'torn'));
    const before = await stateOf(dir);
    const view = await Lsm.open({ dir, readOnly: true });
    expect(await readAll(view)).toEqual(expected);
    await view.close();
    expect(await stateOf(dir)).toEqual(before);
  } finally {
    await rm(work, { recursive: true });
  }
});

test('every method that writes is refused, and so are options that need writing', async () => {
  const fs = new MemoryFileSystem();
  for (const wal of [true, false]) {
    const dir = `/data/${wal}`;
    const db = await Lsm.open({ dir, fs, wal });
    await db.put('a', '1');
    await db.flush();
    await db.close();
    const view = await Lsm.open({ dir, fs, readOnly: true });
    const refused = { name: 'LsmError', code: 'LSM_READ_ONLY' };
    await expect(view.put('a', '2')).rejects.toMatchObject(refused);
    await expect(view.delete('a')).rejects.toMatchObject(refused);
    await expect(view.batch([{ type: 'delete', key: 'a' }])).rejects.toMatchObject(refused);
    await expect(view.batch([])).rejects.toMatchObject(refused);
    expect(() => view.apply(new WriteBatch())).toThrow(expect.objectContaining(refused));
    await expect(view.whenWritable()).rejects.toMatchObject(refused);
    await expect(view.flush()).rejects.toMatchObject(refused);
    await expect(view.compact()).rejects.toMatchObject(refused);
    await expect(view.checkpoint('/data/other')).rejects.toMatchObject(refused);
    expect(entriesOf(view)).toEqual({ a: '1' });
    await view.close();
    await expect(view.put('a', '2')).rejects.toMatchObject({ code: 'LSM_CLOSED' });
    expect(() => view.getSync('a')).toThrow(expect.objectContaining({ code: 'LSM_CLOSED' }));
    await expect(Lsm.open({ dir, fs, readOnly: true, wal: !wal })).rejects.toMatchObject({
      code: 'LSM_INVALID_OPTIONS',
    });
  }
  const senseless = [{ errorIfExists: true }, { onDurable: () => {} }, { wal: false, collectMarks: () => [] }];
  for (const options of senseless) {
    await expect(openView(fs, options)).rejects.toMatchObject({ code: 'LSM_INVALID_OPTIONS' });
  }
});

test('what is not there, is no database, or is damaged, is refused as ever', async () => {
  const fs = new MemoryFileSystem();
  await expect(openView(fs)).rejects.toMatchObject({ code: 'LSM_NOT_FOUND' });
  await fs.mkdir(DIR);
  await expect(openView(fs)).rejects.toMatchObject({ code: 'LSM_NOT_FOUND' });
  const db = await Lsm.open({ ...small, dir: DIR, fs });
  for (let i = 0; i < 100; i++) await db.put(`key ${i}`, 'v'.repeat(100));
  await db.flush();
  await db.put('more', 'v');
  await db.close();
  const [table] = (await fs.readdir(DIR)).filter((name) => name.endsWith('.sst'));
  const withoutTable = fs.kill();
  await withoutTable.unlink(`${DIR}/${table}`);
  await expect(openView(withoutTable)).rejects.toMatchObject({ code: 'LSM_MISSING_TABLE', file: `${DIR}/${table}` });
  const withoutLog = fs.kill();
  for (const name of await fs.readdir(`${DIR}/wal`)) await withoutLog.unlink(`${DIR}/wal/${name}`);
  await expect(openView(withoutLog)).rejects.toMatchObject({ code: 'LSM_CORRUPT_LOG' });
  const foreign = new MemoryFileSystem();
  await foreign.mkdir(DIR);
  await (await foreign.open(`${DIR}/holiday.jpg`, 'create')).close();
  await expect(openView(foreign)).rejects.toMatchObject({ code: 'LSM_NOT_A_DATABASE' });
});

test('nothing goes on in the background, however full memtables and L0 are and whatever expires', async () => {
  const fs = new MemoryFileSystem();
  const clock = new TestClock();
  const db = await Lsm.open({ dir: DIR, fs, clock, autoCompact: false, memtableBytes: 1 << 20 });
  for (let i = 0; i < 20; i++) {
    await db.put('key', `${i}`, { ttlMs: 1000 + i });
    await db.flush();
  }
  for (let i = 0; i < 2000; i++) await db.put(`key ${i}`, 'v'.repeat(50), { durability: 'os' });
  const killed = fs.kill();
  await db.close();
  let timers = 0;
  clock.setTimer = () => {
    timers++;
    return { cancel: () => {} };
  };
  const meter = new RecordingMeter();
  const view = await openView(killed, { clock, meter, memtableBytes: 1024, memtablesMax: 2 });
  expect(view.stats().sealedMemtables).toBeGreaterThan(10);
  expect(text(view.getSync('key'))).toBe('19');
  clock.nowMs += 5000;
  expect(view.getSync('key')).toBeUndefined();
  await new Promise((resolve) => setImmediate(resolve));
  expect(timers).toBe(0);
  expect(meter.events).toEqual([]);
  await view.close();
});

/** A file system on which `interfere` is called, and waited for, before files of some kind are opened. */
const disturbed = (fs: MemoryFileSystem, kind: string, interfere: (path: string) => Promise<unknown>): FileSystem => ({
  open: async (path, mode) => {
    const file = path.includes(kind) ? await interfere(path) : undefined;
    return (file as undefined) ?? fs.open(path, mode);
  },
  openSync: (path, mode) => fs.openSync(path, mode),
  readdir: (path) => fs.readdir(path),
  mkdir: (path) => fs.mkdir(path),
  stat: (path) => fs.stat(path),
  rename: (from, to) => fs.rename(from, to),
  unlink: (path) => fs.unlink(path),
  link: (existing, path) => fs.link(existing, path),
  syncDir: (path) => fs.syncDir(path),
  freeBytes: (path) => fs.freeBytes(path),
  lock: (path) => fs.lock(path),
});

test('tables, manifests and segments that vanish while it opens make it begin anew', async () => {
  for (const kind of ['.sst', 'MANIFEST', '.wal']) {
    const fs = new MemoryFileSystem();
    const db = await Lsm.open({ ...small, dir: DIR, fs });
    let count = 0;
    const states: string[] = [];
    const write = async (): Promise<void> => {
      for (let i = 0; i < 200; i++) await db.put(`key ${i % 50}`, `${count++} `.repeat(20), { durability: 'os' });
      await db.compact();
      states.push(JSON.stringify(entriesOf(db)));
    };
    await write();
    let times = 3;
    const view = await openView(disturbed(fs, kind, async () => void (times-- > 0 && (await write()))));
    expect([times, states.includes(JSON.stringify(entriesOf(view)))], kind).toEqual([times, true]);
    expect(times).toBeLessThan(3);
    // What has vanished since stays readable.
    await write();
    await db.put('later', 'v');
    expect(Object.keys(await readAll(view)), kind).not.toContain('later');
    await view.close();
    await db.close();
  }
});

test('a database that never stands still for long enough is told, after a bounded number of tries', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ ...small, dir: DIR, fs });
  const write = async (): Promise<void> => {
    for (let i = 0; i < 60; i++) await db.put(`key ${i}`, 'v'.repeat(100), { durability: 'os' });
    await db.compact();
  };
  await write();
  let times = 0;
  const restless = disturbed(fs, '.sst', async () => {
    times++;
    await write();
  });
  await expect(openView(restless)).rejects.toMatchObject({ code: 'LSM_CHANGED' });
  expect(times).toBeGreaterThanOrEqual(10);
  await db.close();
});

test('what reached tables without the log is not left out of a view of a later log', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs });
  await db.put('a', '1');
  const before = fs.kill();
  // The log refuses a write that is visible already: it is flushed, and only then anything else is logged.
  const full = fs.inject({ on: 'write', path: '.wal', code: 'IO_NO_SPACE', times: 4 });
  await db.put('b', '2', { durability: 'none' });
  while (
    !(await db.put('c', '3').then(
      () => true,
      () => false,
    ))
  );
  full.remove();
  expect(db.stats().flushes).toBeGreaterThan(0);
  let times = 0;
  // The manifest that is read first is that of the moment before.
  const stale = disturbed(fs, 'MANIFEST', (path) => (times++ === 0 ? before.open(path, 'read') : Promise.resolve()));
  const view = await openView(stale);
  expect(times).toBeGreaterThan(2);
  expect(entriesOf(view)).toEqual({ a: '1', b: '2', c: '3' });
  await view.close();
  // A write that failed leaves a gap too, and nothing is missing there.
  fs.inject({ on: 'write', path: '.wal', code: 'IO_NO_SPACE' });
  await expect(db.put('d', '4')).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  await db.put('e', '5');
  const later = await openView(fs);
  expect(Object.keys(entriesOf(later))).toEqual(['a', 'b', 'c', 'e']);
  await later.close();
  await db.close();
});

test('an abstract-level database can be open for reading alone', async () => {
  const fs = new MemoryFileSystem();
  const writer = new NoriLevel(DIR, { fs });
  await writer.put('a', '1');
  const reader = new NoriLevel(DIR, { fs, readOnly: true });
  expect(await reader.get('a')).toBe('1');
  await expect(reader.put('a', '2')).rejects.toMatchObject({ code: 'LEVEL_READONLY' });
  await expect(reader.batch([{ type: 'del', key: 'a' }])).rejects.toMatchObject({ code: 'LEVEL_READONLY' });
  await expect(reader.clear()).rejects.toMatchObject({ code: 'LEVEL_READONLY' });
  await reader.close();
  await writer.close();
});

test('beside a process that writes all the time, every view is a prefix of its writes, and none is older than one before', {
  timeout: 60_000 + BESIDE_MS,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-lsm-beside-'));
  const child = spawn(process.execPath, [LOAD, dir, '0', String(SEED % 2 ** 30)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<unknown>((resolve) => child.once('close', (_, signal) => resolve(signal)));
  let promised = 0;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const match = /^(\d+) ([sbo])$/.exec(line);
    if (match !== null) promised = Math.max(promised, Number(match[1]));
  });
  try {
    while (promised < 100) await new Promise((resolve) => setTimeout(resolve, 10));
    const expected = new Map<string, string>();
    let seen = 0;
    let views = 0;
    const endMs = performance.now() + BESIDE_MS;
    // A machine with much else to do gets more time.
    while (performance.now() < endMs || (views <= 3 && performance.now() < endMs + 60_000)) {
      const atLeast = promised;
      // On a machine with much else to do, all tries may be too slow: that is told, and no wrong view.
      const view = await Lsm.open({ dir, readOnly: true, memtableBytes: 64 * 1024 }).catch((error: LsmError) => error);
      if (view instanceof LsmError) {
        expect(view.code).toBe('LSM_CHANGED');
        continue;
      }
      const count = Number(text(view.getSync(COUNTER)));
      expect(count).toBeGreaterThanOrEqual(Math.max(seen, atLeast));
      for (; seen < count; seen++) {
        for (const operation of batchAt(seen + 1)) {
          if (operation.type === 'put') expected.set(String(operation.key), String(operation.value));
          else if (operation.type === 'delete') expected.delete(String(operation.key));
        }
      }
      const found = new Map(Object.entries(entriesOf(view)));
      expect(found.size).toBe(expected.size);
      for (const [key, value] of expected)
        if (found.get(key) !== value) expect([key, found.get(key)]).toEqual([key, value]);
      await view.close();
      views++;
    }
    expect(views).toBeGreaterThan(3);
    child.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
  } finally {
    child.kill('SIGKILL');
    await ended;
    await rm(dir, { recursive: true });
  }
});

/** A file system that lets others act before it opens or looks at anything. */
const withInterruptions = (fs: MemoryFileSystem, interrupt: () => Promise<void>): FileSystem =>
  new Proxy(fs, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...args: unknown[]) => unknown;
      if (name !== 'open' && name !== 'stat' && name !== 'readdir') return call;
      return async (...args: unknown[]) => {
        await interrupt();
        return call(...args);
      };
    },
  });

test('a view has all of a batch over keyspaces or nothing of it, whatever the writer does while it opens', {
  timeout: 120_000,
}, async () => {
  const seed = seedFromEnv();
  await withSeed(seed, async () => {
    const rng = new Rng(seed);
    for (let round = 0; round < 60; round++) {
      const fs = new MemoryFileSystem();
      const db = await Lsm.open({ dir: '/db', fs, memtableBytes: 1024, walSegmentBytesMax: 4096, l0Trigger: 2 });
      /** The keyspaces that each batch wrote to. */
      const writtenTo: string[][] = [[]];
      const steps: (() => Promise<unknown>)[] = [
        () => db.openKeyspace(`k${rng.int(1000)}`),
        async () => {
          const name = rng.pick(db.keyspaces().concat('none'));
          if (name !== 'none') await db.dropKeyspace(name);
        },
        () => db.flush(),
        () => db.compact(),
        () => db.deleteRange({ gte: 'noise' }),
        async () => {
          const folder = `/tables${rng.uint32()}`;
          const { tables } = await db.exportTables(folder, { gte: 'noise' });
          await db.ingest(tables.map(({ path }) => path));
        },
        async () => {
          const count = String(writtenTo.length);
          const names = db.keyspaces();
          writtenTo.push(names);
          await db.batch([
            ...['', ...names].map((name) => {
              return { type: 'put', ...(name && { keyspace: name }), key: 'count', value: count } as const;
            }),
            { type: 'put', key: `noise${rng.int(50)}`, value: 'x'.repeat(100) },
          ]);
        },
      ];
      const step = async (): Promise<void> => void (await rng.pick(steps.concat(steps.at(-1)!, steps.at(-1)!))());
      for (let i = 0; i < 10; i++) await step();
      const interrupted = withInterruptions(fs, async () => {
        if (rng.chance(0.1)) await step();
      });
      const view = await Lsm.open({ dir: '/db', fs: interrupted, readOnly: true }).catch((error: LsmError) => error);
      if (view instanceof LsmError) expect(view.code).toBe('LSM_CHANGED');
      else {
        const count = Number(text(view.getSync('count')) ?? 0);
        const names = view.keyspaces();
        const counts = names.map((name) => Number(text(view.keyspace(name).getSync('count')) ?? 0));
        const dropped = writtenTo[count]!.filter((name) => !names.includes(name));
        // A keyspace that the batch wrote to is there, unless it was dropped since.
        for (const name of dropped) expect(db.keyspaces()).not.toContain(name);
        for (const [i, name] of names.entries()) {
          if (writtenTo[count]!.includes(name)) expect([name, counts[i]]).toEqual([name, count]);
        }
        await view.close();
      }
      await db.close();
    }
  });
});
