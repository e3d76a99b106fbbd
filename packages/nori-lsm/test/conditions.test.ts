// Conditional writes: what holds is judged in the order of the calls, by what is there when a write happens, and all or nothing.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import {
  type BatchOperation,
  type ConditionalWriteOptions,
  inlineExecutor,
  Lsm,
  type LsmError,
  type LsmOptions,
} from '../src/index.js';
import { TestClock, text, utf8, withSeed } from './support.js';

const SEED = seedFromEnv();
const ROUNDS = Number(process.env.NORI_ROUNDS ?? 60);
const failed = { name: 'LsmError', code: 'LSM_CONDITION_FAILED' };

const open = (fs: MemoryFileSystem, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: '/db', fs, executor: inlineExecutor(fs), ...options });

const versionOf = (db: Lsm, key: string): number => db.getEntry(utf8(key))?.version ?? 0;

/** Resolves to whether the write happened. */
const happened = (write: Promise<void>): Promise<boolean> =>
  write.then(
    () => true,
    (error: LsmError) => {
      if (error.code !== 'LSM_CONDITION_FAILED') throw error;
      return false;
    },
  );

const increment = async (db: Lsm, key: string, options: Partial<ConditionalWriteOptions>): Promise<void> => {
  for (;;) {
    const found = db.getEntry(utf8(key));
    const next = String(Number(text(found?.value) ?? 0) + 1);
    const condition = found ? { ifVersion: found.version } : { ifAbsent: true };
    if (await happened(db.put(key, next, { ...options, ...condition }))) return;
  }
};

test('64 callers that increment a few counters lose nothing, with and without a log, whatever the durability', async () => {
  for (const [wal, durability] of [
    [true, 'batch'],
    [true, 'os'],
    [true, 'none'],
    [false, 'none'],
  ] as const) {
    const fs = new MemoryFileSystem();
    const db = await open(fs, { wal, memtableBytes: 4096 });
    const caller = async (number: number): Promise<void> => {
      for (let i = 0; i < 10; i++) await increment(db, `counter ${(number + i) % 3}`, { durability });
    };
    await Promise.all(Array.from({ length: 64 }, (_, number) => caller(number)));
    const sum = [0, 1, 2].reduce((total, i) => total + Number(text(db.getSync(`counter ${i}`))), 0);
    expect(sum, `${wal} ${durability}`).toBe(640);
    await db.close();
  }
});

test('callers of one turn share a data sync', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await db.put('warm', 'up');
  const before = fs.stats().operations.datasync;
  await Promise.all(Array.from({ length: 100 }, (_, i) => db.put(`key ${i}`, 'v', { ifAbsent: true })));
  expect(fs.stats().operations.datasync - before).toBe(1);
  await db.close();
});

test('of those who create a key one wins, whatever it is written beside', async () => {
  for (const wal of [true, false]) {
    const db = await open(new MemoryFileSystem(), { wal });
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, i) => {
        if (i % 7 === 3) void db.put('other', `${i}`);
        return happened(
          i % 2 === 0
            ? db.put('key', `${i}`, { ifAbsent: true })
            : db.batch([{ type: 'put', key: 'key', value: `${i}`, ifAbsent: true }]),
        );
      }),
    );
    expect(outcomes.filter(Boolean).length).toBe(1);
    expect(text(db.getSync('key'))).toBe(`${outcomes.indexOf(true)}`);
    await db.close();
  }
});

test('earlier calls count, whether they were acknowledged or not, and later ones do not', async () => {
  const db = await open(new MemoryFileSystem());
  await db.put('a', '1');
  const version = versionOf(db, 'a');
  const [first, second, third, fourth, fifth] = await Promise.all([
    db.put('a', '2').then(() => true),
    happened(db.put('a', '3', { ifVersion: version })),
    db.delete('a').then(() => true),
    happened(db.put('a', '4', { ifAbsent: true })),
    happened(db.delete('a', { ifVersion: version })),
  ]);
  expect([first, second, third, fourth, fifth]).toEqual([true, false, true, true, false]);
  expect(text(db.getSync('a'))).toBe('4');
  await db.delete('a', { ifVersion: versionOf(db, 'a') });
  expect(db.getSync('a')).toBeUndefined();
  await db.close();
});

test('a batch happens whole or not at all, judged by what was before it; a check alone writes nothing', async () => {
  for (const wal of [true, false]) {
    const db = await open(new MemoryFileSystem(), { wal });
    await db.put('a', '1');
    const a = versionOf(db, 'a');
    const batch: BatchOperation[] = [
      { type: 'put', key: 'a', value: '2', ifVersion: a },
      { type: 'put', key: 'b', value: '2', ifAbsent: true },
      { type: 'delete', key: 'c' },
      { type: 'check', key: 'a', ifVersion: a },
    ];
    await expect(db.batch([...batch, { type: 'check', key: 'a', ifAbsent: true }])).rejects.toMatchObject(failed);
    await expect(db.batch([...batch, { type: 'delete', key: 'd', ifVersion: 1 }])).rejects.toMatchObject(failed);
    expect([text(db.getSync('a')), db.getSync('b')]).toEqual(['1', undefined]);
    await db.batch(batch);
    expect([text(db.getSync('a')), text(db.getSync('b'))]).toEqual(['2', '2']);
    await expect(db.batch(batch)).rejects.toMatchObject(failed);
    const { lastSequence } = db.stats();
    await db.batch([{ type: 'check', key: 'a', ifVersion: versionOf(db, 'a') }]);
    await expect(db.batch([{ type: 'check', key: 'a', ifVersion: a }])).rejects.toMatchObject(failed);
    expect(db.stats().lastSequence).toBe(lastSequence);
    await db.close();
  }
});

test('an expired entry is absent', async () => {
  const clock = new TestClock();
  const db = await open(new MemoryFileSystem(), { clock });
  await db.put('a', '1', { ttlMs: 1000 });
  const version = versionOf(db, 'a');
  await expect(db.put('a', '2', { ifAbsent: true })).rejects.toMatchObject(failed);
  clock.nowMs += 1000;
  expect(versionOf(db, 'a')).toBe(0);
  await expect(db.put('a', '2', { ifVersion: version })).rejects.toMatchObject(failed);
  // Two of one turn: what the first writes is expired for the second already, by the time they are judged.
  const before = db.put('b', '1');
  const writes = [db.put('a', '2', { ifAbsent: true, ttlMs: 5 }), happened(db.put('a', '3', { ifAbsent: true }))];
  clock.nowMs += 5;
  await before;
  expect((await Promise.all(writes))[1]).toBe(true);
  expect(text(db.getSync('a'))).toBe('3');
  await db.close();
});

test('errors name the key and what was found; conditions that make no sense are refused', async () => {
  const db = await open(new MemoryFileSystem());
  await db.put('user:42', '1');
  const error = await db.put('user:42', '2', { ifAbsent: true }).catch((thrown: LsmError) => thrown);
  expect(error).toMatchObject({ ...failed, key: utf8('user:42') });
  expect((error as LsmError).message).toContain('key "user:42" has version 1, and was to be absent');
  await expect(db.delete(new Uint8Array([1, 255]), { ifVersion: 7 })).rejects.toThrow(
    'key 0x01ff is absent, and was to be of version 7',
  );
  const invalid = { code: 'LSM_INVALID_ARGUMENT' };
  await expect(db.put('a', '1', { ifAbsent: true, ifVersion: 1 })).rejects.toMatchObject(invalid);
  await expect(db.put('a', '1', { ifVersion: -1 })).rejects.toMatchObject(invalid);
  await expect(db.put('a', '1', { ifVersion: 1.5 })).rejects.toMatchObject(invalid);
  await expect(db.put('a', '1', { ifAbsent: 'yes' as never })).rejects.toMatchObject(invalid);
  await expect(db.batch([{ type: 'check', key: 'a' }])).rejects.toMatchObject(invalid);
  await db.put('a', '1', { ifAbsent: false });
  expect(text(db.getSync('a'))).toBe('1');
  await db.close();
});

test('versions stay the same through flush, compaction, restart and checkpoint, for look-ups and cursors', async () => {
  const fs = new MemoryFileSystem();
  let db = await open(fs);
  for (const key of ['a', 'b', 'c', 'a']) await db.put(key, key);
  const versions = { a: 4, b: 2, c: 3 };
  const check = (): void => {
    expect({ a: versionOf(db, 'a'), b: versionOf(db, 'b'), c: versionOf(db, 'c') }).toEqual(versions);
    for (const reverse of [false, true]) {
      const found: Record<string, number> = {};
      const cursor = db.cursor({ reverse });
      for (; cursor.valid; cursor.next()) found[text(cursor.key)!] = cursor.version;
      cursor.close();
      expect(found).toEqual(versions);
    }
  };
  check();
  await db.close();
  db = await open(fs);
  check();
  await db.flush();
  check();
  await db.compact();
  check();
  await db.checkpoint('/copy');
  await db.close();
  db = await open(fs, { dir: '/copy' });
  check();
  await db.put('a', 'again', { ifVersion: versions.a });
  await expect(db.put('a', 'again', { ifVersion: versions.a })).rejects.toMatchObject(failed);
  await db.close();
});

test('while the log fails, what it refuses is not counted', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await db.put('a', '1');
  const version = versionOf(db, 'a');
  const full = fs.inject({ on: 'write', path: '.wal', code: 'IO_NO_SPACE', times: Number.POSITIVE_INFINITY });
  const unconditional = db.put('a', '2');
  const onOld = db.put('a', '3', { ifVersion: version });
  await expect(unconditional).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  // The one before failed, so that this one's condition holds; then the log refuses it too.
  await expect(onOld).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  full.remove();
  expect(versionOf(db, 'a')).toBe(version);
  await db.put('a', '4', { ifVersion: version });
  expect(text(db.getSync('a'))).toBe('4');
  await db.close();
});

interface Step {
  readonly operations: readonly BatchOperation[];
  outcome: 'done' | 'condition' | 'failed' | undefined;
}

const KEYS = ['a', 'b', 'c', 'd'];

/** What keys hold after each step, from none on: one step after the other, in the order of the calls. Values are unique. */
const statesAfter = (steps: readonly Step[], valueAt: ReadonlyMap<number, string>): Map<string, string>[] => {
  const states = [new Map<string, string>()];
  for (const [number, { operations, outcome }] of steps.entries()) {
    const state = new Map(states.at(-1)!);
    const holds = operations.every((operation) => {
      if (operation.type === 'deleteRange') return true;
      const { key, ifAbsent, ifVersion } = operation;
      const found = state.get(String(key));
      return ifAbsent ? found === undefined : ifVersion === undefined || found === valueAt.get(ifVersion);
    });
    if (outcome !== 'failed') expect([number, outcome]).toEqual([number, holds ? 'done' : 'condition']);
    for (const operation of outcome === 'done' ? operations : []) {
      if (operation.type === 'put') state.set(String(operation.key), String(operation.value));
      else if (operation.type === 'delete') state.delete(String(operation.key));
    }
    states.push(state);
  }
  return states;
};

const contentOf = (db: Lsm): Map<string, string> =>
  new Map(Array.from(db.scanSync(), ([key, value]) => [text(key)!, text(value)!]));

test(`agrees with a model that does one call after the other, with faults and a crash (${ROUNDS} rounds)`, {
  timeout: 60_000 + ROUNDS * 1000,
}, async () => {
  await withSeed(SEED, async () => {
    const outcomes = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      const rng = new Rng(SEED + round);
      const fs = new MemoryFileSystem();
      const db = await open(fs, { memtableBytes: rng.pick([1024, 1 << 20]), l0Trigger: 2, walSegmentBytesMax: 4096 });
      const steps: Step[] = [];
      const pending: Promise<unknown>[] = [];
      /** The value that was seen with a version. */
      const valueAt = new Map<number, string>();
      const operationFor = (value: string): BatchOperation => {
        const key = rng.pick(KEYS);
        const found = db.getEntry(utf8(key));
        if (found) valueAt.set(found.version, text(found.value)!);
        const condition = rng.pick([{}, { ifAbsent: true }, found ? { ifVersion: found.version } : { ifAbsent: true }]);
        if (rng.chance(0.2)) return { type: 'delete', key, ...condition };
        const isCheck = rng.chance(0.2) && Object.keys(condition).length > 0;
        return isCheck ? { type: 'check', key, ...condition } : { type: 'put', key, value, ...condition };
      };
      const crashAt = rng.int(120);
      let crash: { readonly fs: MemoryFileSystem; readonly first: number; readonly last: number } | undefined;
      for (let i = 0; i < 120; i++) {
        const operations = Array.from({ length: rng.range(1, 3) }, (_, j) => operationFor(`${i}.${j}`));
        const step: Step = { operations, outcome: undefined };
        steps.push(step);
        const fault = rng.chance(0.05) && fs.inject({ on: 'write', path: '.wal', code: 'IO_NO_SPACE' });
        const write = db.batch(operations, { durability: rng.pick(['sync', 'batch']) }).then(
          () => void (step.outcome = 'done'),
          (error: LsmError) => void (step.outcome = error.code === 'LSM_CONDITION_FAILED' ? 'condition' : 'failed'),
        );
        pending.push(write);
        const pause = rng.int(3);
        if (pause === 0) await write;
        if (pause === 1) await new Promise((resolve) => setImmediate(resolve));
        if (fault && rng.chance(0.5)) fault.remove();
        if (i === crashAt) {
          const first = steps.findLastIndex(({ outcome }) => outcome === 'done') + 1;
          crash = { fs: rng.chance(0.5) ? fs.kill() : fs.crash(rng), first, last: steps.length };
        }
      }
      await Promise.all(pending);
      for (const { outcome } of steps) outcomes.add(outcome!);
      const states = statesAfter(steps, valueAt);
      expect(contentOf(db)).toEqual(states.at(-1));
      await db.close();
      const again = await open(crash!.fs);
      // A prefix, with all that was acknowledged. What had not been answered yet may be there though the answer was a failure later.
      expect(states.slice(crash!.first, crash!.last + 1)).toContainEqual(contentOf(again));
      await again.close();
    }
    expect([...outcomes].sort()).toEqual(['condition', 'done', 'failed']);
  });
});

test('calls with and without conditions share records, whatever their order', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: '/db', fs });
  await db.put('first', '1');
  const before = fs.stats().operations.datasync;
  const calls = Array.from({ length: 1000 }, (_, i) => {
    const key = `k${i >> 1}`;
    // Each condition is about what the call before it writes.
    if (i % 2 === 0) return db.put(key, `${i}`, i % 8 === 0 ? { ifAbsent: true } : {});
    return i % 4 === 1 ? db.delete(key) : db.put(key, `${i}`, { ifAbsent: true });
  });
  const outcomes = await Promise.allSettled(calls);
  expect(fs.stats().operations.datasync - before).toBeLessThan(10);
  for (const [i, { status }] of outcomes.entries())
    expect([i, status]).toEqual([i, i % 4 === 3 ? 'rejected' : 'fulfilled']);
  expect(Array.from(db.scanSync({ prefix: 'k' })).length).toBe(250);
  await db.close();
});

test('what a range deletes is absent for later conditions of the same turn', async () => {
  const db = await Lsm.open({ dir: '/db', fs: new MemoryFileSystem() });
  await db.put('a', '1');
  await Promise.all([
    db.put('b', '1', { ifAbsent: true }),
    db.batch([
      { type: 'check', key: 'a', ifVersion: db.getEntry('a')!.version },
      { type: 'deleteRange', gte: 'a', lt: 'c' },
    ]),
    db.put('a', '2', { ifAbsent: true }),
    db.put('b', '2', { ifVersion: 0 }),
  ]);
  expect([db.getSync('a'), db.getSync('b')].map((value) => String(value))).toEqual(['50', '50']);
  await db.close();
});

test('closing comes to its end when the log refuses what a condition waits behind', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: '/db', fs });
  await db.put('a', '1');
  const times = Number.POSITIVE_INFINITY;
  const faults = ['.wal', '.sst'].map((path) => fs.inject({ on: 'write', path, code: 'IO_NO_SPACE', times }));
  const visible = db.put('n', '1', { durability: 'none' });
  const waiting = db.put('c', '1', { ifAbsent: true });
  await visible;
  const [refused] = await Promise.allSettled([waiting, db.close()]);
  expect(refused.status).toBe('rejected');
  for (const fault of faults) fault.remove();
});

test('conditions that mean nothing are refused', async () => {
  const db = await Lsm.open({ dir: '/db', fs: new MemoryFileSystem() });
  const missing = db.getEntry('absent')?.version as unknown as number;
  const refused = { code: 'LSM_INVALID_ARGUMENT' };
  await expect(db.put('a', '1', { ifVersion: missing })).rejects.toMatchObject(refused);
  await expect(db.batch([{ type: 'check', key: 'a', ifVersion: missing }])).rejects.toMatchObject(refused);
  await expect(db.batch([{ type: 'deleteRange', gte: 'a', ifAbsent: true } as never])).rejects.toMatchObject(refused);
  const options = { ifAbsent: true } as never;
  await expect(db.batch([{ type: 'put', key: 'a', value: '1' }], options)).rejects.toMatchObject(refused);
  const long = { type: 'check', key: 'x'.repeat(70_000), ifAbsent: true } as const;
  await expect(db.batch([long])).rejects.toMatchObject({ code: 'LSM_KEY_TOO_LARGE' });
  expect(db.getSync('a')).toBeUndefined();
  await db.put('a', '1', { ifVersion: 0 });
  await db.close();
});
