// Checkpoints: what is in them, when they are refused, and what a failure leaves.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng } from 'nori-testkit';
import { expect, test } from 'vitest';
import { Lsm, type LsmOptions, WriteBatch } from '../src/index.js';
import { text } from './support.js';

const DIR = '/data/db';
const COPY = '/backup/copy';

const open = (fs: MemoryFileSystem, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: DIR, fs, memtableBytes: 8192, tableBytes: 8192, ...options });

const contents = (db: Lsm): Record<string, string> =>
  Object.fromEntries(Array.from(db.scanSync(), ([key, value]) => [text(key), text(value)]));

test('a checkpoint made under load holds the state of one moment, and everything acknowledged before', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  let written = 0;
  let acknowledged = 0;
  let isWriting = true;
  const writer = (async () => {
    while (isWriting) {
      const round = ++written;
      // A batch writes all keys: a state in which they differ never was.
      await db.batch(Array.from({ length: 50 }, (_, i) => ({ type: 'put', key: `key${i}`, value: `${round}` })));
      acknowledged = round;
    }
  })();
  for (let i = 0; i < 12; i++) {
    const before = acknowledged;
    await db.checkpoint(`${COPY}${i}`);
    const after = written;
    const copy = await open(fs, { dir: `${COPY}${i}` });
    const values = new Set(Object.values(contents(copy)));
    expect(values.size).toBeLessThanOrEqual(1);
    const round = Number([...values][0] ?? 0);
    expect(round).toBeGreaterThanOrEqual(before);
    expect(round).toBeLessThanOrEqual(after);
    expect((await copy.verify()).problems).toEqual([]);
    await copy.close();
  }
  isWriting = false;
  await writer;
  await db.close();
});

test('original and copy go separate ways, and either may be removed', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  for (let i = 0; i < 500; i++) await db.put(`key${i}`, `value${i}`);
  await db.checkpoint(COPY);
  const expected = contents(db);
  for (let i = 0; i < 500; i++) await db.delete(`key${i}`);
  await db.compact();
  const copy = await open(fs, { dir: COPY });
  expect(contents(copy)).toEqual(expected);
  await copy.put('more', '1');
  await copy.compact();
  expect(contents(db)).toEqual({});
  await db.close();
  await copy.close();
  const again = await open(fs, { dir: COPY });
  expect(contents(again)).toEqual({ ...expected, more: '1' });
  await again.close();
});

test('it survives a power failure right after', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  for (let i = 0; i < 300; i++) await db.put(`key${i}`, `value${i}`);
  await db.checkpoint(COPY);
  const expected = contents(db);
  const rng = new Rng(1);
  for (let i = 0; i < 20; i++) {
    const copy = await open(fs.crash(rng), { dir: COPY });
    expect(contents(copy)).toEqual(expected);
    await copy.close();
  }
  await db.close();
});

test('of a database without own log, it has the marks that describe it', async () => {
  const fs = new MemoryFileSystem();
  let mark = 0;
  const collectMarks = () => [[7, Uint8Array.of(mark)]] as const;
  const db = await open(fs, { wal: false, collectMarks });
  const put = (key: string): void => {
    const batch = new WriteBatch();
    batch.put(Buffer.from(key), Buffer.from('1'), 0);
    db.apply(batch);
    mark++;
  };
  put('a');
  put('b');
  await db.checkpoint(COPY);
  put('c');
  await db.flush();
  const copy = await open(fs, { dir: COPY, wal: false });
  expect(contents(copy)).toEqual({ a: '1', b: '1' });
  expect([...copy.durableMarks()]).toEqual([[7, Uint8Array.of(2)]]);
  await copy.close();
  await db.close();
});

test('a directory with anything in it is refused, and stays as it is', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs);
  await db.put('a', '1');
  await db.checkpoint(COPY);
  const before = await fs.readdir(COPY);
  await expect(db.checkpoint(COPY)).rejects.toMatchObject({ code: 'LSM_EXISTS' });
  await expect(db.checkpoint(DIR)).rejects.toMatchObject({ code: 'LSM_EXISTS' });
  expect(await fs.readdir(COPY)).toEqual(before);
  await db.close();
  await expect(db.checkpoint('/elsewhere')).rejects.toMatchObject({ code: 'LSM_CLOSED' });
});

test('where files cannot be linked they are copied; what fails half-way leaves no tables behind', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs, { autoCompact: false });
  for (let i = 0; i < 500; i++) await db.put(`key${i}`, `value${i}`);
  await db.flush();
  const noLinks = fs.inject({ on: 'link', times: Number.POSITIVE_INFINITY });
  await db.checkpoint(COPY);
  const copy = await open(fs, { dir: COPY });
  expect(contents(copy)).toEqual(contents(db));
  await copy.close();
  const noSpace = fs.inject({ on: 'write', path: '/backup/failed', after: 2, times: 1, code: 'IO_NO_SPACE' });
  await expect(db.checkpoint('/backup/failed')).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  expect((await fs.readdir('/backup/failed')).filter((name) => name.endsWith('.sst'))).toEqual([]);
  noSpace.remove();
  noLinks.remove();
  await db.checkpoint('/backup/failed');
  await db.close();
});

test('what fails while other tables are being linked leaves none of those either', async () => {
  const fs = new MemoryFileSystem();
  const db = await open(fs, { autoCompact: false });
  for (let i = 0; i < 500; i++) await db.put(`key${i}`, `value${i}`);
  await db.flush();
  const [first] = (await fs.readdir(DIR)).filter((name) => name.endsWith('.sst'));
  const failing = fs.inject({ on: ['link', 'create'], path: `${COPY}/${first}`, times: Number.POSITIVE_INFINITY });
  // The others take longer than the one that fails.
  fs.onOperation = ({ kind, path }) =>
    kind === 'link' && !path.endsWith(first!) ? new Promise((resolve) => setTimeout(resolve, 20)) : undefined;
  await expect(db.checkpoint(COPY)).rejects.toMatchObject({ code: 'LSM_IO_FAILED' });
  await new Promise((resolve) => setTimeout(resolve, 40));
  expect(await fs.readdir(COPY)).toEqual([]);
  fs.onOperation = undefined;
  failing.remove();
  await db.checkpoint(COPY);
  await db.close();
});
