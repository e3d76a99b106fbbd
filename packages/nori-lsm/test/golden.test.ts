// Directories written by format version 1 must stay readable for ever.
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lsm } from '../src/index.js';
import { FAR_MS, wordy, writeCompressed, writeKeyspaces, writeMarks, writeOwnLog } from './make-golden.js';
import { text } from './support.js';

const golden = (name: string): string => fileURLToPath(new URL(`./golden/${name}`, import.meta.url));
const GOLDEN = {
  'v1-own-log': writeOwnLog,
  'v1-marks': writeMarks,
  'v1-compressed': writeCompressed,
  'v1-keyspaces': writeKeyspaces,
};
let work: string;

beforeAll(async () => {
  // Writes what is not there yet. What is there was written by an earlier version, and is never written again.
  if (process.env.NORI_WRITE_GOLDEN !== undefined) {
    for (const [name, write] of Object.entries(GOLDEN)) if (!existsSync(golden(name))) await write(golden(name));
  }
  work = await mkdtemp(join(tmpdir(), 'nori-lsm-golden-'));
  await cp(fileURLToPath(new URL('./golden', import.meta.url)), work, { recursive: true });
});

afterAll(() => rm(work, { recursive: true }));

test('a database with its own log, of version 1, reads as it was written', async () => {
  const db = await Lsm.open({ dir: join(work, 'v1-own-log'), createIfMissing: false });
  const keys = Array.from(db.scanSync(), ([key]) => text(key));
  expect(keys.length).toBe(101);
  expect(keys.slice(0, 3)).toEqual(['', 'expiring', 'key000']);
  expect(keys).not.toContain('key007');
  expect(keys).not.toContain('key008');
  expect(text(db.getSync('key042'))).toBe('value 42');
  expect(text(db.getSync('tail'))).toBe('only in the log');
  expect(db.getEntry(new TextEncoder().encode('expiring'))?.expiresAtMs).toBe(FAR_MS);
  expect((await db.verify()).problems).toEqual([]);
  await db.close();
});

test('a database with marks, of version 1, reads as it was written', async () => {
  const db = await Lsm.open({ dir: join(work, 'v1-marks'), createIfMissing: false, wal: false });
  expect([...db.durableMarks()].map(([id, mark]) => [id, text(mark)])).toEqual([
    [1, 'one'],
    [70_000, ''],
  ]);
  expect(text(db.getSync(new Uint8Array([0, 1, 255])))).toBe('group one');
  await db.close();
});

test('a database with compressed tables, of version 1, reads as it was written', async () => {
  const db = await Lsm.open({ dir: join(work, 'v1-compressed'), createIfMissing: false });
  const found = Array.from(db.scanSync(), ([key, value]) => [text(key), text(value)]);
  const expected = Array.from({ length: 100 }, (_, i) => [
    `key${String(i).padStart(3, '0')}`,
    wordy(i % 4 === 0 ? i + 1 : i),
  ]);
  expected.splice(1, 1);
  expect(found).toEqual(expected);
  for (const [key, value] of expected) expect(text(db.getSync(key!))).toBe(value);
  expect(db.stats().levels.filter(({ tables }) => tables > 0).length).toBe(2);
  expect((await db.verify()).problems).toEqual([]);
  await db.close();
});

test('a database with keyspaces, deleted ranges and an ingested table, of version 1, reads as it was written', async () => {
  const db = await Lsm.open({ dir: join(work, 'v1-keyspaces'), createIfMissing: false, autoCompact: false });
  const key = (i: number): string => `key${String(i).padStart(3, '0')}`;
  expect(db.stats().rangeTombstones).toBe(4);
  const found = Array.from(db.scanSync(), ([stored, value]) => [text(stored), text(value)]);
  expect(found.length).toBe(59);
  expect(found.at(-1)![1]).toBe('of the default keyspace');
  const values = [12, 13, 15, 16, 17].map((i) => text(db.getSync(key(i))));
  const [newer, after] = ['newer than the ingested table', 'after the range was deleted'];
  expect(values).toEqual(['value 12', newer, undefined, after, undefined]);
  expect(db.keyspaces()).toEqual(['words']);
  const words = db.keyspace('words');
  expect(words.settings.compression).toBe('lz4');
  expect(Array.from(words.scanSync(), ([stored]) => text(stored))).toEqual(
    Array.from({ length: 49 }, (_, i) => key(i + 1)),
  );
  expect(text(words.getSync(key(1)))).toBe('in the log');
  expect(text(words.getSync(key(7)))).toBe(wordy(7));
  expect((await db.verify()).problems).toEqual([]);
  await db.compact();
  expect(db.stats().rangeTombstones).toBe(0);
  expect(Array.from(db.scanSync()).length + Array.from(words.scanSync()).length).toBe(59 + 49);
  await db.close();
});
