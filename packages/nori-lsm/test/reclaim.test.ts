// Space comes back by itself: tables of tombstones and of expired entries are compacted without a write arriving, and it
// comes to rest.
import { MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { inlineExecutor, Lsm, type LsmOptions, WriteBatch } from '../src/index.js';
import { JumpingClock, utf8 } from './support.js';

const DIR = '/db';
const COUNT = 3000;
const DAY_MS = 86_400_000;

const turns = async (): Promise<void> => {
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Lets compaction go on until it rests. */
const atRest = async (db: Lsm): Promise<void> => {
  for (let before = -1; before !== db.stats().compactions; ) {
    before = db.stats().compactions;
    await turns();
  }
};

const open = (options: Partial<LsmOptions> = {}): { clock: JumpingClock; fs: MemoryFileSystem; db: Promise<Lsm> } => {
  const fs = (options.fs as MemoryFileSystem | undefined) ?? new MemoryFileSystem();
  const clock = new JumpingClock();
  const executor = inlineExecutor(fs);
  const small = { memtableBytes: 65_536, tableBytes: 16_384, blockBytes: 1024, levelBytesBase: 65_536 };
  return { fs, clock, db: Lsm.open({ dir: DIR, fs, clock, executor, wal: false, ...small, ...options }) };
};

const key = (i: number): Uint8Array => utf8(`key${String(i).padStart(6, '0')}`);

/** Puts `count` keys, waiting where it must. */
const fill = async (db: Lsm, expiresAtMs: (i: number) => number = () => 0, count = COUNT): Promise<void> => {
  for (let i = 0; i < count; i++) {
    while (db.stalled) await db.whenWritable();
    db.apply(new WriteBatch().put(key(i), new Uint8Array(100), expiresAtMs(i)));
  }
  await db.flush();
  await atRest(db);
};

const deleteAll = async (db: Lsm): Promise<void> => {
  for (let i = 0; i < COUNT; i++) {
    while (db.stalled) await db.whenWritable();
    db.apply(new WriteBatch().delete(key(i)));
  }
  await db.flush();
  await atRest(db);
};

test('when everything is deleted the space comes back without a write arriving', async () => {
  const { db: opening } = open({ l0Trigger: 100, l0Stop: 200 });
  const db = await opening;
  await fill(db);
  expect(db.stats().tableBytes).toBeGreaterThan(300_000);
  await deleteAll(db);
  expect(db.stats().tableBytes).toBe(0);
  await db.close();
});

test('an open snapshot keeps what it sees, nothing is rewritten in vain, and closing it is enough', async () => {
  const { db: opening } = open();
  const db = await opening;
  await fill(db);
  const snapshot = db.snapshot();
  await deleteAll(db);
  expect(Array.from(db.scanSync({ snapshot })).length).toBe(COUNT);
  const before = db.stats();
  expect(before.tableBytes).toBeGreaterThan(300_000);
  await turns();
  expect(db.stats().compactions).toBe(before.compactions);
  snapshot.close();
  await atRest(db);
  expect(db.stats().tableBytes).toBe(0);
  await db.close();
});

test('tables in which all has expired go by an edit of the manifest, when the clock says so', async () => {
  const { clock, db: opening } = open();
  const db = await opening;
  await fill(db, () => clock.nowMs + DAY_MS);
  await db.compact();
  const before = db.stats();
  expect(clock.timers).toBeGreaterThan(0);
  clock.jump(DAY_MS / 2);
  await atRest(db);
  expect(db.stats().compactionWrittenBytes).toBe(before.compactionWrittenBytes);
  expect(Array.from(db.scanSync()).length).toBe(COUNT);
  for (let hour = 0; hour <= 13; hour++) {
    clock.jump(3_600_000);
    await atRest(db);
  }
  const after = db.stats();
  expect(after.tableBytes).toBe(0);
  expect(after.droppedTables).toBe(before.levels[6]!.tables);
  expect(after.compactionReadBytes).toBe(before.compactionReadBytes);
  await db.close();
});

test('tables of which much has expired are rewritten, a bounded number of times', async () => {
  const { clock, db: opening } = open();
  const db = await opening;
  const startMs = clock.nowMs;
  // Neighbours expire at any time of the day: no table expires as a whole before the end of it.
  await fill(db, (i) => startMs + 1 + ((i * 7919) % 1000) * (DAY_MS / 1000));
  await db.compact();
  const { compactions, tableBytes } = db.stats();
  const tables = db.stats().levels[6]!.tables;
  for (let hour = 0; hour < 24; hour++) {
    clock.jump(3_600_000);
    await atRest(db);
    const live = Array.from(db.scanSync()).length;
    // About a quarter of what is there may be dead, and a little more between two looks; small tables have their overhead.
    expect(db.stats().tableBytes).toBeLessThan((tableBytes * live) / COUNT / 0.5 + 30_000);
  }
  clock.jump(3_600_000);
  await atRest(db);
  expect(db.stats().tableBytes).toBe(0);
  // Each rewrite takes about a quarter of what a table has left.
  expect(db.stats().compactions - compactions).toBeLessThan(tables * 40);
  await db.close();
});

test('entries that a lagging horizon keeps are left alone, until it catches up', async () => {
  const clock = new JumpingClock();
  const fs = new MemoryFileSystem();
  let durableMs = 0;
  const expiry = { readNowMs: () => clock.nowMs, durableNowMs: () => durableMs };
  const db = await Lsm.open({ dir: DIR, fs, clock, executor: inlineExecutor(fs), wal: false, expiry });
  await fill(db, () => clock.nowMs + 5_000);
  await db.compact();
  const { compactions } = db.stats();
  for (let i = 0; i < 10; i++) {
    clock.jump(60_000);
    await turns();
  }
  expect(db.stats().compactions).toBe(compactions);
  expect(db.stats().tableBytes).toBeGreaterThan(0);
  durableMs = clock.nowMs;
  clock.jump(60_000);
  await atRest(db);
  expect(db.stats().tableBytes).toBe(0);
  await db.close();
});

test('horizons by prefix drop what each prefix allows, and come to rest', async () => {
  const clock = new JumpingClock();
  const fs = new MemoryFileSystem();
  const nowMs = new Float64Array(4);
  const expiry = { readNowMs: () => clock.nowMs, durableNowMs: () => ({ prefixBytes: 2 as const, nowMs }) };
  const db = await Lsm.open({
    dir: DIR,
    fs,
    clock,
    executor: inlineExecutor(fs),
    wal: false,
    expiry,
    tableBytes: 1 << 20,
  });
  for (let i = 0; i < COUNT; i++) {
    const prefixed = Uint8Array.of(0, i % 4, ...key(i));
    db.apply(new WriteBatch().put(prefixed, new Uint8Array(10), clock.nowMs + 1000));
  }
  await db.flush();
  await db.compact();
  const { entries } = await db.verify();
  expect(entries).toBe(COUNT);
  // One prefix has no time yet: nothing of it may go, and the rewriting that this makes futile must end.
  clock.jump(10_000);
  nowMs.fill(clock.nowMs, 0, 3);
  for (let i = 0; i < 10; i++) {
    clock.jump(60_000);
    await atRest(db);
  }
  expect((await db.verify()).entries).toBe(COUNT / 4);
  expect(db.stats().compactions).toBeLessThan(10);
  nowMs.fill(clock.nowMs);
  await db.compact();
  expect(db.stats().tableBytes).toBe(0);
  await db.close();
});

test('a timer for the next expiry does not outlive the database', async () => {
  const { clock, db: opening } = open();
  const db = await opening;
  await fill(db, () => clock.nowMs + DAY_MS, 10);
  expect(clock.timers).toBe(1);
  await db.close();
  expect(clock.timers).toBe(0);
});
