// Taking in prebuilt tables, and exporting a range as such: what is visible when, what is refused, what a failure leaves.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryFileSystem } from 'nori-io/memory';
import { SSTableWriter } from 'nori-sstable';
import { expect, test } from 'vitest';
import { Lsm, type LsmError, type LsmOptions, type Snapshot, WriteBatch } from '../src/index.js';
import { entriesOf } from './faults-support.js';
import { text, utf8 } from './support.js';

const DIR = '/data/db';

const open = (fs: MemoryFileSystem, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: DIR, fs, memtableBytes: 64 * 1024, ...options });

/** A file system with a folder for tables. */
const prepared = async (): Promise<MemoryFileSystem> => {
  const fs = new MemoryFileSystem();
  await fs.mkdir('/tables');
  return fs;
};

let numbers = 0;
/** Writes a table; a value of undefined is a tombstone. */
const table = (fs: MemoryFileSystem, entries: Readonly<Record<string, string | undefined>>): string => {
  const path = `/tables/${numbers++}.sst`;
  const writer = SSTableWriter.createSync({ fs, path });
  for (const [key, value] of Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1))) {
    writer.add(utf8(key), 3, value === undefined ? 2 : 1, 0, utf8(value ?? ''));
  }
  writer.finishSync();
  return path;
};

const levelsOf = (db: Lsm): number[] => db.stats().levels.map(({ tables }) => tables);
const refusal = (promise: Promise<unknown>): Promise<LsmError> =>
  promise.then(
    () => expect.unreachable('was not refused'),
    (error: LsmError) => error,
  );

test('entries of an ingested table are newer than all before and older than all after', async () => {
  const fs = await prepared();
  const db = await open(fs);
  await db.put('a', 'old');
  await db.put('b', 'old');
  await db.put('x', 'old');
  const before = db.snapshot();
  const cursor = db.cursor();
  const report = await db.ingest([table(fs, { a: 'new', b: undefined, c: 'new' })]);
  expect(report).toMatchObject({ tables: 1, entries: 3 });
  expect(entriesOf(db)).toEqual({ a: 'new', c: 'new', x: 'old' });
  const after = db.snapshot();
  await db.put('c', 'newer');
  expect(entriesOf(db)).toEqual({ a: 'new', c: 'newer', x: 'old' });
  expect(Array.from(db.scanSync({ snapshot: before }), ([key]) => text(key))).toEqual(['a', 'b', 'x']);
  expect(text(db.getSync('c', { snapshot: after }))).toBe('new');
  expect(db.getSync('c', { snapshot: before })).toBeUndefined();
  expect(text(db.getSync('a', { snapshot: before }))).toBe('old');
  const seen: string[] = [];
  for (; cursor.valid; cursor.next()) seen.push(`${text(cursor.key)} ${text(cursor.value)}`);
  expect(seen).toEqual(['a old', 'b old', 'x old']);
  cursor.close();
  for (const snapshot of [before, after]) snapshot.close();
  await db.compact();
  expect(entriesOf(db)).toEqual({ a: 'new', c: 'newer', x: 'old' });
  await db.close();
  const again = await open(fs);
  expect(entriesOf(again)).toEqual({ a: 'new', c: 'newer', x: 'old' });
  expect((await again.verify()).problems).toEqual([]);
  await again.close();
});

test('each table goes to the lowest level it can be in, or to the one asked for', async () => {
  const fs = await prepared();
  const db = await open(fs, { autoCompact: false });
  const first = await db.ingest([table(fs, { a: '1', c: '1' }), table(fs, { m: '1', o: '1' })]);
  expect(first.levels).toEqual([0, 0, 0, 0, 0, 0, 2]);
  // Between the two, and above the first one.
  await db.ingest([table(fs, { e: '1' })]);
  await db.ingest([table(fs, { b: '2' })]);
  expect(levelsOf(db)).toEqual([0, 0, 0, 0, 0, 1, 3]);
  const error = await refusal(db.ingest([table(fs, { a: '3' })], { level: 6 }));
  expect(error.code).toBe('LSM_TABLES_OVERLAP');
  await db.ingest([table(fs, { a: '3' })], { level: 3 });
  expect(levelsOf(db)).toEqual([0, 0, 0, 1, 0, 1, 3]);
  // Where a memtable is in the way it comes first.
  await db.put('m', '4');
  await db.ingest([table(fs, { m: '5' })]);
  expect(levelsOf(db)).toEqual([2, 0, 0, 1, 0, 1, 3]);
  expect(entriesOf(db)).toEqual({ a: '3', b: '2', c: '1', e: '1', m: '5', o: '1' });
  await db.compact();
  expect(entriesOf(db)).toEqual({ a: '3', b: '2', c: '1', e: '1', m: '5', o: '1' });
  await db.close();
});

test('a range is replaced, with its marks, in one moment that a crash does not split', async () => {
  const fs = await prepared();
  const options = { wal: false, collectMarks: () => [[1, utf8('old')]] as [number, Uint8Array][] };
  const db = await open(fs, options);
  db.apply(new WriteBatch().put(utf8('g1:a'), utf8('1')).put(utf8('g1:b'), utf8('1')).put(utf8('g2:a'), utf8('1')));
  await db.flush();
  db.apply(new WriteBatch().put(utf8('g1:c'), utf8('1')));
  const path = table(fs, { 'g1:b': '2', 'g1:d': '2' });
  const states = new Set<string>();
  const crashes: MemoryFileSystem[] = [];
  fs.onOperation = () => void crashes.push(fs.crash({ next: () => 0.5 }));
  await db.ingest([path], { replace: { prefix: 'g1:' }, marks: [[1, utf8('new')]] });
  fs.onOperation = undefined;
  expect(entriesOf(db)).toEqual({ 'g1:b': '2', 'g1:d': '2', 'g2:a': '1' });
  crashes.push(fs.crash({ next: () => 0 }));
  for (const left of crashes) {
    const after = await open(left, options);
    states.add(`${text(after.durableMarks().get(1))} ${JSON.stringify(entriesOf(after))}`);
    await after.close();
  }
  expect([...states]).toEqual([
    'old {"g1:a":"1","g1:b":"1","g2:a":"1"}',
    'old {"g1:a":"1","g1:b":"1","g1:c":"1","g2:a":"1"}',
    'new {"g1:b":"2","g1:d":"2","g2:a":"1"}',
  ]);
  await db.compact();
  expect(db.stats().rangeTombstones).toBe(0);
  await db.close();
});

test('writes go on meanwhile and come behind; without a log, apply waits for the moment', async () => {
  const fs = await prepared();
  const db = await open(fs);
  await db.put('k', '0');
  const done = db.ingest([table(fs, { k: 'ingested' })]);
  // Called later, so it counts, whenever it is written.
  await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([done, ...Array.from({ length: 20 }, (_, i) => db.put(`n${i}`, '1', { durability: 'none' }))]);
  expect(text(db.getSync('k'))).toBe('ingested');
  expect(Object.keys(entriesOf(db)).length).toBe(21);
  await db.close();

  const other = await Lsm.open({ dir: '/data/other', fs, wal: false });
  const busy: string[] = [];
  fs.onOperation = () => {
    try {
      other.apply(new WriteBatch().put(utf8('a'), utf8('1')));
    } catch (error) {
      busy.push((error as LsmError).code);
      expect(other.stalled).toBe(true);
    }
  };
  await other.ingest([table(fs, { k: 'ingested' })]);
  fs.onOperation = undefined;
  expect(new Set(busy)).toEqual(new Set(['LSM_BUSY']));
  expect(other.stalled).toBe(false);
  await other.put('b', '1');
  expect(entriesOf(other)).toEqual({ a: '1', b: '1', k: 'ingested' });
  await other.close();
});

test('what cannot be taken is refused with its name, and nothing changes', async () => {
  const fs = await prepared();
  const db = await open(fs);
  await db.put('a', '1');
  await db.flush();
  const names = async (): Promise<string[]> => (await fs.readdir(DIR)).sort();
  const before = await names();
  const foreign = '/tables/foreign';
  const file = await fs.open(foreign, 'create');
  await file.write([new Uint8Array(5000)], 0);
  await file.close();
  const versions = '/tables/versions';
  const writer = SSTableWriter.createSync({ fs, path: versions });
  writer.add(utf8('k'), 2, 1, 0, utf8('2'));
  writer.add(utf8('k'), 1, 1, 0, utf8('1'));
  writer.finishSync();
  const damaged = table(fs, { d: 'x'.repeat(3000) });
  const hurt = await fs.open(damaged, 'write');
  await hurt.write([new Uint8Array(4)], 100);
  await hurt.close();
  const good = table(fs, { g: '1', i: '1' });
  const codes = [
    await refusal(db.ingest([foreign])),
    await refusal(db.ingest([versions])),
    await refusal(db.ingest(['/tables/nothing'])),
    await refusal(db.ingest([good, damaged], { verify: true })),
    await refusal(db.ingest([good, table(fs, { h: '1' })])),
    await refusal(db.ingest([good], { level: 9 })),
    await refusal(db.ingest([good], { marks: [[1, utf8('m')]] })),
  ].map(({ code }) => code);
  expect(codes).toEqual([
    'LSM_INVALID_TABLE',
    'LSM_INVALID_TABLE',
    'LSM_NOT_FOUND',
    'LSM_CORRUPT_TABLE',
    'LSM_TABLES_OVERLAP',
    'LSM_INVALID_ARGUMENT',
    'LSM_INVALID_ARGUMENT',
  ]);
  expect(await names()).toEqual(before);
  expect(entriesOf(db)).toEqual({ a: '1' });
  // An empty table is nothing.
  expect(await db.ingest([table(fs, {})])).toMatchObject({ tables: 0, entries: 0 });
  await db.ingest([good]);
  expect(entriesOf(db)).toEqual({ a: '1', g: '1', i: '1' });
  await db.close();
  expect((await refusal(db.ingest([good]))).code).toBe('LSM_CLOSED');
});

test('whichever operation fails, the tables are in or they are not, and go on later', async () => {
  for (let after = 0; ; after++) {
    const fs = await prepared();
    const db = await open(fs);
    await db.put('a', '1');
    const path = table(fs, { a: '2', b: '2' });
    const fault = fs.inject({
      on: ['create', 'write', 'datasync', 'link', 'sync-dir', 'rename'],
      after,
      code: 'IO_NO_SPACE',
    });
    const outcome = await db.ingest([path]).then(
      () => 'in',
      (error: LsmError) => error.code,
    );
    const isDone = fault.hits === 0;
    fault.remove();
    expect(['in', 'LSM_NO_SPACE', 'LSM_LOG_FAILED']).toContain(outcome);
    expect(entriesOf(db)).toEqual(outcome === 'in' ? { a: '2', b: '2' } : { a: '1' });
    await db.close();
    const again = await open(fs.crash({ next: () => 0 }));
    expect(entriesOf(again)).toEqual(outcome === 'in' ? { a: '2', b: '2' } : { a: '1' });
    expect((await again.verify()).problems).toEqual([]);
    await again.close();
    if (isDone) break;
  }
});

test('a range is exported as of a snapshot, by a thread, and comes back somewhere else', {
  timeout: 30_000,
}, async () => {
  const root = await mkdtemp(join(tmpdir(), 'nori-export-'));
  try {
    const db = await Lsm.open({ dir: join(root, 'db'), durability: 'os' });
    const key = (i: number): string => `key${String(i).padStart(5, '0')}`;
    const puts = (from: number, to: number, value: string) =>
      Array.from({ length: to - from }, (_, i) => ({ type: 'put', key: key(from + i), value }) as const);
    await db.batch(puts(0, 20_000, 'v'.repeat(100)));
    await db.deleteRange({ gte: key(5000), lt: key(6000) });
    await db.delete(key(1));
    const snapshot = db.snapshot();
    await db.batch(puts(4000, 7000, 'later'));
    const report = await db.exportTables(join(root, 'out'), { lt: key(10_000), snapshot, tableBytes: 200_000 });
    snapshot.close();
    expect(report.entries).toBe(8999);
    expect(report.tables.length).toBeGreaterThan(3);
    expect((await refusal(db.exportTables(join(root, 'out')))).code).toBe('LSM_EXISTS');
    const other = await Lsm.open({ dir: join(root, 'other') });
    await other.put(key(3), 'hidden');
    await other.ingest(
      report.tables.map(({ path }) => path),
      { verify: true },
    );
    await rm(join(root, 'out'), { recursive: true });
    const found = Array.from(other.scanSync());
    expect(found.length).toBe(8999);
    expect(found.every(([, value]) => value.length === 100)).toBe(true);
    await other.compact();
    expect(Array.from(other.scanSync()).length).toBe(8999);
    await Promise.all([db.close(), other.close()]);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

const settled = async (): Promise<void> => {
  for (let i = 0; i < 300; i++) await new Promise((resolve) => setImmediate(resolve));
};

test('what was deleted after an ingestion stays deleted, though sequence numbers in L0 interlock', async () => {
  const fs = await prepared();
  const db = await open(fs);
  // Older than the table, in a memtable that is flushed after it.
  await db.put('x', '1');
  await db.ingest([table(fs, { b: 'stale' })], { level: 0 });
  await db.delete('b');
  for (let i = 0; i < 100; i++) await db.put(`r${i}`, 'v'.repeat(100), { durability: 'none' });
  await db.flush();
  await db.deleteRange({ prefix: 'r' });
  await db.flush();
  await settled();
  expect(entriesOf(db)).toEqual({ x: '1' });
  await db.compact();
  expect(entriesOf(db)).toEqual({ x: '1' });
  await db.close();
});

test('a range without keys replaces nothing, and no range at all is refused', async () => {
  const fs = await prepared();
  const db = await open(fs);
  await db.put('a', '1');
  await db.ingest([], { replace: { lt: '' } });
  await db.ingest([], { replace: { gte: 'b', lt: 'a' } });
  expect((await refusal(db.ingest([], { replace: {} }))).code).toBe('LSM_INVALID_ARGUMENT');
  expect(entriesOf(db)).toEqual({ a: '1' });
  await db.close();
});

test('marks that come with tables tell the truth about all that was applied before', async () => {
  const fs = await prepared();
  const options = { wal: false };
  const db = await open(fs, options);
  db.apply(new WriteBatch().put(utf8('z'), utf8('applied')));
  await db.ingest([table(fs, { a: '1' })], { marks: [[1, utf8('after z and the table')]] });
  const left = await open(fs.crash({ next: () => 0 }), options);
  expect([text(left.durableMarks().get(1)), entriesOf(left)]).toEqual([
    'after z and the table',
    { a: '1', z: 'applied' },
  ]);
  await Promise.all([db.close(), left.close()]);
});

test('a snapshot that is opened while a range is being replaced keeps its view', async () => {
  const fs = await prepared();
  const db = await open(fs);
  await db.put('a', 'old');
  await db.compact();
  let snapshot: Snapshot | undefined;
  fs.onOperation = ({ path, kind }) => {
    if (kind === 'write' && path.includes('MANIFEST')) snapshot ??= db.snapshot();
  };
  await db.ingest([table(fs, { a: 'new' })], { replace: { gte: '' } });
  fs.onOperation = undefined;
  await settled();
  expect([text(db.getSync('a', { snapshot: snapshot! })), text(db.getSync('a'))]).toEqual(['old', 'new']);
  snapshot!.close();
  await db.compact();
  expect([entriesOf(db), db.stats().rangeTombstones]).toEqual([{ a: 'new' }, 0]);
  await db.close();
});

test('a disk that stays full is told, and the tables can be taken later', async () => {
  const fs = await prepared();
  const db = await open(fs);
  const full = fs.inject({
    on: ['write', 'create'],
    path: 'MANIFEST',
    code: 'IO_NO_SPACE',
    times: Number.POSITIVE_INFINITY,
  });
  const path = table(fs, { a: '1' });
  expect((await refusal(db.ingest([path]))).code).toBe('LSM_NO_SPACE');
  expect((await refusal(db.openKeyspace('k'))).code).toBe('LSM_NO_SPACE');
  full.remove();
  expect([entriesOf(db), db.keyspaces()]).toEqual([{}, []]);
  await db.put('b', '1');
  await db.ingest([path]);
  await db.openKeyspace('k');
  await db.close();
  const again = await open(fs.crash({ next: () => 0 }));
  expect([entriesOf(again), again.keyspaces()]).toEqual([{ a: '1', b: '1' }, ['k']]);
  await again.close();
});

test('an export that fails at its last step leaves nothing', async () => {
  const fs = await prepared();
  const db = await open(fs);
  await db.put('a', '1');
  await db.flush();
  const fault = fs.inject({ on: 'sync-dir', path: '/out', code: 'IO_FAILED' });
  expect((await refusal(db.exportTables('/out'))).code).toBe('LSM_IO_FAILED');
  fault.remove();
  expect(await fs.readdir('/out')).toEqual([]);
  await db.close();
});
