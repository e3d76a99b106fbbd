// Compaction filters: what they decide about, in a thread and without, and what their failures do.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { type CompactionFilterOptions, Lsm, type LsmOptions } from '../src/index.js';
import { entriesOf } from './faults-support.js';

const ODD_EVEN = { exportName: 'oddEven', module: new URL('./filters/odd-even.mjs', import.meta.url) };

const open = (compactionFilter: CompactionFilterOptions, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: '/db', fs: new MemoryFileSystem(), compactionFilter, ...options });

const fill = async (db: Lsm): Promise<void> => {
  for (let i = 0; i < 10; i++) await db.put(`k${i}`, `${i}`, { durability: 'none' });
};

test('entries are dropped, kept or replaced as the filter says', async () => {
  const db = await open({ ...ODD_EVEN, data: { rename: 'k4' } });
  await fill(db);
  await db.flush();
  expect(Object.keys(entriesOf(db)).length).toBe(10);
  await db.compact();
  const left = { k0: '0', k2: '2', k4: 'renamed', k6: '6', k8: '8' };
  expect(entriesOf(db)).toEqual(left);
  // What is in the last level is asked about again when everything is compacted.
  await db.put('k2', '3');
  await db.compact();
  const { k2: _, ...rest } = left;
  expect(entriesOf(db)).toEqual(rest);
  expect(db.stats().levels.reduce((sum, { tables }) => sum + tables, 0)).toBe(1);
  await db.close();
});

test('what an open snapshot sees is not asked about, and what is dropped does not show what was below it', async () => {
  const db = await open(ODD_EVEN);
  await db.put('a', '2');
  const snapshot = db.snapshot();
  await db.put('a', '3');
  await db.put('b', '1');
  await db.compact();
  expect(entriesOf(db)).toEqual({});
  expect(Array.from(db.scanSync({ snapshot })).length).toBe(1);
  snapshot.close();
  await db.compact();
  expect(entriesOf(db)).toEqual({});
  await db.close();

  const other = await open(ODD_EVEN);
  await other.put('a', '3');
  const held = other.snapshot();
  await other.compact();
  expect(entriesOf(other)).toEqual({ a: '3' });
  held.close();
  await other.compact();
  expect(entriesOf(other)).toEqual({});
  await other.close();
});

test('it works in the thread of compactions', { timeout: 30_000 }, async () => {
  const root = await mkdtemp(join(tmpdir(), 'nori-filter-'));
  try {
    const db = await Lsm.open({ dir: join(root, 'db'), compactionFilter: ODD_EVEN });
    await fill(db);
    await db.compact();
    expect(Object.keys(entriesOf(db))).toEqual(['k0', 'k2', 'k4', 'k6', 'k8']);
    await db.close();
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

test('the default export is taken if none is named', async () => {
  const db = await open({ module: 'data:text/javascript,export default () => () => "drop"' });
  await fill(db);
  await db.compact();
  expect(entriesOf(db)).toEqual({});
  await db.close();
});

test('a filter that fails fails the compaction and changes nothing', async () => {
  for (const filter of [
    { ...ODD_EVEN, data: { fail: 'k5' } },
    { ...ODD_EVEN, exportName: 'nothing' },
    { module: new URL('./filters/missing.mjs', import.meta.url) },
  ]) {
    const db = await open(filter);
    await fill(db);
    await db.flush();
    await expect(db.compact()).rejects.toMatchObject({
      code: 'LSM_INTERNAL',
      message: expect.stringContaining('compactionFilter'),
    });
    expect(Object.keys(entriesOf(db)).length).toBe(10);
    await db.close();
  }
  await expect(open({ module: '' })).rejects.toMatchObject({ code: 'LSM_INVALID_OPTIONS' });
  await expect(open({ ...ODD_EVEN, data: () => 1 })).rejects.toMatchObject({ code: 'LSM_INVALID_OPTIONS' });
});
