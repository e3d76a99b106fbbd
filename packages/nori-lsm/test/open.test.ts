// What opening accepts, refuses, repairs, and leaves alone.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng } from 'nori-testkit';
import { expect, test } from 'vitest';
import { inspectDirectory, readWhole } from '../src/directory.js';
import { Lsm, type LsmOptions } from '../src/index.js';
import { Manifest } from '../src/manifest.js';
import { text } from './support.js';

const DIR = '/data/db';

const open = (fs: MemoryFileSystem, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: DIR, fs, memtableBytes: 4096, ...options });

const refusal = (code: string): unknown => expect.objectContaining({ name: 'LsmError', code });

const writeFile = async (fs: MemoryFileSystem, path: string, bytes: Uint8Array): Promise<void> => {
  if ((await fs.stat(path)) !== undefined) await fs.unlink(path);
  const file = await fs.open(path, 'create');
  await file.write([bytes], 0);
  await file.close();
};

/** Every file with its bytes. */
const contents = async (fs: MemoryFileSystem): Promise<Record<string, string>> => {
  const found: Record<string, string> = {};
  for (const name of await fs.readdir(DIR)) {
    const stat = await fs.stat(`${DIR}/${name}`);
    found[name] = stat?.kind === 'file' ? Buffer.from(await readWhole(fs, `${DIR}/${name}`)).toString('hex') : 'dir';
  }
  return found;
};

const filled = async (): Promise<MemoryFileSystem> => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  for (let i = 0; i < 300; i++) await db.put(`key${i}`, `value${i}`);
  await db.flush();
  await db.put('last', 'one');
  await db.close();
  return fs;
};

test('a missing directory is created, with createIfMissing: false it is refused', async () => {
  const fs = new MemoryFileSystem();
  await expect(open(fs, { createIfMissing: false })).rejects.toEqual(refusal('LSM_NOT_FOUND'));
  expect(await fs.stat(DIR)).toBeUndefined();
  await (await open(fs)).close();
  await expect(open(fs, { errorIfExists: true })).rejects.toEqual(refusal('LSM_EXISTS'));
  await (await open(fs, { createIfMissing: false })).close();
});

test('a database that another process creates before the lock is taken is opened, or refused if it must not be there', async () => {
  for (const errorIfExists of [false, true]) {
    const fs = new MemoryFileSystem();
    const lock = fs.lock.bind(fs);
    fs.lock = async (path) => {
      fs.lock = lock;
      const other = await open(fs);
      await other.put('key', 'value');
      await other.close();
      return lock(path);
    };
    const opening = open(fs, { errorIfExists });
    if (errorIfExists) await expect(opening).rejects.toEqual(refusal('LSM_EXISTS'));
    const db = errorIfExists ? await open(fs) : await opening;
    expect(text(db.getSync('key')!)).toBe('value');
    await db.close();
  }
});

test('a directory with other files is refused and nothing in it is touched', async () => {
  const fs = new MemoryFileSystem();
  await fs.mkdir(DIR);
  await writeFile(fs, `${DIR}/holiday.jpg`, new Uint8Array([1, 2, 3]));
  const before = await contents(fs);
  await expect(open(fs)).rejects.toEqual(refusal('LSM_NOT_A_DATABASE'));
  expect(await contents(fs)).toEqual(before);
});

test('a file where the directory should be is refused', async () => {
  const fs = new MemoryFileSystem();
  await fs.mkdir('/data');
  await writeFile(fs, DIR, new Uint8Array(3));
  await expect(open(fs)).rejects.toEqual(refusal('LSM_NOT_A_DATABASE'));
});

test('a newer format is refused and nothing in it is touched', async () => {
  const fs = await filled();
  const { crc32c } = await import('nori-io');
  const lines = new TextEncoder().encode('nori-lsm 9\nMANIFEST-000001\n');
  const sum = crc32c(lines).toString(16).padStart(8, '0');
  await writeFile(fs, `${DIR}/CURRENT`, new TextEncoder().encode(`nori-lsm 9\nMANIFEST-000001\n${sum}\n`));
  const before = await contents(fs);
  await expect(open(fs)).rejects.toEqual(refusal('LSM_UNSUPPORTED_VERSION'));
  expect(await contents(fs)).toEqual(before);
});

test('a damaged or missing CURRENT is corruption that names the file', async () => {
  const fs = await filled();
  await writeFile(fs, `${DIR}/CURRENT`, new TextEncoder().encode('nori-lsm 1\nMANIFEST-000001\n00000000\n'));
  await expect(open(fs)).rejects.toEqual(
    expect.objectContaining({ code: 'LSM_CORRUPT_MANIFEST', file: `${DIR}/CURRENT`, offset: 0 }),
  );
  await fs.unlink(`${DIR}/CURRENT`);
  await fs.unlink(`${DIR}/LOCK`).catch(() => {});
  await expect(open(fs)).rejects.toEqual(refusal('LSM_CORRUPT_MANIFEST'));
});

test('a missing table is named', async () => {
  const fs = await filled();
  const table = (await fs.readdir(DIR)).find((name) => name.endsWith('.sst'))!;
  await fs.unlink(`${DIR}/${table}`);
  await expect(open(fs)).rejects.toEqual(
    expect.objectContaining({ code: 'LSM_MISSING_TABLE', file: `${DIR}/${table}` }),
  );
});

test('a second opener is refused while the first has the lock, and by its release let in', async () => {
  const fs = new MemoryFileSystem();
  const first = await open(fs);
  await expect(open(fs)).rejects.toEqual(refusal('LSM_LOCKED'));
  await expect(open(fs)).rejects.toThrow(/in use by process/);
  await first.close();
  await (await open(fs)).close();
});

test('orphans of a crash are removed, and other numbers are used', async () => {
  const fs = await filled();
  await writeFile(fs, `${DIR}/999999.sst`, new Uint8Array(10));
  await writeFile(fs, `${DIR}/MANIFEST-000777`, new Uint8Array(10));
  const db = await open(fs);
  expect(await fs.readdir(DIR)).not.toContain('999999.sst');
  expect(await fs.readdir(DIR)).not.toContain('MANIFEST-000777');
  expect(text(db.getSync('last'))).toBe('one');
  await db.close();
});

test('the mode of the log cannot change', async () => {
  const fs = await filled();
  await expect(open(fs, { wal: false })).rejects.toEqual(refusal('LSM_INVALID_OPTIONS'));
  expect(text((await open(fs)).getSync('last'))).toBe('one');
});

test('a lost log is noticed', async () => {
  const fs = await filled();
  for (const name of await fs.readdir(`${DIR}/wal`)) await fs.unlink(`${DIR}/wal/${name}`);
  // A table that no version lists may hold what is missing: it is there for whoever looks into it.
  await writeFile(fs, `${DIR}/999999.sst`, new Uint8Array(10));
  await expect(open(fs)).rejects.toEqual(refusal('LSM_CORRUPT_LOG'));
  expect(await fs.readdir(DIR)).toContain('999999.sst');
});

test('a log that is refused after many of its records were read stays as it is, and nothing of it is in tables', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs, { memtableBytes: 1 << 20 });
  for (let i = 0; i < 2000; i++) await db.put(`key${i}`, `value${i}`, { durability: i % 500 === 499 ? 'sync' : 'os' });
  const killed = fs.kill();
  const [name] = await fs.readdir(`${DIR}/wal`);
  const bytes = await readWhole(killed, `${DIR}/wal/${name}`);
  bytes[Buffer.from(bytes).indexOf('value1200')]! ^= 1;
  await writeFile(killed, `${DIR}/wal/${name}`, bytes);
  // Memtables this small are full, and could be flushed, long before the damage is found.
  await expect(open(killed)).rejects.toEqual(refusal('LSM_CORRUPT_LOG'));
  expect((await killed.readdir(DIR)).filter((file) => file.endsWith('.sst'))).toEqual([]);
  expect(Buffer.compare(await readWhole(killed, `${DIR}/wal/${name}`), bytes)).toBe(0);
  await db.close();
});

test('options out of range are refused by name', async () => {
  const fs = new MemoryFileSystem();
  await expect(open(fs, { memtablesMax: 1 })).rejects.toThrow(/memtablesMax must be an integer from 2 to 64, not 1/);
  await expect(open(fs, { durability: 'never' as never })).rejects.toThrow(/durability must be one of/);
  await expect(open(fs, { wal: false, durability: 'sync' })).rejects.toThrow(/only be none/);
  await expect(Lsm.open({ dir: '' })).rejects.toEqual(refusal('LSM_INVALID_OPTIONS'));
});

test('creation may be interrupted at any moment and is then done again', async () => {
  for (let at = 0; at < 60; at++) {
    const fs = new MemoryFileSystem();
    let left = at;
    let crashed: MemoryFileSystem | undefined;
    fs.onOperation = () => {
      if (left-- === 0) crashed = fs.crash(new Rng(at));
    };
    const db = await open(fs);
    await db.close();
    if (crashed === undefined) break;
    const again = await open(crashed);
    await again.put('a', 'b');
    await again.close();
  }
});

test('after an unclean stop on a full disk it opens and reads, and writes come back with the space', async () => {
  for (const wal of [true, false]) {
    const fs = new MemoryFileSystem();
    const options = { dir: DIR, wal, memtableBytes: 8192, l0Trigger: 2 };
    const db = await Lsm.open({ ...options, fs });
    for (let i = 0; i < 200; i++) await db.put(`key${i}`, 'v'.repeat(100));
    await db.flush();
    await db.put('last', 'v');
    const killed = fs.kill();
    await db.close();
    // A table that a task had begun, and that no manifest lists.
    await (await killed.open(`${DIR}/099999.sst`, 'create')).close();
    killed.capacityBytes = 0;
    for (let i = 0; i < 2; i++) {
      const again = await Lsm.open({ ...options, fs: killed });
      for (let j = 0; j < 200; j += 7) expect(text(again.getSync(`key${j}`))).toBe('v'.repeat(100));
      expect(again.getSync('last') === undefined).toBe(!wal);
      expect((await again.verify()).problems).toEqual([]);
      expect(await killed.stat(`${DIR}/099999.sst`)).toBeUndefined();
      if (wal) await expect(again.put('more', 'v')).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
      await again.close();
    }
    const again = await Lsm.open({ ...options, fs: killed });
    killed.capacityBytes = Number.POSITIVE_INFINITY;
    for (let isBack = false; !isBack; ) {
      isBack = await again.put('more', 'v').then(
        () => true,
        () => false,
      );
    }
    await again.flush();
    await again.close();
    const last = await Lsm.open({ ...options, fs: killed });
    expect(text(last.getSync('more'))).toBe('v');
    expect(text(last.getSync('key0'))).toBe('v'.repeat(100));
    await last.close();
  }
});

test('a table whose removal may not be durable yet stays until it is', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs, wal: false, autoCompact: false });
  for (const value of ['1', '2']) {
    await db.put('a', value);
    await db.flush();
  }
  // The unclean stop comes when the manifest has dropped the tables of L0, and before they are removed.
  const removed = fs.inject({ on: 'unlink', path: '.sst', times: Number.POSITIVE_INFINITY });
  await db.compact();
  const killed = fs.kill();
  removed.remove();
  await db.close();
  killed.capacityBytes = 0;
  const tables = async (): Promise<number> =>
    (await killed.readdir(DIR)).filter((name) => name.endsWith('.sst')).length;
  const again = await Lsm.open({ dir: DIR, fs: killed, wal: false });
  expect(text(again.getSync('a'))).toBe('2');
  expect(await tables()).toBe(3);
  await again.close();
  killed.capacityBytes = Number.POSITIVE_INFINITY;
  const last = await Lsm.open({ dir: DIR, fs: killed, wal: false });
  expect(await tables()).toBe(1);
  await last.close();
});

/** Lists all tables of one level in another, as an earlier version would have. */
const relist = async (fs: MemoryFileSystem, from: number, to: number): Promise<void> => {
  const seen = await inspectDirectory(fs, DIR);
  if (seen.kind !== 'database') throw new Error('no database');
  const manifest = await Manifest.open(fs, DIR, seen.manifest);
  const metas = [...manifest.state.levels[from]!.values()];
  await manifest.append({
    removed: metas.map(({ number }) => ({ level: from, number })),
    added: metas.map((meta) => ({ level: to, meta })),
  });
  await manifest.close();
};

test('a tree that an earlier version filled from the top opens as it is and sinks to the last levels', async () => {
  const fs = new MemoryFileSystem();
  const options = { tableBytes: 4096, levelBytesBase: 16_384, wal: false };
  const write = async (value: string, step: number): Promise<void> => {
    const db = await open(fs, { ...options, autoCompact: false, memtableBytes: 1 << 20 });
    for (let i = 0; i < 1000; i += step) await db.put(`key${i}`, value.repeat(50));
    await db.flush();
    if (step === 1) await db.compact();
    await db.close();
  };
  await write('old', 1);
  await relist(fs, 6, 2);
  await write('new', 3);
  await relist(fs, 0, 1);
  const db = await open(fs, options);
  expect(text(db.getSync('key3'))).toBe('new'.repeat(50));
  const settled = (): boolean =>
    db.stats().levels.every(({ tables, score }, i) => score < 1 && (tables === 0 || i > 3));
  while (!settled()) await new Promise((resolve) => setImmediate(resolve));
  expect(db.stats().levels[6]!.tables).toBeGreaterThan(5);
  expect(db.stats().movedTables).toBeGreaterThan(1);
  for (let i = 0; i < 1000; i++) expect(text(db.getSync(`key${i}`))).toBe((i % 3 === 0 ? 'new' : 'old').repeat(50));
  expect((await db.verify()).problems).toEqual([]);
  await db.close();
});
