// Flushes and compactions that work for a share of the time.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { inlineExecutor, Lsm, type Task, type TaskExecutor, workerExecutor } from '../src/index.js';
import { PACED, Pace, type Pressure } from '../src/pace.js';
import { Rests } from '../src/throttle.js';

const calm: Pressure = { filled: 0, sealed: 1, l0Tables: 0, l0Trigger: 8, l0Stop: 12, isAwaited: false };

const sharesAt = (pressure: Partial<Pressure>): { flush: number; compact: number } => {
  const pace = new Pace();
  pace.set({ ...calm, ...pressure });
  return { flush: pace.shares[PACED.flush]!, compact: pace.shares[PACED.compact]! };
};

test('the share of flushes grows as the next memtable fills, and is all before writers would wait for them', () => {
  expect(sharesAt({}).flush).toBe(20);
  expect(sharesAt({ filled: 0.2 }).flush).toBe(20);
  expect(sharesAt({ filled: 0.6 }).flush).toBe(60);
  expect(sharesAt({ filled: 1 }).flush).toBe(100);
  // A memtable may be overfilled by its last write.
  expect(sharesAt({ filled: 1.5 }).flush).toBe(100);
  expect(sharesAt({ sealed: 2 }).flush).toBe(100);
  expect(sharesAt({ isAwaited: true }).flush).toBe(100);
});

test('the share of compactions grows with the tables in L0, and is all before writers would wait for them', () => {
  expect(sharesAt({}).compact).toBe(25);
  expect(sharesAt({ l0Tables: 8 }).compact).toBe(25);
  expect(sharesAt({ l0Tables: 10 }).compact).toBe(63);
  expect(sharesAt({ l0Tables: 12 }).compact).toBe(100);
  expect(sharesAt({ l0Tables: 20 }).compact).toBe(100);
  expect(sharesAt({ l0Trigger: 12, l0Tables: 3 }).compact).toBe(100);
});

/** Works in steps of `stepMs` for `stepCount` steps; how much of the time was work. */
const workedShare = (shares: Int32Array, stepMs: number, stepCount: number): number => {
  let nowMs = 0;
  const rests = new Rests(shares, 0, { monotonic: () => nowMs, wait: () => undefined });
  for (let step = 0; step < stepCount; step++) {
    nowMs += stepMs;
    for (let dueMs = rests.dueMs(); dueMs > 0; dueMs = rests.dueMs()) nowMs += dueMs;
  }
  return (stepMs * stepCount) / nowMs;
};

test.each([10, 25, 50, 80, 100])('a task with a share of %i percent works for so much of the time', (percent) => {
  expect(workedShare(new Int32Array([percent]), 1, 10_000)).toBeCloseTo(percent / 100, 2);
  expect(workedShare(new Int32Array([percent]), 10, 1000)).toBeCloseTo(percent / 100, 2);
});

test('a rest ends when the share grows, and a thread that was kept from working is not made to rest for it', () => {
  let nowMs = 0;
  const shares = new Int32Array([10]);
  const rests = new Rests(shares, 0, { monotonic: () => nowMs, wait: () => undefined });
  nowMs += 10;
  expect(rests.dueMs()).toBe(50);
  nowMs += 20;
  shares[0] = 50;
  expect(rests.dueMs()).toBe(0);
  nowMs += 3;
  expect(rests.dueMs()).toBe(0);
  nowMs += 1000;
  let restedMs = 0;
  for (let dueMs = rests.dueMs(); dueMs > 0; dueMs = rests.dueMs()) {
    nowMs += dueMs;
    restedMs += dueMs;
  }
  expect(restedMs).toBeLessThan(50);
});

test('tasks of a database that paces them carry its shares, manual compactions none', async () => {
  const fs = new MemoryFileSystem();
  const tasks: Task[] = [];
  const inline = inlineExecutor(fs);
  const executor: TaskExecutor = {
    ...inline,
    run: (task) => {
      tasks.push(task);
      return inline.run(task);
    },
  };
  const options = { dir: '/db', fs, executor, memtableBytes: 16 * 1024, l0Trigger: 2 };
  const fill = async (db: Lsm): Promise<void> => {
    for (let i = 0; i < 3000; i++) await db.put(`key${i % 500}`, 'v'.repeat(50), { durability: 'os' });
    await db.flush();
  };
  const paced = await Lsm.open({ ...options, paceBackground: true });
  await fill(paced);
  await paced.put('key0', 'again');
  await paced.compact();
  await paced.close();
  const kinds = new Set(tasks.map((task) => task.kind + (task.kind !== 'export' && task.shares ? ' paced' : '')));
  expect(kinds).toEqual(new Set(['flush paced', 'compact paced', 'compact']));
  tasks.length = 0;
  const plain = await Lsm.open(options);
  await fill(plain);
  await plain.close();
  expect(tasks.some((task) => task.kind !== 'export' && task.shares !== undefined)).toBe(false);
});

test('who waits for a flush waits for no rests', async () => {
  const fs = new MemoryFileSystem();
  let shares: Int32Array | undefined;
  let duringFlush = 0;
  const inline = inlineExecutor(fs);
  const executor: TaskExecutor = {
    ...inline,
    run: async (task) => {
      if (task.kind === 'flush') {
        shares = task.shares;
        // Let the caller of flush() begin to wait.
        await new Promise((resolve) => setImmediate(resolve));
        duringFlush = shares![PACED.flush]!;
      }
      return inline.run(task);
    },
  };
  const db = await Lsm.open({ dir: '/db', fs, executor, paceBackground: true });
  await db.put('a', '1');
  await db.flush();
  expect(duringFlush).toBe(100);
  expect(shares![PACED.flush]).toBe(20);
  await db.close();
});

test('a worker thread rests and gets done', { timeout: 60_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-pace-'));
  const options = { memtableBytes: 256 * 1024, l0Trigger: 2, l0Stop: 4, paceBackground: true };
  const db = await Lsm.open({ dir, ...options, executor: workerExecutor() });
  for (let i = 0; i < 20_000; i++) await db.put(`key${i % 1000}`, `${i}`.padEnd(100), { durability: 'os' });
  await db.flush();
  for (let i = 19_000; i < 20_000; i++) {
    expect(Buffer.from((await db.get(`key${i % 1000}`))!).toString()).toBe(`${i}`.padEnd(100));
  }
  await db.close();
  await rm(dir, { recursive: true });
});
