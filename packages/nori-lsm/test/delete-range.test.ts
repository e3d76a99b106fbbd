// Deletes of ranges: what they cost, that their space and they themselves go, and what they refuse.
import { type Fault, MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { type KeyBounds, Lsm, type LsmOptions } from '../src/index.js';
import { text } from './support.js';

const key = (n: number): string => `key${String(n).padStart(6, '0')}`;

const open = (fs: MemoryFileSystem, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: '/db', fs, durability: 'os', ...options });

const filled = async (fs: MemoryFileSystem, keys: number, options: Partial<LsmOptions> = {}): Promise<Lsm> => {
  const db = await open(fs, { memtableBytes: 256 * 1024, tableBytes: 32 * 1024, ...options });
  for (let i = 0; i < keys; i += 1000) {
    const batch = Array.from(
      { length: 1000 },
      (_, j) => ({ type: 'put', key: key(i + j), value: `v${i + j}` }) as const,
    );
    await db.batch(batch);
  }
  await db.compact();
  return db;
};

const count = (db: Lsm, range: KeyBounds = {}): number => Array.from(db.scanSync(range)).length;

test('all keys of the range go, those written later stay, in every kind of read', async () => {
  const fs = new MemoryFileSystem();
  const db = await filled(fs, 3000);
  const before = db.snapshot();
  await db.deleteRange({ gte: key(500), lt: key(2500) });
  await db.put(key(1000), 'new');
  const look = async (at: Lsm): Promise<void> => {
    expect(at.getSync(key(499))).toBeDefined();
    expect(at.getSync(key(500))).toBeUndefined();
    expect(text(at.getSync(key(1000)))).toBe('new');
    expect(at.getSync(key(2499))).toBeUndefined();
    expect(at.getSync(key(2500))).toBeDefined();
    expect(count(at)).toBe(1001);
    expect(Array.from(at.scanSync({ reverse: true })).length).toBe(1001);
    expect(Array.from(at.scanSync({ gte: key(600), limit: 2 }), ([k]) => text(k))).toEqual([key(1000), key(2500)]);
    expect(Array.from(at.scanSync({ lt: key(2400), reverse: true, limit: 2 }), ([k]) => text(k))).toEqual([
      key(1000),
      key(499),
    ]);
    expect((await at.getMany([key(1), key(501)])).map(text)).toEqual(['v1', undefined]);
  };
  await look(db);
  expect(Array.from(db.scanSync({ snapshot: before })).length).toBe(3000);
  expect(text(db.getSync(key(1000), { snapshot: before }))).toBe('v1000');
  await db.flush();
  await look(db);
  expect(Array.from(db.scanSync({ snapshot: before })).length).toBe(3000);
  before.close();
  await db.compact();
  await look(db);
  expect(db.stats().rangeTombstones).toBe(0);
  await db.close();
  const again = await open(fs);
  await look(again);
  await again.close();
});

test('tables that lie wholly in the range go without being read, by themselves', async () => {
  const fs = new MemoryFileSystem();
  const db = await filled(fs, 20_000);
  const tables = db.stats().levels.reduce((sum, level) => sum + level.tables, 0);
  const read = db.stats().compactionReadBytes;
  expect(tables).toBeGreaterThan(5);
  await db.deleteRange({ gte: '' });
  await db.flush();
  await expect.poll(() => db.stats().tableBytes).toBe(0);
  await expect.poll(() => db.stats().rangeTombstones).toBe(0);
  expect(db.stats().compactionReadBytes).toBe(read);
  expect(db.stats().droppedTables).toBe(tables);
  await db.close();
  expect((await fs.readdir('/db')).filter((name) => name.endsWith('.sst'))).toEqual([]);
});

test('of a thousand ranges the space comes back with a compaction, and they go themselves', async () => {
  const fs = new MemoryFileSystem();
  const db = await filled(fs, 30_000, { autoCompact: false });
  const { tableBytes } = db.stats();
  for (let i = 0; i < 1000; i++) await db.deleteRange({ gte: key(30 * i), lt: key(30 * i + 27) });
  expect(db.stats().rangeTombstones).toBe(1000);
  expect(count(db)).toBe(3000);
  await db.flush();
  expect(db.stats().rangeTombstones).toBe(1000);
  await db.compact();
  expect(db.stats().rangeTombstones).toBe(0);
  expect(db.stats().tableBytes).toBeLessThan(0.2 * tableBytes);
  expect(count(db)).toBe(3000);
  await db.close();
});

test('an open snapshot keeps what it sees, and the rest follows when it is closed', async () => {
  const fs = new MemoryFileSystem();
  const db = await filled(fs, 5000);
  const snapshot = db.snapshot();
  await db.deleteRange({ prefix: 'key' });
  await db.compact();
  expect(count(db)).toBe(0);
  expect(Array.from(db.scanSync({ snapshot })).length).toBe(5000);
  expect(db.stats().rangeTombstones).toBe(1);
  snapshot.close();
  await expect.poll(() => db.stats().tableBytes).toBe(0);
  await expect.poll(() => db.stats().rangeTombstones).toBe(0);
  await db.close();
});

test('a scan does not walk through what a range has deleted', async () => {
  const fs = new MemoryFileSystem();
  // One large table, of which the first nine tenths are deleted.
  const db = await filled(fs, 20_000, { autoCompact: false, tableBytes: 64 * 1024 * 1024, blockCacheBytes: 1 << 20 });
  await db.deleteRange({ lt: key(18_000) });
  const { hits, misses } = db.stats().cache;
  expect(Array.from(db.scanSync({ limit: 1 }), ([k]) => text(k))).toEqual([key(18_000)]);
  expect(Array.from(db.scanSync({ lt: key(17_000), reverse: true, limit: 1 }))).toEqual([]);
  const { cache } = db.stats();
  expect(cache.hits + cache.misses - hits - misses).toBeLessThan(20);
  await db.close();
});

test('the same range deleted again and again leaves a bounded list', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  for (let i = 0; i < 4000; i++) await db.deleteRange({ gte: 'a', lt: 'b' }, { durability: 'none' });
  expect(db.stats().rangeTombstones).toBeLessThan(5);
  await db.put('a', '1');
  await db.flush();
  expect(db.stats().rangeTombstones).toBe(0);
  expect(text(db.getSync('a'))).toBe('1');
  await db.close();
});

test('empty ranges write nothing, and no range at all is refused', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await db.put('a', '1');
  const { lastSequence } = db.stats();
  await db.deleteRange({ gte: 'b', lt: 'a' });
  await db.deleteRange({ gte: 'a', lt: 'a' });
  await db.deleteRange({ lt: '' });
  expect(db.stats().lastSequence).toBe(lastSequence);
  await expect(db.deleteRange({})).rejects.toMatchObject({ code: 'LSM_INVALID_ARGUMENT' });
  await expect(db.deleteRange({ gte: 5 as unknown as string })).rejects.toMatchObject({ code: 'LSM_INVALID_ARGUMENT' });
  // No key is so long.
  await db.deleteRange({ prefix: 'x'.repeat(70_000) });
  expect(db.stats().lastSequence).toBe(lastSequence);
  expect(text(db.getSync('a'))).toBe('1');
  // Up to the largest key there can be, and from there.
  const long = 'y'.repeat(65_535);
  await db.put(long, '1');
  await db.put('z', '1');
  await db.deleteRange({ gt: new Uint8Array(65_535).fill(255), lte: new Uint8Array(65_535).fill(255) });
  await db.deleteRange({ gt: long });
  await db.deleteRange({ lte: 'a' });
  expect(Array.from(db.scanSync(), ([found]) => text(found))).toEqual([long]);
  await db.deleteRange({ lte: long });
  await db.put('z', '2');
  await db.deleteRange({ lte: new Uint8Array(65_535).fill(255) });
  expect(count(db)).toBe(0);
  await db.close();
  const again = await open(fs);
  expect(count(again)).toBe(0);
  await again.close();
});

test('thousands of ranges go with one compaction, and with nothing to hide they do not come', async () => {
  const fs = new MemoryFileSystem();
  const db = await filled(fs, 6000, { autoCompact: false });
  for (let i = 0; i < 3000; i++) await db.deleteRange({ gte: key(2 * i), lt: key(2 * i + 1) }, { durability: 'none' });
  await db.flush();
  expect(db.stats().rangeTombstones).toBe(3000);
  await db.compact();
  expect([db.stats().rangeTombstones, count(db)]).toEqual([0, 3000]);
  await db.deleteRange({ gte: 'nothing', lt: 'nothinh' });
  await db.flush();
  expect(db.stats().rangeTombstones).toBe(0);
  await db.close();
});

test('a queue that trims its front keeps one range, and memtables of ranges alone fill up', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs, { wal: false, durability: 'none', memtableBytes: 16 * 1024 });
  for (let i = 0; i < 3000; i++) {
    await db.put(key(i), 'v');
    await db.deleteRange({ lt: key(i) });
    expect(db.getSync(key(i))).toBeDefined();
  }
  expect(db.stats().rangeTombstones).toBeLessThan(5);
  const { sealSequence } = db;
  for (let i = 0; i < 1000; i++) await db.deleteRange({ gte: key(5 * i), lt: key(5 * i + 1) });
  expect(db.sealSequence).toBeGreaterThan(sealSequence + 3);
  await db.close();
});

test('what is done is not undone, nor kept waiting, because ranges cannot be taken out of the manifest', async () => {
  const fs = new MemoryFileSystem();
  const db = await filled(fs, 2000, { autoCompact: false });
  await db.deleteRange({ gte: key(500), lt: key(600) });
  await db.flush();
  let edits = 0;
  let fault: Fault | undefined;
  // The edit of the compaction goes well, the one that takes the range out does not.
  fs.onOperation = ({ kind, path }) => {
    if (kind !== 'write' || !path.includes('MANIFEST') || ++edits !== 3) return;
    fault = fs.inject({
      on: ['write', 'create'],
      path: 'MANIFEST',
      code: 'IO_NO_SPACE',
      times: Number.POSITIVE_INFINITY,
    });
  };
  await db.compact();
  fs.onOperation = undefined;
  expect([fault!.hits > 0, db.stats().rangeTombstones, count(db)]).toEqual([true, 1, 1900]);
  await db.close();
});
