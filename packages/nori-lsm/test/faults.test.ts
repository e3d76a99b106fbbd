// Every fault a disk can show, injected, and the right answer to it: one block for each.
//
// | fault | answer |
// |---|---|
// | torn tail of the log | cut at the first bad record |
// | corruption below what was synced | refused, with file and offset |
// | lost directory entry | every create and rename is followed by a sync of its directory |
// | torn CURRENT | cannot happen; refused if it does |
// | bit flip | noticed wherever it is, with the file; never a wrong value |
// | no space | writes fail, reads go on, writes resume by themselves |
// | failed fsync | never tried again on the same file; a failed log takes no writes until it is opened again |
// | slow disk | an event and a metric |
// | two processes on one directory | the second is refused and told who the first is; a dead one's lock is taken over |
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type FaultRule, MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../src/errors.js';
import { Lsm, LsmError } from '../src/index.js';
import {
  bytesOf,
  crashWithout,
  DIR,
  difference,
  entriesOf,
  FOREVER,
  namesOf,
  open,
  overwrite,
  untilDone,
  withoutDirectorySync,
} from './faults-support.js';
import { TestClock, text } from './support.js';

const numbered = (count: number, from = 0): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`key${from + i}`, `value ${from + i}`]));

const putAll = async (db: Lsm, entries: Record<string, string>): Promise<void> => {
  for (const [key, value] of Object.entries(entries)) await db.put(key, value, { durability: 'sync' });
};

const lastLogFile = async (fs: MemoryFileSystem): Promise<string> => (await namesOf(fs, /\.wal$/)).sort().at(-1)!;

describe('torn tail of the log', () => {
  test('is cut off, wherever in the last record it tore', async () => {
    const fs = new MemoryFileSystem();
    const db = await open(fs);
    await putAll(db, numbered(5));
    const name = await lastLogFile(fs);
    const before = await bytesOf(fs, name);
    await db.put('torn', 'x'.repeat(200), { durability: 'os' });
    const after = await bytesOf(fs, name);
    const { from, to } = difference(before, after);
    expect(to - from).toBeGreaterThan(200);
    for (let cut = from; cut < to; cut += 3) {
      const killed = fs.kill();
      const torn = after.slice(0, Math.max(before.length, cut));
      torn.fill(0, cut);
      await overwrite(killed, `${DIR}/${name}`, torn);
      const again = await open(killed);
      expect(entriesOf(again)).toEqual(numbered(5));
      await again.put('goes', 'on');
      await again.close();
    }
    await db.close();
  });
});

describe('corruption below what was synced', () => {
  for (const where of ['the same file', 'an older file'] as const) {
    test(`of the log, in ${where}, refuses to open, with file and offset`, async () => {
      const fs = new MemoryFileSystem();
      const db = await open(fs, { memtableBytes: 1 << 20 });
      await putAll(db, numbered(3));
      const name = await lastLogFile(fs);
      const before = await bytesOf(fs, name);
      await db.put('damaged', 'y'.repeat(100), { durability: 'sync' });
      const { from, to } = difference(before, await bytesOf(fs, name));
      await putAll(db, numbered(where === 'the same file' ? 3 : 200, 100));
      expect((await namesOf(fs, /\.wal$/)).length > 1).toBe(where === 'an older file');
      const bytes = await bytesOf(fs, name);
      for (let at = from; at < to; at += 5) {
        const killed = fs.kill();
        const damaged = bytes.slice();
        damaged[at]! ^= 0x40;
        await overwrite(killed, `${DIR}/${name}`, damaged);
        const error = await open(killed).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        expect(error).toBeInstanceOf(LsmError);
        expect(error).toMatchObject({ code: 'LSM_CORRUPT_LOG', file: `${DIR}/${name}` });
        expect((error as LsmError).offset).toBeGreaterThan(0);
        // Nothing was changed by the refusal.
        expect(Buffer.compare(await bytesOf(killed, name), damaged)).toBe(0);
      }
      await db.close();
    });
  }
});

describe('lost directory entry', () => {
  /** Writes, flushes, rotates; everything in it is acknowledged as durable. */
  const load = async (fs: Parameters<typeof open>[0], flushes = true): Promise<void> => {
    const db = await open(fs, { autoCompact: false, ...(flushes ? {} : { memtableBytes: 1 << 20 }) });
    await putAll(db, numbered(60));
    if (flushes) await db.flush();
    await putAll(db, numbered(60, 60));
    await db.close();
  };
  const holdsAll = async (fs: MemoryFileSystem): Promise<boolean> => {
    try {
      const db = await open(fs);
      const found = entriesOf(db);
      await db.close();
      return JSON.stringify(Object.entries(found).sort()) === JSON.stringify(Object.entries(numbered(120)).sort());
    } catch (error) {
      expect(error).toBeInstanceOf(LsmError);
      return false;
    }
  };

  test('with every sync of a directory, nothing is lost', async () => {
    const fs = new MemoryFileSystem();
    await load(fs);
    expect(await holdsAll(crashWithout(fs))).toBe(true);
  });

  for (const [what, name] of [
    ['the directory above', /^\/data$/],
    ['the directory', /^\/data\/db$/],
    ['CURRENT, a rename', /CURRENT$/],
    ['a manifest', /MANIFEST-\d+$/],
    ['the directory of the log', /\/wal$/],
    ['the first file of the log', /0000001\.wal$/],
    ['a later file of the log', /000000[2-9]\.wal$/],
    ['a table', /\.sst$/],
  ] as const) {
    test(`without the sync behind ${what}, a crash would lose it: the sync is needed, and made`, async () => {
      const fs = new MemoryFileSystem();
      const lossy = withoutDirectorySync(fs, name);
      // What is in tables does not need the log any more.
      await load(lossy, !/wal/.test(String(name)));
      expect(lossy.skipped).toBeGreaterThan(0);
      expect(await holdsAll(crashWithout(fs))).toBe(false);
    });
  }
});

describe('lost file', () => {
  for (const [what, pattern, code] of [
    ['a table', /\.sst$/, 'LSM_MISSING_TABLE'],
    ['the manifest', /^MANIFEST/, 'LSM_CORRUPT_MANIFEST'],
    ['CURRENT', /^CURRENT$/, 'LSM_CORRUPT_MANIFEST'],
    ['a file in the middle of the log', /000000[34]\.wal$/, 'LSM_CORRUPT_LOG'],
  ] as const) {
    test(`${what}: refused, by name`, async () => {
      const fs = new MemoryFileSystem();
      const db = await open(fs, { memtableBytes: 1 << 20 });
      await putAll(db, numbered(20));
      await db.flush();
      await putAll(db, numbered(400, 20));
      await db.close();
      const name = (await namesOf(fs, pattern))[0]!;
      await fs.unlink(`${DIR}/${name}`);
      const error = await open(fs).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(LsmError);
      expect(error).toMatchObject({ code });
      expect((error as LsmError).message).toContain(what.startsWith('a file') ? 'wal' : name);
    });
  }
});

describe('torn CURRENT', () => {
  test('is refused, and left as it is, at whatever byte it tore', async () => {
    const fs = new MemoryFileSystem();
    const db = await open(fs);
    await putAll(db, numbered(3));
    await db.close();
    const bytes = await bytesOf(fs, 'CURRENT');
    for (let cut = 0; cut < bytes.length; cut++) {
      for (const torn of [bytes.subarray(0, cut), bytes.slice().fill(0, cut)]) {
        await overwrite(fs, `${DIR}/CURRENT`, torn);
        expect(await open(fs.kill()).then(() => '', codeOf)).toMatch(/^LSM_(CORRUPT_MANIFEST|NOT_A_DATABASE)$/);
        expect((await fs.stat(`${DIR}/CURRENT`))?.sizeBytes).toBe(torn.length);
      }
    }
  });

  test('does not happen: before every operation that replaces it, a crash leaves the one or the other', async () => {
    const fs = new MemoryFileSystem();
    const db = await open(fs);
    await putAll(db, numbered(3));
    const killed = fs.kill();
    await db.close();
    const crashes: MemoryFileSystem[] = [];
    killed.onOperation = () => {
      for (let i = 0; i < 8; i++) crashes.push(killed.crash({ next: () => ((i * 0.37) % 1) * 0.99 }));
    };
    // After a kill the manifest is begun anew, and CURRENT is replaced.
    await (await open(killed)).close();
    expect(killed.stats().operations.rename).toBeGreaterThan(0);
    for (const crashed of crashes) {
      const again = await open(crashed);
      expect(entriesOf(again)).toEqual(numbered(3));
      await again.close();
    }
  });

  test('a half-written CURRENT.tmp is of no account', async () => {
    const fs = new MemoryFileSystem();
    const db = await open(fs);
    await putAll(db, numbered(3));
    await db.close();
    const file = await fs.open(`${DIR}/CURRENT.tmp`, 'create');
    await file.write([Uint8Array.of(110, 111)], 0);
    await file.close();
    const again = await open(fs);
    expect(entriesOf(again)).toEqual(numbered(3));
    await again.close();
  });
});

describe('bit flip', () => {
  for (const [what, pattern, stride] of [
    ['a table', /\.sst$/, 7],
    ['the manifest', /^MANIFEST/, 3],
    ['the log', /\.wal$/, 7],
    ['CURRENT', /^CURRENT$/, 1],
  ] as const) {
    test(`in ${what} gives a typed error or the right values, never a wrong one`, async () => {
      const fs = new MemoryFileSystem();
      const db = await open(fs, { memtableBytes: 16_384 });
      await putAll(db, numbered(40));
      await db.flush();
      await putAll(db, numbered(20, 40));
      await db.close();
      const all = numbered(60);
      const name = (await namesOf(fs, pattern)).at(-1)!;
      const bytes = await bytesOf(fs, name);
      let noticed = 0;
      for (let at = 0; at < bytes.length; at += stride) {
        const killed = fs.kill();
        const damaged = bytes.slice();
        damaged[at]! ^= 1 << (at % 8);
        await overwrite(killed, `${DIR}/${name}`, damaged);
        try {
          const again = await open(killed);
          try {
            if ((await again.verify()).problems.length > 0) noticed++;
            const found = entriesOf(again);
            // Nothing behind the last record proves that it was synced: damaged, it counts as torn.
            if (what === 'the log') delete found.key59;
            expect({ ...found, key59: all.key59 }).toEqual(all);
          } finally {
            await again.close();
          }
        } catch (error) {
          if (!(error instanceof LsmError)) throw error;
          noticed++;
          expect([error.code, error.file]).toEqual([
            expect.stringMatching(/^LSM_(CORRUPT_(TABLE|MANIFEST|LOG)|UNSUPPORTED_VERSION|NOT_A_DATABASE)$/),
            expect.stringMatching(/^\/data\/db/),
          ]);
        }
      }
      expect(noticed).toBeGreaterThan(0);
    });
  }
});

describe('no space', () => {
  const full = (rule: Partial<FaultRule>): FaultRule => ({
    on: ['write', 'create'],
    code: 'IO_NO_SPACE',
    times: FOREVER,
    ...rule,
  });
  for (const [during, path, writtenFraction] of [
    ['a put', /\.wal/, 0],
    ['a put, half-way', /\.wal/, 0.5],
    ['a flush', /\.sst/, 0],
    ['a flush, half-way', /\.sst/, 0.5],
    ['a change of the manifest', /MANIFEST|CURRENT/, 0],
    ['a change of the manifest, half-way', /MANIFEST|CURRENT/, 0.5],
    ['anything', /./, 0.3],
  ] as const) {
    test(`during ${during}: what is not acknowledged fails, reads go on, writes resume by themselves`, async () => {
      const fs = new MemoryFileSystem();
      const db = await open(fs, { l0Trigger: 2, l0Stop: 4 });
      await putAll(db, numbered(100));
      const expected: Record<string, string> = numbered(100);
      const fault = fs.inject(full({ path, writtenFraction }));
      let refusals = 0;
      for (let i = 0; refusals < 5 && i < 2000; i++) {
        await db.put(`more${i}`, 'z'.repeat(50)).then(
          () => {
            expected[`more${i}`] = 'z'.repeat(50);
          },
          (error: unknown) => {
            refusals++;
            expect(error).toMatchObject({ name: 'LsmError', code: 'LSM_NO_SPACE' });
          },
        );
      }
      expect(refusals).toBe(5);
      expect(entriesOf(db)).toEqual(expected);
      expect(text(db.getSync('key7'))).toBe('value 7');
      // What dies now finds all that was acknowledged, once there is space.
      for (const left of [fs.kill(), crashWithout(fs)]) {
        const found = await open(left);
        expect(entriesOf(found)).toEqual(expected);
        await found.close();
      }
      fault.remove();
      await untilDone(() => db.put('after', 'wards'));
      await untilDone(() => db.flush());
      await untilDone(() => db.compact());
      expect(db.backgroundError).toBeUndefined();
      expect(entriesOf(db)).toEqual({ ...expected, after: 'wards' });
      await db.close();
      const again = await open(crashWithout(fs));
      expect(entriesOf(again)).toEqual({ ...expected, after: 'wards' });
      expect((await again.verify()).problems).toEqual([]);
      await again.close();
    });
  }

  test('during a compaction: writes go on until they must wait, and resume by themselves', async () => {
    const fs = new MemoryFileSystem();
    const db = await open(fs, { autoCompact: false });
    for (let round = 0; round < 4; round++) {
      await putAll(db, numbered(50));
      await db.flush();
    }
    const fault = fs.inject(full({ path: '.sst' }));
    await expect(db.compact()).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
    expect(entriesOf(db)).toEqual(numbered(50));
    await db.put('meanwhile', 'written');
    fault.remove();
    await untilDone(() => db.compact());
    expect(entriesOf(db)).toEqual({ ...numbered(50), meanwhile: 'written' });
    await db.close();
  });

  test('during opening: a typed error at whatever operation, and nothing is lost', async () => {
    const fs = new MemoryFileSystem();
    const db = await open(fs);
    await putAll(db, numbered(100));
    const killed = fs.kill();
    await db.close();
    let failures = 0;
    for (let after = 0; after < 30; after++) {
      const each = killed.kill();
      const fault = each.inject(full({ after }));
      const opened = await open(each).catch((error: unknown) => {
        failures++;
        expect(error).toMatchObject({ name: 'LsmError', code: 'LSM_NO_SPACE' });
      });
      fault.remove();
      await opened?.close();
      for (const left of [each.kill(), crashWithout(each)]) {
        const again = await open(left);
        expect(entriesOf(again)).toEqual(numbered(100));
        await again.close();
      }
    }
    expect(failures).toBeGreaterThan(3);
  });
});

describe('failed fsync', () => {
  /** Counts data syncs of each file after the first that failed. */
  const watchSyncs = (fs: MemoryFileSystem, pattern: RegExp): { readonly again: string[] } => {
    const failed = new Set<string>();
    const again: string[] = [];
    fs.onOperation = ({ kind, path }) => {
      if (kind !== 'datasync' || !pattern.test(path)) return;
      if (failed.has(path)) again.push(path);
      failed.add(path);
    };
    return { again };
  };

  test('of the log: nothing more is promised until it is opened again, reads go on, nothing acknowledged is lost', async () => {
    const fs = new MemoryFileSystem();
    const meter = new RecordingMeter();
    const db = await open(fs, { meter });
    await putAll(db, numbered(20));
    fs.inject({ on: 'datasync', path: '.wal' });
    await expect(db.put('lost', 'x')).rejects.toMatchObject({ code: 'LSM_LOG_FAILED' });
    const { again: synced } = watchSyncs(fs, /\.wal$/);
    for (const durability of ['sync', 'batch', 'os'] as const) {
      await expect(db.put('later', 'x', { durability })).rejects.toMatchObject({ code: 'LSM_LOG_FAILED' });
    }
    expect(synced).toEqual([]);
    expect(entriesOf(db)).toEqual(numbered(20));
    expect(meter.events.some(({ type }) => type === 'wal.poisoned')).toBe(true);
    const left = crashWithout(fs);
    const killed = fs.kill();
    await db.close().catch((error: unknown) => expect(error).toBeInstanceOf(LsmError));
    for (const found of [left, killed]) {
      const again = await open(found);
      expect(entriesOf(again)).toMatchObject(numbered(20));
      await again.put('works', 'again');
      // What it found is durable now, though the pages of the old file were lost.
      const after = await open(crashWithout(found));
      expect(entriesOf(after)).toEqual({ ...entriesOf(again) });
      await after.close();
      await again.close();
    }
  });

  for (const [what, pattern] of [
    ['a table', /\.sst$/],
    ['the manifest', /MANIFEST/],
    ['CURRENT', /CURRENT\.tmp$/],
  ] as const) {
    test(`of ${what}: the work is done again in a new file, and nothing acknowledged is lost`, async () => {
      const fs = new MemoryFileSystem();
      const db = await open(fs, { autoCompact: false });
      await putAll(db, numbered(20));
      // CURRENT is only written when the manifest moves.
      if (what === 'CURRENT') fs.inject({ on: 'datasync', path: /MANIFEST/ });
      const fault = fs.inject({ on: 'datasync', path: pattern, times: 2 });
      const synced: string[] = [];
      fs.onOperation = ({ kind, path }) => {
        if (kind === 'datasync' && pattern.test(path)) synced.push(path);
      };
      await untilDone(() => db.flush());
      expect(fault.hits).toBe(2);
      // The two that failed, and others: never the same again (of CURRENT.tmp there is a new file under the old name).
      if (what !== 'CURRENT') expect(new Set(synced).size).toBe(synced.length);
      await putAll(db, numbered(20, 20));
      const left = crashWithout(fs);
      await db.close();
      const again = await open(left);
      expect(entriesOf(again)).toEqual(numbered(40));
      await again.close();
    });
  }

  test('of the directory: the work is done again, and nothing acknowledged is lost', async () => {
    const fs = new MemoryFileSystem();
    const db = await open(fs, { autoCompact: false });
    await putAll(db, numbered(20));
    const fault = fs.inject({ on: 'sync-dir', path: /^\/data\/db$/, times: 2 });
    await untilDone(() => db.flush());
    expect(fault.hits).toBe(2);
    await putAll(db, numbered(20, 20));
    const again = await open(crashWithout(fs));
    expect(entriesOf(again)).toEqual(numbered(40));
    await again.close();
    await db.close();
  });
});

describe('slow disk', () => {
  test('is told by an event and a metric', async () => {
    const fs = new MemoryFileSystem();
    const meter = new RecordingMeter();
    const clock = new TestClock();
    let lateMs = 0;
    clock.monotonic = () => lateMs;
    const db = await open(fs, { meter, clock });
    fs.onOperation = ({ kind }) => {
      if (kind === 'datasync') lateMs += 3000;
    };
    await db.put('a', 'v', { durability: 'sync' });
    const slow = meter.events.filter(({ type }) => type === 'wal.slow_sync');
    expect(slow[0]).toMatchObject({ durationMs: 3000 });
    expect(meter.value('wal_fsync_duration_seconds')).toBeGreaterThanOrEqual(3);
    await db.close();
  });
});

describe('two processes on one directory', () => {
  test('the second is refused and told who the first is; when that is killed, its lock is taken over', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'nori-lsm-lock-'));
    const load = fileURLToPath(new URL('./sigkill-load.mjs', import.meta.url));
    const child = spawn(process.execPath, [load, dir, '0', '1'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.once('close', resolve));
    try {
      const lines = createInterface({ input: child.stdout });
      // The first acknowledgement that survives the process.
      await new Promise<void>((resolve) => lines.on('line', (line) => / [sbo]$/.test(line) && resolve()));
      await expect(Lsm.open({ dir })).rejects.toMatchObject({
        code: 'LSM_LOCKED',
        message: expect.stringContaining(String(child.pid)),
      });
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    try {
      const db = await Lsm.open({ dir });
      expect(text(db.getSync('~counter'))).toBeDefined();
      await db.close();
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

test('a change of the manifest that failed is tried again behind others without being made twice', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await db.put('a', '1');
  const fault = fs.inject({ on: ['write', 'create'], path: 'MANIFEST', times: FOREVER, code: 'IO_NO_SPACE' });
  await db.flush().catch(() => {});
  await expect.poll(() => fault.hits >= 2, { timeout: 10_000 }).toBe(true);
  fault.remove();
  await db.openKeyspace('k');
  await untilDone(() => db.flush());
  expect(db.keyspaces()).toEqual(['k']);
  const left = await open(fs.crash({ next: () => 0 }));
  expect([entriesOf(left), left.keyspaces()]).toEqual([{ a: '1' }, ['k']]);
  await Promise.all([db.close(), left.close()]);
});
