// The public surface: values, batches, expiry, snapshots, limits, closing.
import { MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import { expect, test } from 'vitest';
import { type Cursor, inlineExecutor, Lsm, type LsmOptions, WriteBatch } from '../src/index.js';
import type { Task } from '../src/task.js';
import { listCursor, TestClock, text, utf8 } from './support.js';

const open = (options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: '/db', fs: new MemoryFileSystem(), ...options });

const keysOf = (db: Lsm, options = {}): (string | undefined)[] =>
  Array.from(db.scanSync(options), ([key]) => text(key));

test('empty keys and values come back as they went in', async () => {
  const db = await open();
  await db.put('', 'nothing');
  await db.put('k', '');
  await db.flush();
  expect(text(db.getSync(''))).toBe('nothing');
  expect(db.getSync('k')).toEqual(new Uint8Array(0));
  expect(db.getSync('other')).toBeUndefined();
  expect(keysOf(db)).toEqual(['', 'k']);
  await db.close();
});

test('callers may change their bytes once put has returned', async () => {
  const db = await open();
  const key = utf8('key');
  const value = utf8('value');
  const done = db.put(key, value);
  key.fill(0);
  value.fill(0);
  await done;
  expect(text(db.getSync('key'))).toBe('value');
  await db.close();
});

test('in a batch the last operation on a key wins', async () => {
  const db = await open();
  await db.batch([
    { type: 'put', key: 'a', value: '1' },
    { type: 'delete', key: 'a' },
    { type: 'delete', key: 'b' },
    { type: 'put', key: 'b', value: '2' },
  ]);
  expect(keysOf(db)).toEqual(['b']);
  await db.close();
});

test('a batch larger than a memtable, and values of many sizes, go through flush and reopening', async () => {
  const fs = new MemoryFileSystem();
  const sizes = [0, 1, 100, 5_000, 70_000, 1_000_000];
  let db = await Lsm.open({ dir: '/db', fs, memtableBytes: 4096, walSegmentBytesMax: 65_536 });
  await db.batch(sizes.map((size) => ({ type: 'put', key: `size ${size}`, value: new Uint8Array(size).fill(size) })));
  const check = (): void => {
    for (const size of sizes) expect(db.getSync(`size ${size}`)?.length).toBe(size);
  };
  check();
  await db.close();
  db = await Lsm.open({ dir: '/db', fs, memtableBytes: 4096 });
  check();
  await db.compact();
  check();
  await db.close();
});

test('keys and values beyond the limits are refused with the limit in the message', async () => {
  const db = await open();
  await expect(db.put(new Uint8Array(65_536), 'v')).rejects.toMatchObject({ code: 'LSM_KEY_TOO_LARGE' });
  await expect(db.put('k', new Uint8Array(64 * 1024 * 1024 + 1))).rejects.toThrow(/67108864/);
  await expect(db.put('k', 'v', { ttlMs: -1 })).rejects.toMatchObject({ code: 'LSM_INVALID_ARGUMENT' });
  await expect(db.put('k', undefined as never)).rejects.toMatchObject({ code: 'LSM_INVALID_ARGUMENT' });
  await expect(db.get(7 as never)).rejects.toMatchObject({ code: 'LSM_INVALID_ARGUMENT' });
  await expect(db.put('k', 'v', { durability: 'maybe' as never })).rejects.toMatchObject({
    code: 'LSM_INVALID_ARGUMENT',
  });
  expect(() => Array.from(db.scanSync({ limit: 1.5 }))).toThrow(/limit must be/);
  await db.put(new Uint8Array(65_535).fill(1), 'longest');
  await db.flush();
  expect(text(db.getSync(new Uint8Array(65_535).fill(1)))).toBe('longest');
  await db.close();
});

test('an expired entry does not bring back the older version it hid', async () => {
  const clock = new TestClock();
  const db = await open({ clock, autoCompact: false });
  await db.put('k', 'old');
  await db.flush();
  await db.compact();
  await db.put('k', 'new', { ttlMs: 100 });
  await db.flush();
  expect(text(db.getSync('k'))).toBe('new');
  clock.nowMs += 100;
  expect(db.getSync('k')).toBeUndefined();
  expect(keysOf(db)).toEqual([]);
  await db.flush();
  await db.compact();
  expect(db.getSync('k')).toBeUndefined();
  expect(db.stats().levels.every(({ tables }) => tables === 0)).toBe(true);
  await db.close();
});

test('deleting over several levels hides the key until the bottom, then nothing is left of it', async () => {
  const db = await open({ autoCompact: false, levelBytesBase: 1024 });
  for (let i = 0; i < 50; i++) await db.put(`k${i}`, 'value');
  await db.compact();
  for (let i = 0; i < 50; i += 2) await db.delete(`k${i}`);
  await db.flush();
  expect(keysOf(db).length).toBe(25);
  for (let i = 1; i < 50; i += 2) await db.delete(`k${i}`);
  expect(keysOf(db)).toEqual([]);
  await db.compact();
  expect((await db.verify()).tables).toBe(0);
  await db.close();
});

test('a snapshot keeps its view through flushes and compactions, and lets go when closed', async () => {
  const db = await open({ autoCompact: false });
  await db.put('a', '1');
  await db.put('b', '1');
  const snapshot = db.snapshot();
  await db.put('a', '2');
  await db.delete('b');
  await db.compact();
  expect(text(db.getSync('a', { snapshot }))).toBe('1');
  expect(text(await db.get('b', { snapshot }))).toBe('1');
  expect(keysOf(db, { snapshot })).toEqual(['a', 'b']);
  expect(keysOf(db)).toEqual(['a']);
  snapshot.close();
  await db.compact();
  expect((await db.verify()).entries).toBe(1);
  await db.close();
});

test('a cursor sees the database as it was opened, whatever is written, flushed and compacted meanwhile', async () => {
  const db = await open({ memtableBytes: 2048, l0Trigger: 2 });
  for (let i = 100; i < 200; i++) await db.put(`k${i}`, 'before');
  const cursor = db.cursor();
  for (let i = 100; i < 300; i++) await db.put(`k${i}`, 'after'.repeat(20));
  await db.delete('k150');
  await db.compact();
  const found = listCursor(cursor);
  expect(found.length).toBe(100);
  expect(new Set(found.map(([, value]) => Buffer.from(value, 'hex').toString()))).toEqual(new Set(['before']));
  await db.close();
});

test('a cursor moves both ways and turns round in its range', async () => {
  const db = await open();
  for (const key of ['a', 'b', 'c', 'd', 'e']) await db.put(key, key);
  const cursor = db.cursor({ gt: 'a', lte: 'd', reverse: true });
  const at = (): string | undefined => (cursor.valid ? text(cursor.key) : undefined);
  expect(at()).toBe('d');
  cursor.next();
  cursor.next();
  expect(at()).toBe('b');
  cursor.previous();
  expect(at()).toBe('c');
  cursor.seek(utf8('bb'));
  expect(at()).toBe('b');
  cursor.next();
  expect(at()).toBeUndefined();
  cursor.last();
  expect(at()).toBe('b');
  cursor.close();
  expect(cursor.valid).toBe(false);
  await db.close();
});

test('a cursor asked to show expired entries shows the version of its moment, whose expiry the caller judges', async () => {
  const clock = new TestClock();
  const db = await open({ clock, autoCompact: false });
  await db.put('deleted', 'v', { ttlMs: 100 });
  await db.delete('deleted');
  await db.put('flushed', 'old', { ttlMs: 100 });
  await db.flush();
  await db.put('fresh', 'v');
  await db.put('renewed', 'old', { ttlMs: 100 });
  const openedMs = clock.nowMs;
  const showing = db.cursor({ showExpired: true });
  const hiding = db.cursor();
  clock.nowMs += 200;
  await db.put('renewed', 'new', { ttlMs: 100 });
  const rest = (cursor: Cursor): (string | number | undefined)[][] => {
    const found: (string | number | undefined)[][] = [];
    for (; cursor.valid; cursor.next()) found.push([text(cursor.key), text(cursor.value), cursor.expiresAtMs]);
    return found;
  };
  const all = [
    ['flushed', 'old', openedMs + 100],
    ['fresh', 'v', 0],
    ['renewed', 'old', openedMs + 100],
  ];
  expect(rest(showing)).toEqual(all);
  showing.first();
  showing.seek(utf8('g'));
  expect(text(showing.key)).toBe('renewed');
  const back = db.cursor({ showExpired: true, reverse: true });
  expect(rest(back)).toEqual([['renewed', 'new', openedMs + 300], ...all.slice(0, 2).reverse()]);
  hiding.first();
  expect(rest(hiding)).toEqual([['fresh', 'v', 0]]);
  for (const cursor of [showing, hiding, back]) cursor.close();
  await db.close();
});

test('a seek may name an end, which holds until the cursor is next positioned', async () => {
  const db = await open();
  for (const key of ['a', 'b', 'c']) await db.put(key, key);
  await db.flush();
  for (const key of ['d', 'e']) await db.put(key, key);
  for (const reverse of [false, true]) {
    const cursor = db.cursor({ reverse, gte: 'a', lt: 'e' });
    const shown = (): string => {
      let keys = '';
      for (; cursor.valid; cursor.next()) keys += text(cursor.key);
      return keys;
    };
    cursor.seek(utf8('b'), utf8('d'));
    expect(shown()).toBe(reverse ? '' : 'bc');
    cursor.seek(utf8('d'), utf8('b'));
    expect(shown()).toBe(reverse ? 'dc' : '');
    cursor.seek(utf8('b'), utf8('b'));
    expect(cursor.valid).toBe(false);
    cursor.seek(utf8('c'), utf8(reverse ? 'A' : 'z'));
    cursor.previous();
    expect(shown()).toBe(reverse ? 'dcba' : 'bcd');
    cursor.seek(utf8('c'), utf8('c'));
    cursor.first();
    expect(shown()).toBe(reverse ? 'dcba' : 'abcd');
    cursor.close();
  }
  await db.close();
});

test('a cursor opened unpositioned stands nowhere until it is moved', async () => {
  const db = await open({ blockCacheBytes: 0 });
  for (const key of ['a', 'b', 'c']) await db.put(key, key);
  await db.flush();
  for (const reverse of [false, true]) {
    const cursor = db.cursor({ reverse, unpositioned: true });
    expect([cursor.valid, cursor.value.length]).toEqual([false, 0]);
    cursor.next();
    cursor.previous();
    expect(cursor.valid).toBe(false);
    cursor.seek(utf8('b'));
    expect(text(cursor.value)).toBe('b');
    cursor.next();
    expect(text(cursor.key)).toBe(reverse ? 'a' : 'c');
    cursor.close();
  }
  await db.close();
});

test('a bounded cursor looks only into the tables that may hold its range', async () => {
  const fs = new MemoryFileSystem();
  const db = await open({ fs, blockCacheBytes: 0, autoCompact: false, tableBytes: 1024, levelBytesBase: 1024 });
  const key = (i: number): string => `k${String(i).padStart(3, '0')}`;
  // Two tables that overlap: compaction cannot just move them.
  for (const odd of [0, 1]) {
    for (let i = odd; i < 200; i += 2) await db.put(key(i), 'v'.repeat(50));
    await db.flush();
  }
  await db.compact();
  for (const i of [20, 100, 180]) {
    await db.put(key(i), 'new');
    await db.flush();
  }
  const { levels } = db.stats();
  expect(levels[0]!.tables).toBe(3);
  expect(levels[6]!.tables).toBeGreaterThan(5);
  for (let from = 0; from < 200; from += 7) {
    for (const width of [0, 1, 13, 120]) {
      const expected = Array.from({ length: Math.min(200, from + width) - from }, (_, i) => key(from + i));
      expect(keysOf(db, { gte: key(from), lt: key(from + width) })).toEqual(expected);
      expect(keysOf(db, { gte: key(from), lt: key(from + width), reverse: true })).toEqual(expected.reverse());
    }
  }
  const reads = (options: object): number => {
    const before = fs.stats().operations.read;
    db.cursor(options).close();
    return fs.stats().operations.read - before;
  };
  expect(reads({ unpositioned: true })).toBe(0);
  expect(reads({ gte: key(40), lt: key(42) })).toBe(1);
  expect(reads({})).toBe(4);
  expect(reads({ gt: 'x' })).toBe(0);
  await db.close();
});

test('marks are kept with the flush, the newest of each id wins, and flushing without entries keeps them too', async () => {
  const fs = new MemoryFileSystem();
  const marks = new Map([[1, '']]);
  const durable: number[] = [];
  const options: LsmOptions = {
    dir: '/db',
    fs,
    wal: false,
    collectMarks: () => [...marks].map(([id, mark]) => [id, utf8(mark)] as const),
    onDurable: (number) => durable.push(number),
  };
  let db = await Lsm.open(options);
  db.apply(new WriteBatch().put(utf8('k'), utf8('v')));
  marks.set(1, 'one');
  marks.set(2, 'two');
  expect(db.sealSequence).toBe(1);
  await db.flush();
  expect(db.sealSequence).toBe(2);
  marks.delete(1);
  marks.set(2, 'later');
  await db.flush();
  expect(durable).toEqual([1, 2]);
  await db.close();
  db = await Lsm.open(options);
  expect([...db.durableMarks()].map(([id, mark]) => [id, text(mark)])).toEqual([
    [1, 'one'],
    [2, 'later'],
  ]);
  expect(text(db.getEntry(utf8('k'))?.value)).toBe('v');
  await db.close();
});

test('expiry follows the injected clocks: reading by key, dropping by prefix', async () => {
  const nowMs = new Float64Array([0, 500]);
  const expiry = {
    readNowMs: (key: Uint8Array) => nowMs[key[1]!]!,
    durableNowMs: () => ({ prefixBytes: 2 as const, nowMs }),
  };
  const db = await open({ wal: false, expiry });
  const batch = new WriteBatch();
  for (const group of [0, 1, 2]) batch.put(new Uint8Array([0, group, 7]), utf8('v'), 400);
  db.apply(batch);
  await db.compact();
  expect((await db.verify()).entries).toBe(2);
  expect(db.getEntry(new Uint8Array([0, 0, 7]))?.expiresAtMs).toBe(400);
  nowMs[0] = 400;
  expect(db.getEntry(new Uint8Array([0, 0, 7]))).toBeUndefined();
  await db.close();
});

test('a flush does not wait for a long compaction', async () => {
  const fs = new MemoryFileSystem();
  const inline = inlineExecutor(fs);
  let letGo = (): void => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const started: Task['kind'][] = [];
  const executor = {
    ...inline,
    run: async (task: Task) => {
      started.push(task.kind);
      if (task.kind === 'compact') await held;
      return inline.run(task);
    },
  };
  const db = await Lsm.open({ dir: '/db', fs, executor, l0Trigger: 1, l0Stop: 100 });
  await db.put('a', '1');
  await db.flush();
  await db.put('a', '2');
  await db.flush();
  await db.put('a', '3');
  await db.flush();
  expect(started).toContain('compact');
  expect(db.stats().flushes).toBe(3);
  letGo();
  await db.compact();
  expect(text(db.getSync('a'))).toBe('3');
  await db.close();
});

test('closing settles writes in flight, is idempotent, and everything after it is refused', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: '/db', fs });
  const writes = Array.from({ length: 100 }, (_, i) => db.put(`k${i}`, 'v'));
  const cursor = db.cursor();
  await Promise.all([db.close(), db.close()]);
  await Promise.all(writes);
  expect(cursor.valid).toBe(false);
  expect(() => db.getSync('k1')).toThrow(expect.objectContaining({ code: 'LSM_CLOSED' }));
  await expect(db.put('k', 'v')).rejects.toMatchObject({ code: 'LSM_CLOSED' });
  await expect(db.whenWritable()).rejects.toMatchObject({ code: 'LSM_CLOSED' });
  await using again = await Lsm.open({ dir: '/db', fs });
  expect(keysOf(again).length).toBe(100);
});

test('metrics and events tell of flushes, compactions and stalls', async () => {
  const meter = new RecordingMeter();
  const db = await open({ meter, memtableBytes: 2048, memtablesMax: 2, l0Trigger: 2, l0Stop: 2 });
  for (let i = 0; i < 300; i++) await db.put(`k${i}`, 'v'.repeat(50));
  await db.compact();
  const stats = db.stats();
  expect(stats.flushes).toBeGreaterThan(3);
  expect(stats.compactions).toBeGreaterThan(0);
  expect(stats.stalls).toBeGreaterThan(0);
  expect(stats.writeAmplification).toBeGreaterThan(1);
  expect(meter.value('lsm_flushed_bytes_total')).toBe(stats.flushedBytes);
  expect(meter.value('lsm_stalls_total')).toBe(stats.stalls);
  expect(meter.value('lsm_sstables', { level: '6' })).toBe(stats.levels[6]!.tables);
  const types = new Set(meter.events.map(({ type }) => type));
  for (const type of ['lsm.flushed', 'lsm.compacted', 'lsm.stalled', 'lsm.stall_ended'] as const) {
    expect(types).toContain(type);
  }
  await db.close();
});

test('a value whose memory is to be transferred takes no others with it', async () => {
  const db = await open();
  await db.put('a', 'first');
  await db.put('b', 'second');
  for (const where of ['memtable', 'table'] as const) {
    if (where === 'table') await db.compact();
    const [one, other] = [db.getSync('a')!, db.getSync('b')!];
    try {
      structuredClone(one, { transfer: [one.buffer as ArrayBuffer] });
    } catch (error) {
      expect(error).toMatchObject({ name: 'DataCloneError' });
    }
    expect([one, other, db.getSync('a')!, db.getSync('b')!].map(text)).toEqual(['first', 'second', 'first', 'second']);
  }
  await db.close();
});

test('a snapshot that is closed, or of another database, is refused', async () => {
  const fs = new MemoryFileSystem();
  const [db, other] = [await Lsm.open({ dir: '/one', fs }), await Lsm.open({ dir: '/two', fs })];
  await db.put('a', '1');
  const snapshot = db.snapshot();
  snapshot.close();
  const refused = expect.objectContaining({ code: 'LSM_INVALID_ARGUMENT' });
  for (const bad of [snapshot, other.snapshot(), { ...snapshot }]) {
    expect(() => db.getSync('a', { snapshot: bad })).toThrow(refused);
    expect(() => db.cursor({ snapshot: bad })).toThrow(refused);
    await expect(db.getMany(['a'], { snapshot: bad })).rejects.toMatchObject({ code: 'LSM_INVALID_ARGUMENT' });
    await expect(db.exportTables('/out', { snapshot: bad })).rejects.toMatchObject({ code: 'LSM_INVALID_ARGUMENT' });
  }
  await Promise.all([db.close(), other.close()]);
});
