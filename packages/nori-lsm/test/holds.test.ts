// Snapshots and cursors that were dropped without having been closed are reported, and what they held is let go.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import { expect, test } from 'vitest';
import { Lsm, type LsmOptions } from '../src/index.js';
import { TestClock, text } from './support.js';

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

/** Monotonic time and short timers by hand. */
class HandClock extends TestClock {
  #elapsedMs = 0;
  readonly #timers = new Map<() => void, number>();

  override monotonic = (): number => this.#elapsedMs;
  override setTimer = (delayMs: number, fn: () => void) => {
    this.#timers.set(fn, this.#elapsedMs + delayMs);
    return { cancel: () => void this.#timers.delete(fn) };
  };

  get timers(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    this.#elapsedMs += ms;
    for (const [fn, dueMs] of [...this.#timers]) if (dueMs <= this.#elapsedMs && this.#timers.delete(fn)) fn();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Collects until `isDone`; what is collected is told some turns later. */
const collectUntil = async (isDone: () => boolean): Promise<void> => {
  for (let i = 0; i < 200 && !isDone(); i++) {
    collect();
    await turn();
  }
  expect(isDone()).toBe(true);
};

const setup = async (options: Partial<LsmOptions> = {}) => {
  const clock = new HandClock();
  const meter = new RecordingMeter();
  const fs = new MemoryFileSystem();
  const tables = async (): Promise<number> => (await fs.readdir('/db')).filter((name) => name.endsWith('.sst')).length;
  const db = await Lsm.open({ dir: '/db', fs, clock, meter, autoCompact: false, ...options });
  await db.put('a', '1');
  const leaks = () => meter.events.filter(({ type }) => type === 'lsm.snapshot_leaked');
  return { db, clock, meter, leaks, tables };
};

test('a snapshot that is dropped is reported and let go', async () => {
  const { db, clock, meter, leaks } = await setup();
  // In a function of its own, so that nothing of this one holds it.
  (() => void db.snapshot())();
  const kept = db.snapshot();
  await db.put('a', '2');
  clock.advance(600);
  expect(db.stats()).toMatchObject({ snapshots: 2, oldestSnapshotMs: 600 });
  clock.advance(1000);
  await collectUntil(() => leaks().length > 0);
  expect(leaks()).toEqual([
    { type: 'lsm.snapshot_leaked', atMs: clock.now(), held: 'snapshot', sequence: 1, openMs: 1600 },
  ]);
  expect(meter.value('lsm_leaked_total', { kind: 'snapshot' })).toBe(1);
  expect(db.stats().snapshots).toBe(1);
  expect(text(db.getSync('a', { snapshot: kept }))).toBe('1');
  kept.close();
  expect(db.stats()).toMatchObject({ snapshots: 0, oldestSnapshotMs: 0 });
  collect();
  await turn();
  expect(leaks().length).toBe(1);
  await db.close();
});

test('a cursor and a scan that are dropped are reported, and the tables they held are let go', async () => {
  const { db, clock, meter, leaks, tables } = await setup();
  await db.put('b', '2');
  (() => void db.cursor())();
  await (async () => {
    // Not to its end, and without `return`, as a loop would have called it.
    await db.scan().next();
  })();
  await db.flush();
  clock.advance(600);
  await collectUntil(() => meter.value('lsm_leaked_total', { kind: 'cursor' }) === 2);
  expect(new Set(leaks().map((leak) => leak.type === 'lsm.snapshot_leaked' && leak.held))).toEqual(new Set(['cursor']));
  (() => void db.cursor())();
  await db.put('a', '3');
  clock.advance(600);
  await db.compact();
  expect(await tables()).toBe(2);
  await collectUntil(() => meter.value('lsm_leaked_total', { kind: 'cursor' }) === 3);
  while ((await tables()) > 1) await turn();
  await db.close();
});

test('a leaked snapshot holds up compaction no longer than until it is collected', async () => {
  const { db, clock, leaks } = await setup({ autoCompact: true });
  (() => void db.snapshot())();
  await db.put('a', '2');
  await db.compact();
  const entries = async (): Promise<number> => (await db.verify()).entries;
  expect(await entries()).toBe(2);
  clock.advance(600);
  await collectUntil(() => leaks().length > 0);
  await db.compact();
  expect(await entries()).toBe(1);
  await db.close();
});

test('what is closed in time is not reported, young or old, and is not watched', async () => {
  const { db, clock, leaks } = await setup();
  const watched: object[] = [];
  const { register } = FinalizationRegistry.prototype;
  FinalizationRegistry.prototype.register = function (target: WeakKey, held: unknown, token?: WeakKey) {
    watched.push(held as object);
    register.call(this, target, held, token);
  };
  try {
    for (let i = 0; i < 100; i++) db.snapshot().close();
    db.cursor().close();
    expect(clock.timers).toBe(1);
    clock.advance(600);
    expect(watched.length).toBe(0);
    const snapshots = Array.from({ length: 10 }, () => db.snapshot());
    const cursor = db.cursor();
    clock.advance(600);
    expect(watched.length).toBe(11);
    snapshots.reverse();
    for (const snapshot of snapshots) snapshot.close();
    cursor.close();
  } finally {
    FinalizationRegistry.prototype.register = register;
  }
  for (let i = 0; i < 5; i++) {
    collect();
    await turn();
  }
  expect(leaks()).toEqual([]);
  expect(db.stats().snapshots).toBe(0);
  await db.close();
});

test('closing the database tells how many snapshots were open, closes cursors, and ends the watching', async () => {
  const { db, clock, meter, leaks } = await setup();
  const snapshots = [db.snapshot(), db.snapshot()];
  (() => void db.snapshot())();
  const cursor = db.cursor();
  clock.advance(600);
  const young = db.snapshot();
  expect(cursor.valid).toBe(true);
  await db.close();
  expect(clock.timers).toBe(0);
  expect(meter.events.at(-1)).toEqual({ type: 'lsm.closed_with_snapshots', atMs: clock.now(), snapshots: 4 });
  expect(cursor.valid).toBe(false);
  cursor.first();
  cursor.next();
  expect(cursor.valid).toBe(false);
  for (const snapshot of [...snapshots, young]) snapshot.close();
  cursor.close();
  for (let i = 0; i < 5; i++) {
    collect();
    await turn();
  }
  expect(leaks()).toEqual([]);
});
