// Repair of databases with ranges that were deleted, tables that were ingested, keyspaces: what it keeps of them, and what it says is lost.
import { MemoryFileSystem } from 'nori-io/memory';
import { SSTableWriter } from 'nori-sstable';
import { expect, test } from 'vitest';
import { type Keyspace, Lsm, type LsmOptions } from '../src/index.js';
import { Manifest } from '../src/manifest.js';
import { findManifest } from '../src/repair/find-manifest.js';
import { repair } from '../src/repair.js';
import { bytesOf, DIR, namesOf, overwrite } from './faults-support.js';
import { text, utf8 } from './support.js';

const open = (fs: MemoryFileSystem, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: DIR, fs, autoCompact: false, blockBytes: 64, ...options });

const entriesOf = (store: Lsm | Keyspace): string[] =>
  Array.from(store.scanSync(), ([key, value]) => `${text(key)}=${text(value)}`);

/** Puts `from` to `to`, both included, all in one batch. */
const putAll = (db: Lsm, from: number, to: number, value: string, keyspace?: string): Promise<void> =>
  db.batch(
    Array.from({ length: to - from + 1 }, (_, i) => ({ type: 'put', key: `k${from + i}`, value, keyspace }) as const),
  );

/** A table whose entries have sequence numbers of another database, from `seq` on. */
const foreignTable = async (fs: MemoryFileSystem, seq: number, from: number, to: number): Promise<string> => {
  await fs.mkdir('/elsewhere');
  const path = `/elsewhere/${seq}-${from}.sst`;
  const writer = await SSTableWriter.create({ fs, path, level: 0, blockBytes: 64, bloomBitsPerKey: 0 });
  for (let i = from; i <= to; i++) writer.add(utf8(`k${i}`), seq + i, 1, 0, utf8(`ingested ${'x'.repeat(30)}`));
  await writer.finish();
  return path;
};

const removeManifest = async (fs: MemoryFileSystem): Promise<void> => {
  for (const name of await namesOf(fs, /^MANIFEST/)) await fs.unlink(`${DIR}/${name}`);
};

/** What the manifest is now: to be put back later, as if its last records were lost. */
const savedManifest = async (fs: MemoryFileSystem): Promise<() => Promise<void>> => {
  const [name] = (await namesOf(fs, /^MANIFEST/)) as [string];
  const bytes = (await bytesOf(fs, name)).slice();
  return () => overwrite(fs, `${DIR}/${name}`, bytes);
};

const damageTable = async (fs: MemoryFileSystem, name: string): Promise<void> => {
  const bytes = (await bytesOf(fs, name)).slice();
  bytes[10]! ^= 1;
  await overwrite(fs, `${DIR}/${name}`, bytes);
};

test('a damaged table that was ingested stays newer than what it had replaced', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await putAll(db, 10, 29, 'old');
  await db.flush();
  const before = await namesOf(fs, /^\d+\.sst$/);
  await db.ingest([await foreignTable(fs, 1, 10, 29)]);
  const { lastSequence } = db.stats();
  await db.close();
  const ingested = (await namesOf(fs, /^\d+\.sst$/)).filter((name) => !before.includes(name));
  await damageTable(fs, ingested[0]!);
  const report = await repair({ dir: DIR, fs });
  expect(report.tables[0]).toMatchObject({ file: ingested[0], outcome: 'rewritten', blocksLost: 1 });
  const again = await open(fs);
  const entries = entriesOf(again);
  expect(entries.length).toBe(20);
  expect(entries.filter((line) => line.includes('ingested')).length).toBe(report.tables[0]!.entriesKept);
  expect(again.stats().lastSequence).toBe(lastSequence);
  await again.close();
});

test('the log is not taken again where that would bring back a keyspace that was dropped', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  const gone = await db.openKeyspace('gone');
  await gone.put('k', 'of a keyspace that is gone');
  await putAll(db, 10, 29, 'old');
  await db.flush();
  await db.dropKeyspace('gone');
  await db.put('a', 'in the log alone');
  await db.close();
  const [first] = (await namesOf(fs, /^\d+\.sst$/)) as [string];
  await fs.unlink(`${DIR}/${first}`);
  expect(await repair({ dir: DIR, fs })).toMatchObject({ manifest: 'kept', log: { operationsKept: 1 } });
  const again = await open(fs);
  expect([again.keyspaces(), entriesOf(again)]).toEqual([[], ['a=in the log alone']]);
  // The next keyspace has another number, and nothing in it.
  expect(entriesOf(await again.openKeyspace('gone'))).toEqual([]);
  await again.close();
});

test('the log is not taken again where that would hide what was ingested', async () => {
  for (const isLast of [true, false]) {
    const fs = new MemoryFileSystem();
    const db = await open(fs);
    await putAll(db, 10, 29, 'old');
    await db.flush();
    await db.put('a', 'in the log alone');
    await db.ingest([await foreignTable(fs, 1, 10, 29)]);
    if (!isLast) await db.put('b', 'behind it');
    const { lastSequence } = db.stats();
    await db.close();
    const [first] = (await namesOf(fs, /^\d+\.sst$/)) as [string];
    await fs.unlink(`${DIR}/${first}`);
    const report = await repair({ dir: DIR, fs });
    expect(report).toMatchObject({ manifest: 'kept', log: { outcome: 'kept', operationsKept: isLast ? 1 : 2 } });
    const again = await open(fs);
    const found = entriesOf(again);
    expect(found.filter((line) => line.includes('ingested')).length).toBe(20);
    expect(found.length).toBe(isLast ? 21 : 22);
    expect(again.stats().lastSequence).toBe(lastSequence);
    await again.close();
  }
});

test('the log is taken again from behind an ingestion on, with the ranges deleted in it', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await putAll(db, 10, 19, 'before');
  await db.ingest([await foreignTable(fs, 1, 10, 12)]);
  await putAll(db, 20, 39, 'behind');
  await db.deleteRange({ gte: 'k25', lt: 'k30' });
  await db.put('k27', 'anew');
  await db.flush();
  const tables = await namesOf(fs, /^\d+\.sst$/);
  await db.close();
  await fs.unlink(`${DIR}/${tables.at(-1)}`);
  const report = await repair({ dir: DIR, fs });
  expect(report.log).toMatchObject({ outcome: 'kept', operationsKept: 22 });
  const again = await open(fs);
  const keys = Array.from(again.scanSync(), ([key]) => text(key));
  const expected = Array.from({ length: 30 }, (_, i) => `k${10 + i}`);
  expect(keys).toEqual(expected.filter((key) => key < 'k25' || key > 'k29' || key === 'k27'));
  expect(text(again.getSync('k27'))).toBe('anew');
  expect(text(again.getSync('k11'))).toContain('ingested');
  await again.close();
});

test('without a manifest keyspaces are found by their keys, and deleted ranges in the log', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await db.openKeyspace('empty');
  for (const name of ['users', 'orders']) await putAll(db, 10, 19, name, (await db.openKeyspace(name)).name);
  await db.put(Uint8Array.of(0xff, 7), 'escaped');
  await putAll(db, 10, 19, 'default');
  await db.flush();
  await db.deleteRange({ gte: 'k12', lt: 'l' });
  await db.batch([{ type: 'deleteRange', gte: 'k11', keyspace: 'users' }]);
  const { lastSequence } = db.stats();
  await db.close();
  await removeManifest(fs);
  const report = await repair({ dir: DIR, fs });
  expect(report).toMatchObject({ manifest: 'rebuilt', log: { outcome: 'salvaged' } });
  expect(report.recoveredKeyspaces).toEqual([
    { id: 2, name: 'recovered-2' },
    { id: 3, name: 'recovered-3' },
  ]);
  expect(report.notes.join()).toContain('names and settings of keyspaces');
  const again = await open(fs);
  expect(again.keyspaces()).toEqual(['recovered-2', 'recovered-3']);
  expect(entriesOf(again.keyspace('recovered-2'))).toEqual(['k10=users']);
  expect(entriesOf(again.keyspace('recovered-3')).length).toBe(10);
  expect(entriesOf(again).slice(0, -1)).toEqual(['k10=default', 'k11=default']);
  expect(text(again.getSync(Uint8Array.of(0xff, 7)))).toBe('escaped');
  expect(again.stats().lastSequence).toBeGreaterThanOrEqual(lastSequence);
  const next = await again.openKeyspace('next');
  expect(entriesOf(next)).toEqual([]);
  expect((await findManifest(fs, DIR)).found!.state).toMatchObject({ mappedKeys: true, lastKeyspace: 4 });
  await again.close();
});

test('what was ingested with large sequence numbers does not make the log seem old', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await putAll(db, 10, 19, 'in the log alone');
  await db.ingest([await foreignTable(fs, 1_000_000, 20, 29)]);
  await db.put('k30', 'too');
  await db.close();
  await removeManifest(fs);
  expect(await repair({ dir: DIR, fs })).toMatchObject({ manifest: 'rebuilt', log: { operationsKept: 11 } });
  const again = await open(fs);
  expect(entriesOf(again).length).toBe(21);
  expect(again.stats().lastSequence).toBeGreaterThan(1_000_029);
  await again.put('k25', 'newest');
  expect(text(again.getSync('k25'))).toBe('newest');
  await again.close();
});

test('an older manifest gives what it has: keyspaces, ranges, the place of ingested tables, dropped keyspaces', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs, { wal: false });
  await db.openKeyspace('dropped');
  await putAll(db, 10, 19, 'gone', 'dropped');
  const users = await db.openKeyspace('users', { ttlMs: 1e9 });
  await putAll(db, 10, 29, 'old');
  await db.flush();
  const before = db.snapshot();
  await db.dropKeyspace('dropped');
  await db.deleteRange({ gte: 'k25' });
  await users.put('alice', '1');
  await db.flush();
  await db.ingest([await foreignTable(fs, 1, 10, 14)]);
  const putBack = await savedManifest(fs);
  await putAll(db, 10, 11, 'late', (await db.openKeyspace('late')).name);
  await db.flush();
  await db.close();
  before.close();
  // Something that it lists is not there: the files are newer than it.
  await putBack();
  const [first] = (await namesOf(fs, /^\d+\.sst$/)) as [string];
  await fs.unlink(`${DIR}/${first}`);
  const report = await repair({ dir: DIR, fs });
  expect(report).toMatchObject({ manifest: 'rebuilt', recoveredKeyspaces: [{ id: 3, name: 'recovered-3' }] });
  expect(report.notes.join()).toContain('What only the newest records of the manifest knew is lost');
  const again = await open(fs, { wal: false });
  expect(again.keyspaces()).toEqual(['recovered-3', 'users']);
  expect(again.keyspace('users').settings).toEqual({ ttlMs: 1e9 });
  expect(entriesOf(again.keyspace('users'))).toEqual(['alice=1']);
  expect(entriesOf(again.keyspace('recovered-3'))).toEqual(['k10=late', 'k11=late']);
  expect(entriesOf(again).filter((line) => line.includes('ingested')).length).toBe(5);
  expect((await findManifest(fs, DIR)).found!.state.ranges.size).toBeGreaterThan(0);
  await again.close();
});

test('a log that speaks of keyspaces which the manifest does not know shows that it is older', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await db.put('a', '1');
  const putBack = await savedManifest(fs);
  await (await db.openKeyspace('late')).put('b', '2');
  await db.close();
  await putBack();
  const report = await repair({ dir: DIR, fs });
  expect(report).toMatchObject({ manifest: 'rebuilt', recoveredKeyspaces: [{ id: 1, name: 'recovered-1' }] });
  expect((await repair({ dir: DIR, fs })).damaged).toBe(false);
  const again = await open(fs);
  expect([entriesOf(again), entriesOf(again.keyspace('recovered-1'))]).toEqual([['a=1'], ['b=2']]);
  await again.close();
});

test('a database of an earlier version keeps its keys as they are, if they show that it is one', async () => {
  for (const [key, isKept] of [
    [Uint8Array.of(0xff, 7, 1), true],
    [Uint8Array.of(0xff), true],
    [Uint8Array.of(0xff, 1, 0), true],
    [Uint8Array.of(0xff, 0, 1), false],
  ] as const) {
    const fs = new MemoryFileSystem();
    await fs.mkdir(DIR);
    await (await Manifest.create(fs, DIR, { ownLog: true })).close();
    const db = await open(fs);
    await db.put(key, 'value');
    await db.put('other', 'value');
    if (isKept) await db.flush();
    await db.close();
    await removeManifest(fs);
    const report = await repair({ dir: DIR, fs });
    expect(report).toMatchObject({ manifest: 'rebuilt', recoveredKeyspaces: [] });
    const again = await open(fs);
    expect((await findManifest(fs, DIR)).found!.state.mappedKeys).toBe(!isKept);
    expect(again.getSync(key) !== undefined).toBe(isKept);
    expect(entriesOf(again).length).toBe(2);
    await again.close();
  }
});

test('a range deleted in a damaged log hides what the tables have', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await putAll(db, 10, 19, 'flushed');
  await db.flush();
  await db.put('lost', 'in the damaged record');
  await db.deleteRange({ gte: 'k15' });
  await db.put('k16', 'anew');
  await db.close();
  const [log] = (await namesOf(fs, /\.wal$/)) as [string];
  const bytes = (await bytesOf(fs, log)).slice();
  bytes[Buffer.from(bytes).indexOf('in the damaged')]! ^= 1;
  await overwrite(fs, `${DIR}/${log}`, bytes);
  expect((await repair({ dir: DIR, fs })).log).toMatchObject({ outcome: 'salvaged', operationsKept: 2 });
  const again = await open(fs);
  expect(entriesOf(again)).toEqual([10, 11, 12, 13, 14].map((n) => `k${n}=flushed`).concat('k16=anew'));
  await again.close();
});
