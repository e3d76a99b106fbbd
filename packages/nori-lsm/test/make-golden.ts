// What the golden directories of each format version hold. `node` cannot run this file by itself: the test writes a new
// golden directory when NORI_WRITE_GOLDEN is set, which is to be done once for each new version, never for an old one.
import { rm } from 'node:fs/promises';
import { Lsm, WriteBatch } from '../src/index.js';
import { TestClock, utf8 } from './support.js';

/** Expires long after everybody reading this. */
export const FAR_MS = 4_102_444_800_000;

/** A database with its own log: tables in two levels, one snapshot-shadowed version, and a tail in the log. */
export const writeOwnLog = async (dir: string): Promise<void> => {
  const clock = new TestClock();
  const db = await Lsm.open({ dir, clock, autoCompact: false, blockBytes: 256 });
  for (let i = 0; i < 100; i++) await db.put(`key${String(i).padStart(3, '0')}`, `value ${i}`);
  await db.compact();
  await db.delete('key007');
  await db.put('expiring', 'soon', { ttlMs: FAR_MS - clock.now() });
  await db.put('expired', 'never seen', { ttlMs: 1 });
  await db.put('', 'empty key');
  await db.flush();
  await db.put('tail', 'only in the log');
  await db.delete('key008');
  await db.close();
};

/** A database without log: tables and marks. */
export const writeMarks = async (dir: string): Promise<void> => {
  const collectMarks = () => [[1, utf8('one')] as const, [70_000, new Uint8Array(0)] as const];
  const db = await Lsm.open({ dir, wal: false, collectMarks });
  db.apply(new WriteBatch().put(new Uint8Array([0, 1, 255]), utf8('group one')).delete(new Uint8Array([0, 2])));
  await db.flush();
  await db.close();
};

/** Values that can be compressed. */
export const wordy = (i: number): string => `value ${i} `.repeat(8);

/** A database whose tables are compressed, in L0 with deflate, in L1 with LZ4. */
export const writeCompressed = async (dir: string): Promise<void> => {
  const clock = new TestClock();
  const db = await Lsm.open({ dir, clock, autoCompact: false, blockBytes: 512, compression: ['deflate', 'lz4'] });
  const put = (i: number, value: string): Promise<void> => db.put(`key${String(i).padStart(3, '0')}`, value);
  for (let i = 0; i < 100; i++) await put(i, wordy(i));
  await db.flush();
  await put(0, 'old');
  // Two tables are merged; one alone would be moved as it is.
  await db.compact();
  for (let i = 0; i < 100; i += 4) await put(i, wordy(i + 1));
  await db.flush();
  await db.delete('key001');
  await db.close();
};

/** A database with keyspaces, ranges deleted in the manifest and in the log, and a table that was ingested. */
export const writeKeyspaces = async (dir: string): Promise<void> => {
  const clock = new TestClock();
  const db = await Lsm.open({ dir, clock, autoCompact: false, blockBytes: 256 });
  const words = await db.openKeyspace('words', { compression: 'lz4', ttlMs: FAR_MS - clock.now() });
  const dropped = await db.openKeyspace('dropped');
  const key = (i: number): string => `key${String(i).padStart(3, '0')}`;
  for (let i = 0; i < 60; i++) {
    await db.put(key(i), `value ${i}`, { durability: 'none' });
    await words.put(key(i), wordy(i), { durability: 'none' });
    await dropped.put(key(i), 'not seen', { durability: 'none' });
  }
  await db.put(new Uint8Array([255, 1, 0, 1]), 'of the default keyspace');
  await db.compact();
  const { tables } = await db.exportTables(`${dir}-tables`, { gte: key(10), lt: key(20) });
  await db.put(key(12), 'older than the ingested table');
  await db.ingest(tables.map(({ path }) => path));
  await db.put(key(13), 'newer than the ingested table');
  await db.dropKeyspace('dropped');
  await db.deleteRange({ gte: key(15), lt: key(18) });
  await words.deleteRange({ gte: key(50) });
  await db.put(key(16), 'after the range was deleted');
  await db.flush();
  await words.deleteRange({ lt: key(2) });
  await words.put(key(1), 'in the log');
  await db.close();
  await rm(`${dir}-tables`, { recursive: true });
};
