// Repair: random damage of random files, and each kind of damage by itself. Whatever is damaged, the database opens afterwards and is
// sound, shows nothing that was never written, and has lost nothing of the files that were not damaged; nothing is deleted;
// a second repair finds nothing; a crash in the middle changes none of that.
//
//   NORI_ROUNDS=5000 npx vitest run packages/nori-lsm/test/repair.test.ts
import { crc32c } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { Lsm, LsmError, type LsmOptions } from '../src/index.js';
import { type RepairReport, repair } from '../src/repair.js';
import { bytesOf, DIR, namesOf, overwrite } from './faults-support.js';
import {
  checkKept,
  checkNothingDeleted,
  damage,
  filesBelow,
  mustBeKept,
  openAndCheck,
  randomDatabase,
  settled,
} from './repair-support.js';
import { text, utf8, withSeed } from './support.js';

const ROUNDS = Number(process.env.NORI_ROUNDS ?? 60);
const CRASH_ROUNDS = Math.ceil(ROUNDS / 12);

/** The report, or undefined if nothing was left that shows that it was a database. */
const repaired = async (fs: MemoryFileSystem): Promise<RepairReport | undefined> => {
  try {
    return await repair({ dir: DIR, fs });
  } catch (error) {
    if (error instanceof LsmError && /^LSM_(NOT_A_DATABASE|NOT_FOUND)$/.test(error.code)) return undefined;
    throw error;
  }
};

const oneRound = async (seed: number): Promise<RepairReport | undefined> => {
  const rng = new Rng(seed);
  const { fs: before, history } = await randomDatabase(rng);
  const fs = settled(before);
  const files = new Map<string, string>();
  for (let i = rng.pick([1, 1, 2, 4]); i > 0; i--) files.set(...(await damage(fs, rng)));
  const damaged = settled(fs);
  try {
    const report = await repaired(fs);
    if (report === undefined) {
      expect(files.size).toBeGreaterThan(1);
      return undefined;
    }
    await checkNothingDeleted(damaged, fs);
    const kept = await mustBeKept(before, new Set(files.keys()), history);
    const again = await repair({ dir: DIR, fs });
    expect(again.problems).toEqual([]);
    await openAndCheck(fs, (db) => checkKept(fs, db, history, kept, { files: new Set(files.keys()), report }));
    return report;
  } catch (error) {
    const what = [...files].map(([file, how]) => `${file}: ${how}`).join(', ');
    throw new Error(`with damage to ${what}`, { cause: error });
  }
};

test(`whatever is damaged, what was not is there after a repair (${ROUNDS} rounds)`, {
  timeout: 60_000 + ROUNDS * 500,
}, async () => {
  const first = seedFromEnv();
  const root = new Rng(first);
  const count = { rebuilt: 0, mended: 0, rewritten: 0, givenUp: 0, missing: 0, log: 0, clean: 0, refused: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const seed = round === 0 ? first : root.uint32();
    await withSeed(seed, async () => {
      const report = await oneRound(seed);
      if (report === undefined) count.refused++;
      else if (!report.damaged) count.clean++;
      if (report?.manifest === 'rebuilt') count.rebuilt++;
      if (report?.manifest === 'current-mended') count.mended++;
      if (report?.log.outcome === 'salvaged') count.log++;
      for (const { outcome } of report?.tables ?? []) {
        if (outcome === 'rewritten') count.rewritten++;
        else if (outcome === 'given-up') count.givenUp++;
        else count.missing++;
      }
    });
    if (process.env.NORI_SEED !== undefined) return;
  }
  // The long form did all that matters.
  if (ROUNDS < 1000) return;
  const { refused, ...others } = count;
  expect(refused).toBeLessThan(ROUNDS / 10);
  for (const [name, times] of Object.entries(others)) expect([name, times > 0]).toEqual([name, true]);
});

const tryToOpen = async (fs: MemoryFileSystem): Promise<void> => {
  try {
    await (await Lsm.open({ dir: DIR, fs, autoCompact: false })).close();
  } catch (error) {
    if (!(error instanceof LsmError)) throw error;
  }
};

/** A crash before every operation of a repair; each is repaired again, some after a try to open. */
const crashEverywhere = async (seed: number): Promise<number> => {
  const rng = new Rng(seed);
  const { fs } = await randomDatabase(rng);
  const what: string[] = [];
  for (let i = rng.pick([1, 2, 3]); i > 0; i--) what.push((await damage(fs, rng)).join(': '));
  const damaged = settled(fs);
  const whole = settled(damaged);
  if ((await repaired(whole)) === undefined) return 0;
  const expected = await openAndCheck(settled(whole));

  const crashes: { readonly at: string; readonly fs: MemoryFileSystem }[] = [];
  const running = settled(damaged);
  running.onOperation = ({ index, kind, path }) => {
    if (crashes.length < 200) crashes.push({ at: `${index} ${kind} ${path}`, fs: running.crash(rng) });
  };
  await repair({ dir: DIR, fs: running });
  for (const crash of crashes) {
    try {
      const wasTried = rng.chance(0.3);
      if (wasTried) await tryToOpen(crash.fs);
      await repair({ dir: DIR, fs: crash.fs });
      // Opening, even if it is refused in the end, may settle the manifest and remove leftovers, as always.
      if (!wasTried) await checkNothingDeleted(damaged, crash.fs);
      expect(await openAndCheck(crash.fs)).toEqual(expected);
    } catch (error) {
      throw new Error(`crash before ${crash.at}, damage to ${what.join(', ')}`, { cause: error });
    }
  }
  return crashes.length;
};

test('a crash in the middle of a repair loses nothing more', { timeout: 120_000 + CRASH_ROUNDS * 20_000 }, async () => {
  const first = seedFromEnv();
  const root = new Rng(first);
  let crashes = 0;
  for (let round = 0; round < CRASH_ROUNDS; round++) {
    const seed = round === 0 ? first : root.uint32();
    await withSeed(seed, async () => {
      crashes += await crashEverywhere(seed);
    });
    if (process.env.NORI_SEED !== undefined) return;
  }
  expect(crashes).toBeGreaterThan(CRASH_ROUNDS * 5);
});

test('a sound database is not touched', async () => {
  const { fs } = await randomDatabase(new Rng(1));
  const before = await filesBelow(fs, DIR);
  const report = await repair({ dir: DIR, fs });
  expect(report).toMatchObject({ damaged: false, problems: [], lostDir: undefined, manifest: 'kept', tables: [] });
  expect(await filesBelow(fs, DIR)).toEqual(before);
});

/** A database with three tables in L0, of keys 00 to 29, 30 to 59, 60 to 89, each written in its own flush. */
const threeTables = async (options: Partial<LsmOptions> = {}): Promise<MemoryFileSystem> => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs, autoCompact: false, blockBytes: 256, ...options });
  for (let table = 0; table < 3; table++) {
    for (let i = 0; i < 30; i++)
      await db.put(`k${String(table * 30 + i).padStart(2, '0')}`, `${table} ${'x'.repeat(40)}`);
    await db.flush();
  }
  await db.close();
  return settled(fs);
};

const keysIn = async (fs: MemoryFileSystem, options: Partial<LsmOptions> = {}): Promise<string[]> => {
  const db = await Lsm.open({ dir: DIR, fs, ...options });
  const keys = Array.from(db.scanSync(), ([key]) => text(key)!);
  expect((await db.verify()).problems).toEqual([]);
  await db.close();
  return keys;
};

const change = async (fs: MemoryFileSystem, file: string, edit: (bytes: Uint8Array) => void): Promise<void> => {
  const bytes = (await bytesOf(fs, file)).slice();
  edit(bytes);
  await overwrite(fs, `${DIR}/${file}`, bytes);
};

/** Without a log of its own nothing comes back from there. */
const NO_LOG: Partial<LsmOptions> = { wal: false, collectMarks: () => [[1, utf8('mark')]] };

test('a damaged block costs its entries alone, and the report names their keys', async () => {
  const fs = await threeTables(NO_LOG);
  const [, table] = await namesOf(fs, /\.sst$/);
  await change(fs, table!, (bytes) => void (bytes[300]! ^= 1));
  const report = await repair({ dir: DIR, fs });
  expect(report).toMatchObject({ damaged: true, manifest: 'kept', tablesSound: 2, lostDir: `${DIR}/lost/001` });
  const [found] = report.tables;
  expect(found).toMatchObject({ file: table, level: 0, outcome: 'rewritten', blocksLost: 1 });
  expect(found!.problems[0]).toMatchObject({ code: 'LSM_CORRUPT_TABLE', file: `${DIR}/${table}` });
  expect(found!.problems[0]!.offset).toBeGreaterThan(0);
  expect(found!.entriesKept + found!.entriesLost!).toBe(30);
  const keys = await keysIn(fs, { wal: false });
  expect(keys.length).toBe(90 - found!.entriesLost!);
  const [range] = found!.lost;
  const [from, to] = [text(range!.from)!, text(range!.to)!];
  for (let i = 0; i < 90; i++) {
    const key = `k${String(i).padStart(2, '0')}`;
    if (!keys.includes(key)) expect([key, from <= key && key <= to]).toEqual([key, true]);
  }
  expect(report.notes.some((note) => note.includes('marks'))).toBe(true);
  const db = await Lsm.open({ dir: DIR, fs, wal: false });
  expect(text(db.durableMarks().get(1))).toBe('mark');
  await db.close();
});

test('damaged filters and properties cost nothing', async () => {
  const fs = await threeTables(NO_LOG);
  const [first, second] = await namesOf(fs, /\.sst$/);
  // The footer says where they are: index, properties, filter.
  const offsetAt = (bytes: Uint8Array, at: number): number =>
    new DataView(bytes.buffer).getUint32(bytes.length - 96 + at, true);
  await change(fs, first!, (bytes) => void (bytes[offsetAt(bytes, 24)]! ^= 1));
  await change(fs, second!, (bytes) => void (bytes[offsetAt(bytes, 12)]! ^= 1));
  const { tables } = await repair({ dir: DIR, fs });
  expect(tables.map(({ outcome, entriesKept, entriesLost }) => [outcome, entriesKept, entriesLost])).toEqual([
    ['rewritten', 30, 0],
    ['rewritten', 30, 0],
  ]);
  expect((await keysIn(fs, { wal: false })).length).toBe(90);
});

test('tables that are missing or unreadable are given up, the others stay', async () => {
  const fs = await threeTables(NO_LOG);
  const [first, second] = (await namesOf(fs, /\.sst$/)) as [string, string];
  await fs.unlink(`${DIR}/${first}`);
  await overwrite(fs, `${DIR}/${second}`, utf8('nothing'));
  const report = await repair({ dir: DIR, fs });
  expect(report.tables.map(({ file, outcome }) => [file, outcome])).toEqual([
    [first, 'missing'],
    [second, 'given-up'],
  ]);
  expect(text(report.tables[0]!.lost[0]!.to)).toBe('k29');
  expect(report.moved).toContain(second);
  expect((await keysIn(fs, { wal: false })).length).toBe(30);
});

test('what tables have lost comes back from the log, if that still has it', async () => {
  const fs = await threeTables();
  for (const file of await namesOf(fs, /\.sst$/)) await overwrite(fs, `${DIR}/${file}`, utf8('nothing'));
  const report = await repair({ dir: DIR, fs });
  expect(report.log).toMatchObject({ outcome: 'kept', operationsKept: 90 });
  expect((await keysIn(fs)).length).toBe(90);
});

test('nothing is lost with CURRENT', async () => {
  for (const what of ['remove', 'noise'] as const) {
    const fs = await threeTables(NO_LOG);
    if (what === 'remove') await fs.unlink(`${DIR}/CURRENT`);
    else await overwrite(fs, `${DIR}/CURRENT`, new Uint8Array([1, 2, 3, 4]));
    expect(await repair({ dir: DIR, fs })).toMatchObject({ manifest: 'current-mended', tables: [] });
    expect((await keysIn(fs, { wal: false })).length).toBe(90);
  }
});

test('without a manifest all tables are merged by their sequence numbers', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs, autoCompact: false });
  await db.batch([1, 2, 3, 4].map((n) => ({ type: 'put', key: `k${n}`, value: 'old' })));
  await db.compact();
  await db.batch([
    { type: 'put', key: 'k2', value: 'new' },
    { type: 'delete', key: 'k3' },
  ]);
  await db.flush();
  await db.put('k4', 'in the log', { ttlMs: 1e9 });
  await db.close();
  const [manifest] = await namesOf(fs, /^MANIFEST/);
  await fs.unlink(`${DIR}/${manifest}`);
  const report = await repair({ dir: DIR, fs });
  expect(report.manifest).toBe('rebuilt');
  expect(report.notes.some((note) => note.includes('What only the manifest knew is lost'))).toBe(true);
  const again = await Lsm.open({ dir: DIR, fs });
  const entries = Array.from(again.scanSync(), ([key, value]) => `${text(key)} ${text(value)}`);
  expect(entries).toEqual(['k1 old', 'k2 new', 'k4 in the log']);
  expect(again.getEntry(utf8('k4'))!.expiresAtMs).toBeGreaterThan(0);
  await again.close();
});

test('records behind the damage of a log are kept', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs });
  for (let i = 0; i < 50; i++) await db.put(`k${String(i).padStart(2, '0')}`, `value ${i} ${'x'.repeat(100)}`);
  await db.close();
  const [log] = await namesOf(fs, /\.wal$/);
  await change(fs, log!, (bytes) => void (bytes[Buffer.from(bytes).indexOf('value 20')]! ^= 1));
  await expect(Lsm.open({ dir: DIR, fs })).rejects.toMatchObject({ code: 'LSM_CORRUPT_LOG' });
  const report = await repair({ dir: DIR, fs });
  expect(report.log).toMatchObject({ outcome: 'salvaged', operationsKept: 49, operationsMissing: 1 });
  expect(report.log.problems[0]).toMatchObject({ code: 'LSM_CORRUPT_LOG', file: `${DIR}/${log}` });
  expect(report.moved).toContain(log);
  const keys = await keysIn(fs);
  expect([keys.length, keys.includes('k20')]).toEqual([49, false]);
});

test('each repair has a folder of its own', async () => {
  const fs = await threeTables(NO_LOG);
  for (const number of ['001', '002']) {
    const [table] = await namesOf(fs, /^\d+\.sst$/);
    await change(fs, table!, (bytes) => void (bytes[10]! ^= 1));
    expect((await repair({ dir: DIR, fs })).lostDir).toBe(`${DIR}/lost/${number}`);
  }
});

test('what is no database, or of a later version, or in use, is refused and not changed', async () => {
  const refuses = async (fs: MemoryFileSystem, code: string): Promise<void> => {
    const before = await filesBelow(fs, DIR).catch(() => []);
    await expect(repair({ dir: DIR, fs })).rejects.toMatchObject({ code });
    expect(await filesBelow(fs, DIR).catch(() => [])).toEqual(before);
  };
  await refuses(new MemoryFileSystem(), 'LSM_NOT_FOUND');
  const foreign = new MemoryFileSystem();
  await foreign.mkdir(DIR);
  await refuses(foreign, 'LSM_NOT_FOUND');
  const files = {
    CURRENT: 'MANIFEST-000005\n',
    'MANIFEST-000005': 'of another program',
    '000007.sst': 'a table of that',
  };
  for (const [name, content] of Object.entries({ ...files, '000009.log': '', IDENTITY: 'x' })) {
    const file = await foreign.open(`${DIR}/${name}`, 'create');
    await file.write([utf8(content)], 0);
    await file.close();
  }
  await refuses(foreign, 'LSM_NOT_A_DATABASE');
  const later = await threeTables();
  const lines = 'nori-lsm 2\nMANIFEST-000001\n';
  await overwrite(later, `${DIR}/CURRENT`, utf8(`${lines}${crc32c(utf8(lines)).toString(16).padStart(8, '0')}\n`));
  await refuses(later, 'LSM_UNSUPPORTED_VERSION');
  const used = await threeTables();
  const db = await Lsm.open({ dir: DIR, fs: used });
  await refuses(used, 'LSM_LOCKED');
  await db.close();
});

test('a full disk ends a repair, which goes on when there is space', async () => {
  for (let after = 0; after < 12; after++) {
    const fs = await threeTables(NO_LOG);
    const [table] = await namesOf(fs, /\.sst$/);
    await change(fs, table!, (bytes) => void (bytes[10]! ^= 1));
    const fault = fs.inject({ on: ['write', 'create'], after, code: 'IO_NO_SPACE', times: Number.POSITIVE_INFINITY });
    const first = await repair({ dir: DIR, fs }).catch((error: LsmError) => error.code);
    fault.remove();
    if (typeof first === 'string') {
      expect(first).toBe('LSM_NO_SPACE');
      expect((await repair({ dir: DIR, fs })).tables[0]).toMatchObject({ outcome: 'rewritten' });
    }
    expect((await keysIn(fs, { wal: false })).length).toBeGreaterThan(80);
  }
});

test('a directory with nothing but what repairs have left is not taken for an empty one', async () => {
  const fs = new MemoryFileSystem();
  await fs.mkdir(`${DIR}/lost/001`);
  await expect(Lsm.open({ dir: DIR, fs })).rejects.toMatchObject({ code: 'LSM_CORRUPT_MANIFEST' });
  await expect(repair({ dir: DIR, fs })).rejects.toMatchObject({ code: 'LSM_NOT_A_DATABASE' });
});

test('a manifest from before the first flush is not believed when the log begins later', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs, walSegmentBytesMax: 4096, autoCompact: false });
  const [name] = await namesOf(fs, /^MANIFEST/);
  const before = (await bytesOf(fs, name!)).slice();
  for (let n = 0; n < 40; n++) await db.put(`k${n}`, 'v'.repeat(500));
  await db.flush();
  for (let n = 40; n < 50; n++) await db.put(`k${n}`, 'later');
  await db.close();
  await overwrite(fs, `${DIR}/${name}`, before);
  const report = await repair({ dir: DIR, fs });
  expect(report.manifest).toBe('rebuilt');
  const again = await Lsm.open({ dir: DIR, fs });
  expect([...again.scanSync()]).toHaveLength(50);
  await again.close();
});

test('a manifest that has lost its last records is made anew of the tables that are there', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs, ...NO_LOG, autoCompact: false });
  for (const value of ['one', 'two']) {
    await db.batch([1, 2, 3].map((n) => ({ type: 'put', key: `k${n}`, value })));
    await db.flush();
  }
  const [name] = await namesOf(fs, /^MANIFEST/);
  const before = (await bytesOf(fs, name!)).slice();
  await db.compact();
  await db.put('k4', 'three');
  await db.flush();
  await db.close();
  await overwrite(fs, `${DIR}/${name}`, before);
  const report = await repair({ dir: DIR, fs });
  expect(report).toMatchObject({ manifest: 'rebuilt', tables: [] });
  expect(report.notes.some((note) => note.includes('lists tables that are not there'))).toBe(true);
  const again = await Lsm.open({ dir: DIR, fs, wal: false });
  expect(Array.from(again.scanSync(), ([, value]) => text(value))).toEqual(['two', 'two', 'two', 'three']);
  // The marks are those that the older manifest had: its owner replays more than it must.
  expect(again.durableMarks().size).toBe(1);
  await again.close();
});
