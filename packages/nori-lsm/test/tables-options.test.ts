// Options that reach the tables through tasks: compression, budgets, syncing in steps.
import zlib from 'node:zlib';
import { MemoryFileSystem } from 'nori-io/memory';
import { SSTableReader } from 'nori-sstable';
import { expect, test } from 'vitest';
import { inlineExecutor, Lsm, type LsmOptions, type Task, type TaskExecutor } from '../src/index.js';
import { withSyncSteps } from '../src/sync-steps.js';
import { Throttle } from '../src/throttle.js';
import { JumpingClock, text } from './support.js';

const DIR = '/db';

/** Every table's compression, by level as its properties tell. */
const compressions = async (fs: MemoryFileSystem): Promise<string[]> => {
  const found: string[] = [];
  for (const name of await fs.readdir(DIR)) {
    if (!name.endsWith('.sst')) continue;
    const reader = await SSTableReader.open({ fs, path: `${DIR}/${name}` });
    found.push(`${reader.properties.level} ${reader.properties.compression}`);
    await reader.close();
  }
  return found.sort();
};

const fill = async (options: Partial<LsmOptions>): Promise<{ fs: MemoryFileSystem; bytes: number }> => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs, autoCompact: false, ...options });
  for (let i = 0; i < 300; i++) await db.put(`key${i}`, 'value '.repeat(30), { durability: 'os' });
  await db.flush();
  await db.put('key5', 'new');
  await db.compact();
  await db.put('key1', 'new');
  await db.flush();
  expect(text(db.getSync('key7'))).toBe('value '.repeat(30));
  expect(text(db.getSync('key1'))).toBe('new');
  expect((await db.verify()).problems).toEqual([]);
  const bytes = db.stats().tableBytes;
  await db.close();
  return { fs, bytes };
};

test('tables are compressed as chosen, by level if need be', async () => {
  const plain = await fill({});
  expect(await compressions(plain.fs)).toEqual(['0 none', '6 none']);
  for (const compression of ['lz4', 'deflate'] as const) {
    const { fs, bytes } = await fill({ compression });
    expect(await compressions(fs)).toEqual([`0 ${compression}`, `6 ${compression}`]);
    expect(bytes).toBeLessThan(plain.bytes / 2);
  }
  const { fs } = await fill({ compression: ['none', 'lz4', 'deflate'] });
  expect(await compressions(fs)).toEqual(['0 none', '6 deflate']);
});

test('a compression that is unknown, or that the runtime has not, is refused at open', async () => {
  const fs = new MemoryFileSystem();
  const refused = expect.objectContaining({ code: 'LSM_INVALID_OPTIONS' });
  for (const compression of ['brotli', [], ['none', 'snappy'], new Array(8).fill('lz4')] as never[]) {
    await expect(Lsm.open({ dir: DIR, fs, compression })).rejects.toEqual(refused);
  }
  const opened = Lsm.open({ dir: DIR, fs, compression: 'zstd' });
  if ('zstdCompressSync' in zlib) await (await opened).close();
  else await expect(opened).rejects.toEqual(refused);
});

test('a budget spreads what is written over time, and does not hold while writers wait', () => {
  let nowMs = 0;
  const hurry = new Int32Array(new SharedArrayBuffer(4));
  const throttle = new Throttle(1_000_000, hurry, { monotonic: () => nowMs, wait: () => undefined });
  let waitedMs = 0;
  for (let bytes = 0; bytes <= 2_000_000; bytes += 10_000) {
    for (let dueMs = throttle.dueMs(bytes); dueMs > 0; dueMs = throttle.dueMs(bytes)) {
      nowMs += dueMs;
      waitedMs += dueMs;
    }
  }
  expect(waitedMs).toBeGreaterThan(1_700);
  expect(waitedMs).toBeLessThanOrEqual(2_010);
  Atomics.store(hurry, 0, 1);
  expect(throttle.dueMs(50_000_000)).toBe(0);
  Atomics.store(hurry, 0, 0);
  // What was written in a hurry is not owed afterwards.
  expect(throttle.dueMs(50_000_000)).toBe(0);
});

test('compactions keep to their budget, flushes have none', async () => {
  const fs = new MemoryFileSystem();
  const clock = new JumpingClock();
  const waits: number[] = [];
  const tasks: Task[] = [];
  const timed = Object.assign(clock, {
    setTimer: (delayMs: number, fn: () => void) => {
      waits.push(delayMs);
      clock.jump(delayMs);
      queueMicrotask(fn);
      return { cancel: () => {} };
    },
  });
  const inline = inlineExecutor(fs, { clock: timed });
  const executor: TaskExecutor = {
    ...inline,
    run: (task) => {
      tasks.push(task);
      return inline.run(task);
    },
  };
  const db = await Lsm.open({
    dir: DIR,
    fs,
    executor,
    wal: false,
    autoCompact: false,
    compactionBytesPerSecond: 100_000,
  });
  for (let i = 0; i < 4000; i++) await db.put(`key${i % 2000}`, 'v'.repeat(50));
  await db.flush();
  expect(waits).toEqual([]);
  await db.put('key0', 'again');
  await db.compact();
  const written = db.stats().compactionWrittenBytes;
  const waitedMs = waits.reduce((sum, ms) => sum + ms, 0);
  expect(waitedMs).toBeGreaterThan((written / 100_000) * 1000 * 0.5);
  expect(waitedMs).toBeLessThan((written / 100_000) * 1000 * 1.1);
  expect(tasks.some(({ kind }) => kind === 'flush')).toBe(true);
  await db.close();
});

test('files are synced in steps, and a failed step fails the write', () => {
  const fs = new MemoryFileSystem();
  const stepped = withSyncSteps(fs, 1000);
  const file = stepped.openSync('/file', 'create');
  const syncs = (): number => fs.stats().operations.datasync;
  for (let i = 0; i < 10; i++) file.writeSync(new Uint8Array(300), i * 300);
  expect(syncs()).toBe(2);
  file.datasyncSync();
  expect(syncs()).toBe(3);
  fs.inject({ on: 'datasync' });
  expect(() => file.writeSync(new Uint8Array(1000), 3000)).toThrow(expect.objectContaining({ code: 'IO_FAILED' }));
  file.closeSync();
});
