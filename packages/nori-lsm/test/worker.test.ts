// The real file system and real worker threads. Needs the build: `dist/lsm-worker.js` is what the threads run.
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Lsm, type LsmOptions } from '../src/index.js';
import { text } from './support.js';

const dirs: string[] = [];

const open = async (options: Partial<LsmOptions> = {}): Promise<Lsm> => {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'nori-lsm-')));
  dirs.push(dir);
  return Lsm.open({ dir, ...options });
};

afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});

test('flushes and compacts in worker threads, and finds everything after reopening', async () => {
  const db = await open({ memtableBytes: 65_536, tableBytes: 65_536, levelBytesBase: 262_144, l0Trigger: 3 });
  const dir = dirs[0]!;
  const writes: Promise<void>[] = [];
  for (let i = 0; i < 20_000; i++) writes.push(db.put(`key${(i * 7919) % 20_000}`, `value${i}`, { durability: 'os' }));
  await Promise.all(writes);
  for (let i = 0; i < 20_000; i += 2) void db.delete(`key${i}`, { durability: 'os' });
  await db.compact();
  const stats = db.stats();
  expect(stats.flushes).toBeGreaterThan(5);
  expect(stats.compactions).toBeGreaterThan(0);
  expect((await db.verify()).problems).toEqual([]);
  await db.close();
  const again = await open({ dir });
  expect(Array.from(again.scanSync()).length).toBe(10_000);
  expect(text(again.getSync('key1'))).toMatch(/^value/);
  expect(again.getSync('key2')).toBeUndefined();
  await again.close();
});

test('several databases share the threads, and a task that fails tells why', async () => {
  const [one, other] = [await open(), await open()];
  await Promise.all([one.put('a', '1'), other.put('a', '2')]);
  await Promise.all([one.flush(), other.flush()]);
  expect([text(one.getSync('a')), text(other.getSync('a'))]).toEqual(['1', '2']);
  await one.close();
  await other.put('b', '2');
  await other.flush();
  const tables = (await readdir(dirs[1]!)).filter((name) => name.endsWith('.sst'));
  expect(tables.length).toBe(2);
  await other.close();
  const { workerExecutor } = await import('../src/index.js');
  const executor = workerExecutor();
  executor.acquire();
  const task = {
    kind: 'compact' as const,
    dir: dirs[0]!,
    tables: { blockBytes: 4096, bloomBitsPerKey: 10 },
    snapshots: [],
    horizon: 0,
    cancel: new Int32Array(new SharedArrayBuffer(4)),
    hasMappedKeys: false,
    keyspaces: [],
    ranges: [],
    rangesSeq: 0,
    inputs: [{ number: 77, run: 0, sequence: 0 }],
    outputLevel: 1,
    firstNumber: 78,
    numbers: 1,
    tableBytes: 1024,
    deeper: [],
  };
  await expect(executor.run(task)).rejects.toMatchObject({ name: 'LsmError', code: 'LSM_IO_FAILED' });
  executor.release();
});

test('closing in the middle of a flush leaves a database that opens', async () => {
  const db = await open({ memtableBytes: 1024 * 1024 });
  const dir = dirs[0]!;
  for (let i = 0; i < 20; i++) await db.put(`key${i}`, new Uint8Array(100_000), { durability: 'os' });
  await db.close();
  const again = await open({ dir });
  expect(Array.from(again.scanSync()).length).toBe(20);
  await again.close();
});

test('a thread on its way out takes no task of its successor with it', async () => {
  for (let round = 0; round < 10; round++) {
    const db = await open();
    await db.put('a', '1');
    await db.flush();
    // Ends the thread; the next round starts another before that one is gone.
    await db.close();
  }
});

test.runIf(process.platform === 'linux')('its threads leave the processor to the event loop', async () => {
  /** How nice each thread of this process is (field 19 of its stat; what stands before the last parenthesis is a name). */
  const niceness = (): number[] =>
    readdirSync('/proc/self/task').map((thread) => {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    });
  const yielding = (): number => niceness().filter((nice) => nice >= 10).length;
  // Threads of the tests before may still be on their way out.
  await expect.poll(yielding).toBe(0);
  const db = await open();
  await db.put('a', '1');
  await db.flush();
  expect(yielding()).toBe(1);
  await db.close();
});
