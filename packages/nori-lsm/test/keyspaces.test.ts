// Keyspaces: keys and settings of their own, one log and one order of writes with all others.
import { MemoryFileSystem } from 'nori-io/memory';
import { SSTableReader, SSTableWriter } from 'nori-sstable';
import { expect, test } from 'vitest';
import { type KeyedStore, Lsm, type LsmError, type LsmOptions, WriteBatch } from '../src/index.js';
import { Manifest } from '../src/manifest.js';
import { hex, TestClock, text, utf8 } from './support.js';

const DIR = '/data/db';

const open = (fs: MemoryFileSystem, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: DIR, fs, memtableBytes: 16 * 1024, ...options });

const entriesOf = (store: KeyedStore): Record<string, string> =>
  Object.fromEntries(Array.from(store.scanSync(), ([key, value]) => [text(key)!, text(value)!]));

const codeOf = (work: () => unknown): Promise<string> =>
  Promise.resolve()
    .then(work)
    .then(
      () => 'none',
      (error: LsmError) => error.code,
    );

test('keyspaces do not see each other, share snapshots, and are there after opening again', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  const users = await db.openKeyspace('users');
  const carts = await db.openKeyspace('carts');
  await db.put('a', 'default');
  await users.put('a', 'users');
  await carts.put('a', 'carts');
  await carts.put('', 'empty key');
  const snapshot = carts.snapshot();
  await db.batch([
    { type: 'put', key: 'b', value: 'default' },
    { type: 'put', keyspace: 'users', key: 'b', value: 'users' },
    { type: 'delete', keyspace: carts, key: 'a' },
    { type: 'deleteRange', keyspace: carts, lt: 'a' },
  ]);
  const check = (at: Lsm): void => {
    expect(at.keyspaces()).toEqual(['carts', 'users']);
    expect(entriesOf(at)).toEqual({ a: 'default', b: 'default' });
    expect(entriesOf(at.keyspace('users'))).toEqual({ a: 'users', b: 'users' });
    expect(entriesOf(at.keyspace('carts'))).toEqual({});
    expect(Array.from(at.scanSync({ reverse: true }), ([key]) => text(key))).toEqual(['b', 'a']);
    expect(text(at.keyspace('users').getEntry('b')!.value)).toBe('users');
  };
  check(db);
  expect(Array.from(carts.scanSync({ snapshot }), ([key, value]) => [text(key), text(value)])).toEqual([
    ['', 'empty key'],
    ['a', 'carts'],
  ]);
  expect((await users.getMany(['a', 'b', 'c'])).map(text)).toEqual(['users', 'users', undefined]);
  const cursor = users.cursor({ reverse: true });
  cursor.seek(utf8('az'));
  expect(text(cursor.key)).toBe('a');
  cursor.previous();
  expect([text(cursor.key), cursor.version > 0]).toEqual(['b', true]);
  cursor.close();
  snapshot.close();
  await db.compact();
  check(db);
  await db.close();
  const again = await open(fs);
  check(again);
  await again.close();
});

test('keys of the default keyspace may begin with anything, and keep their order', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  const other = await db.openKeyspace('other');
  const keys = ['', '00', '41', 'fe', 'fe00', 'ff', 'ff00', 'ff0000', 'ff01', 'ff010001', 'ff01000161', 'ff02', 'ffff'];
  for (const key of keys) await db.put(Buffer.from(key, 'hex'), key);
  await other.put('a', '1');
  const look = (): void => {
    expect(Array.from(db.scanSync(), ([key, value]) => [hex(key), text(value)])).toEqual(keys.map((key) => [key, key]));
    expect(Array.from(db.scanSync({ reverse: true }), ([key]) => hex(key))).toEqual([...keys].reverse());
    for (const key of keys) {
      expect(text(db.getSync(Buffer.from(key, 'hex')))).toBe(key);
      const bound = Buffer.from(key, 'hex');
      expect(Array.from(db.scanSync({ gte: bound }), ([found]) => hex(found))).toEqual(
        keys.filter((each) => each >= key),
      );
      expect(Array.from(db.scanSync({ lt: bound }), ([found]) => hex(found))).toEqual(
        keys.filter((each) => each < key),
      );
      const prefixed = keys.filter((each) => each.startsWith(key));
      expect(Array.from(db.scanSync({ prefix: bound }), ([found]) => hex(found))).toEqual(prefixed);
    }
    expect(entriesOf(other)).toEqual({ a: '1' });
  };
  look();
  await db.compact();
  look();
  await db.deleteRange({ gte: Buffer.from('ff01', 'hex') });
  expect(Array.from(db.scanSync(), ([key]) => hex(key))).toEqual(keys.slice(0, 8));
  expect(entriesOf(other)).toEqual({ a: '1' });
  const largest = new Uint8Array(65_535).fill(255);
  expect(await codeOf(() => db.put(largest, '1'))).toBe('LSM_KEY_TOO_LARGE');
  expect(await codeOf(() => other.put(largest, '1'))).toBe('LSM_KEY_TOO_LARGE');
  await other.put(largest.subarray(4), '1');
  await db.close();

  const bare = await Lsm.open({ dir: '/data/bare', fs, wal: false });
  bare.apply(new WriteBatch().put(Uint8Array.of(255, 1), utf8('1')).put(Uint8Array.of(1), utf8('2')));
  expect(Array.from(bare.scanSync(), ([key]) => hex(key))).toEqual(['01', 'ff01']);
  bare.apply(new WriteBatch().deleteRange(Uint8Array.of(255), new Uint8Array(0)));
  expect(Array.from(bare.scanSync(), ([key]) => hex(key))).toEqual(['01']);
  await bare.close();
});

test('settings are kept, and shape tables of their own; entries live as long as the keyspace says', async () => {
  const fs = new MemoryFileSystem();
  const clock = new TestClock();
  let db = await open(fs, { clock, autoCompact: false });
  await db.openKeyspace('packed', { compression: 'lz4', blockBytes: 1024, bloomBitsPerKey: 0, ttlMs: 60_000 });
  let packed = await db.openKeyspace('packed');
  expect(packed.settings).toEqual({ compression: 'lz4', blockBytes: 1024, bloomBitsPerKey: 0, ttlMs: 60_000 });
  for (let i = 0; i < 50; i++) {
    await db.put(`key${i}`, 'word '.repeat(100), { durability: 'none' });
    await packed.put(`key${i}`, 'word '.repeat(100), { durability: 'none', ...(i === 7 ? { ttlMs: 1000 } : {}) });
  }
  await db.flush();
  await db.compact();
  // What was compacted is removed in the background.
  await db.close();
  const found = [];
  for (const name of (await fs.readdir(DIR)).filter((each) => each.endsWith('.sst'))) {
    const reader = await SSTableReader.open({ fs, path: `${DIR}/${name}` });
    const { compression, blockBytes, bloomBitsPerKey, entries, smallestKey } = reader.properties;
    found.push([smallestKey[0] === 255, compression, blockBytes, bloomBitsPerKey, entries]);
    await reader.close();
  }
  expect(found.sort()).toEqual([
    [false, 'none', 4096, 10, 50],
    [true, 'lz4', 1024, 0, 50],
  ]);
  db = await open(fs, { clock });
  packed = db.keyspace('packed');
  clock.nowMs += 1000;
  expect(Object.keys(entriesOf(packed)).length).toBe(49);
  clock.nowMs += 59_000;
  expect(Object.keys(entriesOf(packed)).length).toBe(0);
  expect(Object.keys(entriesOf(db)).length).toBe(50);
  await db.openKeyspace('packed', { ttlMs: 5 });
  expect(packed.settings).toEqual({ ttlMs: 5 });
  await db.close();
  const again = await open(fs, { clock });
  expect(again.keyspace('packed').settings).toEqual({ ttlMs: 5 });
  await again.close();
});

test('a dropped keyspace is gone with its space, and one of the same name is another', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  const old = await db.openKeyspace('data');
  for (let i = 0; i < 500; i++) await old.put(`key${i}`, 'x'.repeat(100), { durability: 'none' });
  await db.put('kept', '1');
  await db.compact();
  const before = db.stats().tableBytes;
  const pending = old.put('late', '1');
  const dropping = db.dropKeyspace('data');
  await Promise.all([pending, dropping]);
  expect(await codeOf(() => old.put('a', '1'))).toBe('LSM_UNKNOWN_KEYSPACE');
  expect(await codeOf(() => old.getSync('a'))).toBe('LSM_UNKNOWN_KEYSPACE');
  expect(await codeOf(() => db.batch([{ type: 'put', keyspace: 'data', key: 'a', value: '1' }]))).toBe(
    'LSM_UNKNOWN_KEYSPACE',
  );
  expect(db.keyspaces()).toEqual([]);
  const fresh = await db.openKeyspace('data');
  expect(entriesOf(fresh)).toEqual({});
  await fresh.put('a', '1');
  await db.compact();
  expect(db.stats().tableBytes).toBeLessThan(before / 2);
  expect(db.stats().rangeTombstones).toBe(0);
  await db.close();
  for (const left of [fs, fs.crash({ next: () => 0 })]) {
    const again = await open(left);
    expect(entriesOf(again.keyspace('data'))).toEqual({ a: '1' });
    expect(entriesOf(again)).toEqual({ kept: '1' });
    await again.close();
  }
});

test('a drop that fails can be tried again, and the keyspace is what it was until then', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  const data = await db.openKeyspace('data');
  await data.put('a', '1');
  const full = fs.inject({ on: 'write', path: '.sst', code: 'IO_NO_SPACE', times: Number.POSITIVE_INFINITY });
  expect(await codeOf(() => db.dropKeyspace('data'))).toBe('LSM_NO_SPACE');
  full.remove();
  expect([db.keyspaces(), entriesOf(data)]).toEqual([['data'], { a: '1' }]);
  await data.put('b', '2');
  await db.dropKeyspace('data');
  const fresh = await db.openKeyspace('data');
  await fresh.put('c', '3');
  await db.close();
  const again = await open(fs);
  expect([again.keyspaces(), entriesOf(again.keyspace('data'))]).toEqual([['data'], { c: '3' }]);
  await again.close();
});

test('a crash leaves a keyspace whole or not at all', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  const crashes: MemoryFileSystem[] = [];
  fs.onOperation = () => void crashes.push(fs.crash({ next: () => 0.5 }));
  const created = await db.openKeyspace('k', { ttlMs: 1000 });
  await created.put('a', '1');
  await db.dropKeyspace('k');
  fs.onOperation = undefined;
  await db.close();
  const states = new Set<string>();
  for (const left of crashes) {
    const after = await open(left);
    const found = after.keyspaces().map((name) => [after.keyspace(name).settings, entriesOf(after.keyspace(name))]);
    states.add(JSON.stringify(found));
    await after.close();
  }
  expect([...states]).toEqual(['[]', '[[{"ttlMs":1000},{}]]', '[[{"ttlMs":1000},{"a":"1"}]]']);
});

test('tables go in and out with the keys that callers have', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  const users = await db.openKeyspace('users');
  for (let i = 0; i < 100; i++) await users.put(`user${String(i).padStart(3, '0')}`, `${i}`, { durability: 'none' });
  await users.delete('user050');
  const { tables, entries } = await users.exportTables('/data/out', { gte: 'user010' });
  expect([entries, text(tables[0]!.smallestKey), text(tables.at(-1)!.largestKey)]).toEqual([89, 'user010', 'user099']);
  const paths = tables.map(({ path }) => path);
  const copy = await db.openKeyspace('copy');
  await copy.put('user010', 'hidden');
  await copy.ingest(paths);
  expect(Object.keys(entriesOf(copy)).length).toBe(89);
  expect(text(copy.getSync('user010'))).toBe('10');
  await db.ingest(paths);
  expect(Object.keys(entriesOf(db)).length).toBe(89);
  await copy.ingest(paths.slice(0, 1), { replace: { gte: '' } });
  expect(Object.keys(entriesOf(users)).length).toBe(99);

  // Of the default keyspace, keys that begin with 0xff are stored in another form too.
  const path = '/data/ff.sst';
  const writer = SSTableWriter.createSync({ fs, path });
  writer.add(utf8('z'), 1, 1, 0, utf8('1'));
  writer.add(Uint8Array.of(255, 3), 1, 1, 0, utf8('2'));
  writer.add(Uint8Array.of(255, 4), 1, 2, 0, new Uint8Array(0));
  writer.finishSync();
  await db.put(Uint8Array.of(255, 4), 'deleted by the table');
  await db.ingest([path]);
  expect(text(db.getSync(Uint8Array.of(255, 3)))).toBe('2');
  expect(db.getSync(Uint8Array.of(255, 4))).toBeUndefined();
  await db.compact();
  expect(Object.keys(entriesOf(db)).length).toBe(91);
  const listed = db.stats().levels.reduce((sum, level) => sum + level.tables, 0);
  await db.close();
  expect((await fs.readdir(DIR)).filter((name) => name.endsWith('.sst')).length).toBe(listed);
});

test('a condition that fails names the key as the caller has it', async () => {
  const db = await open(new MemoryFileSystem());
  const users = await db.openKeyspace('users');
  await users.put('a', '1');
  await db.put(Uint8Array.of(255, 7), '1');
  const failed = async (write: Promise<void>): Promise<string> =>
    write.then(
      () => 'done',
      ({ code, key }: LsmError) => `${code} ${hex(key!)}`,
    );
  expect(await failed(users.put('a', '2', { ifAbsent: true }))).toBe('LSM_CONDITION_FAILED 61');
  expect(await failed(db.put(Uint8Array.of(255, 7), '2', { ifAbsent: true }))).toBe('LSM_CONDITION_FAILED ff07');
  const check = { type: 'check', keyspace: users, key: 'a', ifAbsent: true } as const;
  expect(await failed(db.batch([check, { type: 'put', key: 'b', value: '1' }]))).toBe('LSM_CONDITION_FAILED 61');
  expect(db.getSync('b')).toBeUndefined();
  await users.put('a', '2', { ifVersion: users.getEntry('a')!.version });
  expect(text(users.getSync('a'))).toBe('2');
  await db.close();
});

test('what cannot be is refused, and nothing changes', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  expect(await codeOf(() => db.keyspace('nope'))).toBe('LSM_UNKNOWN_KEYSPACE');
  expect(await codeOf(() => db.openKeyspace('nope', { createIfMissing: false }))).toBe('LSM_UNKNOWN_KEYSPACE');
  expect(await codeOf(() => db.dropKeyspace('nope'))).toBe('LSM_UNKNOWN_KEYSPACE');
  expect(await codeOf(() => db.openKeyspace(''))).toBe('LSM_INVALID_ARGUMENT');
  expect(await codeOf(() => db.openKeyspace('x'.repeat(256)))).toBe('LSM_INVALID_ARGUMENT');
  expect(await codeOf(() => db.openKeyspace('a', { blockBytes: 1 }))).toBe('LSM_INVALID_OPTIONS');
  expect(await codeOf(() => db.openKeyspace('a', { compression: 'best' as 'lz4' }))).toBe('LSM_INVALID_OPTIONS');
  expect(await codeOf(() => db.openKeyspace('a', { ttlMs: 0 }))).toBe('LSM_INVALID_OPTIONS');
  const batch = [
    { type: 'put', key: 'a', value: '1' },
    { type: 'put', keyspace: 'nope', key: 'a', value: '1' },
  ] as const;
  expect(await codeOf(() => db.batch(batch))).toBe('LSM_UNKNOWN_KEYSPACE');
  expect(entriesOf(db)).toEqual({});
  expect(db.keyspaces()).toEqual([]);
  await db.close();
  expect(await codeOf(() => db.openKeyspace('a'))).toBe('LSM_CLOSED');
  const reader = await open(fs, { readOnly: true });
  expect(await codeOf(() => reader.openKeyspace('a'))).toBe('LSM_READ_ONLY');
  await reader.close();

  // A database of an earlier version has keys as they are.
  const dir = '/data/earlier';
  await fs.mkdir(dir);
  await (await Manifest.create(fs, dir, { ownLog: true })).close();
  const earlier = await open(fs, { dir });
  await earlier.put(Uint8Array.of(255, 0), '1');
  expect(await codeOf(() => earlier.openKeyspace('a'))).toBe('LSM_INVALID_ARGUMENT');
  await earlier.close();
  const again = await open(fs, { dir });
  expect(Array.from(again.scanSync(), ([key]) => hex(key))).toEqual(['ff00']);
  await again.close();
});

test('many keyspaces cost no tables of their own, and dropped ones keep no compaction from its end', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs, { autoCompact: false });
  const names = Array.from({ length: 60 }, (_, i) => `k${i}`);
  for (const name of names) {
    const keyspace = await db.openKeyspace(name, Number(name.slice(1)) % 2 === 0 ? { compression: 'lz4' } : {});
    for (let i = 0; i < 3; i++) await keyspace.put(`${i}`, name, { durability: 'none' });
  }
  await db.flush();
  for (const name of names) await db.keyspace(name).put('4', 'v', { durability: 'none' });
  await db.compact();
  // One for each that has settings of its own, and what lies between them.
  expect(db.stats().levels.at(-1)!.tables).toBeLessThanOrEqual(60);
  const snapshot = db.snapshot();
  for (const name of names.slice(1)) await db.dropKeyspace(name);
  await db.keyspace('k0').put('5', 'v');
  await db.compact();
  snapshot.close();
  await db.compact();
  expect(db.stats().rangeTombstones).toBe(0);
  expect(entriesOf(db.keyspace('k0'))).toEqual({ 0: 'k0', 1: 'k0', 2: 'k0', 4: 'v', 5: 'v' });
  await db.close();
});

test('what is written is more than its tables, when compression is turned off', async () => {
  const db = await open(new MemoryFileSystem(), { tableBytes: 4096, autoCompact: false, memtableBytes: 1 << 20 });
  const packed = await db.openKeyspace('k', { compression: 'lz4' });
  for (let i = 0; i < 300; i++) await packed.put(`key${i}`, ' '.repeat(2000), { durability: 'none' });
  await db.flush();
  await packed.put('key0', ' ');
  await db.compact();
  await db.openKeyspace('k', { compression: 'none' });
  await packed.put('key1', ' ');
  await db.compact();
  expect(Object.keys(entriesOf(packed)).length).toBe(300);
  await db.close();
});

test('the time to live of a batch goes before that of the keyspace', async () => {
  const clock = new TestClock();
  const db = await open(new MemoryFileSystem(), { clock });
  const keyspace = await db.openKeyspace('k', { ttlMs: 1000 });
  await keyspace.batch([{ type: 'put', key: 'a', value: '1' }], { ttlMs: 5000 });
  await keyspace.batch([{ type: 'put', key: 'b', value: '1' }]);
  await keyspace.put('c', '1', { ttlMs: 7000 });
  const ttlMs = (key: string): number => keyspace.getEntry(key)!.expiresAtMs - clock.nowMs;
  expect(['a', 'b', 'c'].map(ttlMs)).toEqual([5000, 1000, 7000]);
  await db.close();
});

test('a keyspace that was dropped, or is of another database, is no address for a batch or for tables', async () => {
  const fs = new MemoryFileSystem();
  const [db, other] = [await open(fs), await open(fs, { dir: '/data/other' })];
  const old = await db.openKeyspace('k');
  await old.put('a', '1');
  const { tables } = await old.exportTables('/data/out');
  const taking = old.ingest(tables.map(({ path }) => path));
  const dropping = db.dropKeyspace('k');
  await Promise.allSettled([taking, dropping]);
  await dropping;
  await db.openKeyspace('k');
  const foreign = await other.openKeyspace('k');
  for (const keyspace of [old, foreign]) {
    expect(await codeOf(() => db.batch([{ type: 'put', keyspace, key: 'a', value: '2' }]))).toBe(
      'LSM_UNKNOWN_KEYSPACE',
    );
  }
  expect(await codeOf(() => old.ingest(tables.map(({ path }) => path)))).toBe('LSM_UNKNOWN_KEYSPACE');
  expect(entriesOf(db.keyspace('k'))).toEqual({});
  await Promise.all([db.close(), other.close()]);
});
