// What the tests of repair share: a database with a known history, damage of all kinds, and what a repair must have kept.
import type { FileSystem } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { SSTableReader } from 'nori-sstable';
import type { Rng } from 'nori-testkit';
import { expect } from 'vitest';
import { readWhole } from '../src/directory.js';
import { type BatchOperation, Lsm } from '../src/index.js';
import { findManifest } from '../src/repair/find-manifest.js';
import { tableName } from '../src/table-meta.js';
import { DIR, overwrite } from './faults-support.js';
import { hex, smallOptions, text, utf8 } from './support.js';

/** One write; its number is its sequence number. Values are told apart by it. */
export interface Written {
  readonly seq: number;
  readonly key: string;
  /** Undefined: a deletion. */
  readonly value: string | undefined;
}

/** Every write of a database, by sequence number from 1 on. */
export type History = readonly Written[];

/** Everything as it is now is durable. */
export const settled = (fs: MemoryFileSystem): MemoryFileSystem => fs.crash({ next: () => 0.999_999 });

/** A database after random writes, flushes and compactions; closed, or killed. */
export const randomDatabase = async (rng: Rng): Promise<{ fs: MemoryFileSystem; history: History }> => {
  const fs = new MemoryFileSystem();
  const options = { ...smallOptions(rng), compression: rng.pick(['none', 'lz4'] as const) };
  const db = await Lsm.open({ dir: DIR, fs, ...options });
  const history: Written[] = [];
  const steps = rng.range(20, 150);
  for (let step = 0; step < steps; step++) {
    const operations: BatchOperation[] = [];
    for (let i = rng.range(1, 6); i > 0; i--) {
      const key = `key${String(rng.int(60)).padStart(3, '0')}`;
      const seq = history.length + 1;
      const value = rng.chance(0.2) ? undefined : `${seq}.${'v'.repeat(rng.int(120))}`;
      operations.push(value === undefined ? { type: 'delete', key } : { type: 'put', key, value });
      history.push({ seq, key, value });
    }
    await db.batch(operations, { durability: 'os' });
    if (rng.chance(0.05)) await db.flush();
    if (rng.chance(0.02)) await db.compact();
  }
  if (rng.chance(0.5)) {
    await db.close();
    return { fs: settled(fs), history };
  }
  const killed = settled(fs.kill());
  await db.close();
  return { fs: killed, history };
};

/** Paths of all files below a directory, relative to it. */
export const filesBelow = async (fs: FileSystem, dir: string, prefix = ''): Promise<string[]> => {
  const found: string[] = [];
  for (const name of await fs.readdir(`${dir}/${prefix}`)) {
    const path = `${prefix}${name}`;
    if ((await fs.stat(`${dir}/${path}`))?.kind === 'directory') found.push(...(await filesBelow(fs, dir, `${path}/`)));
    else if (!name.startsWith('LOCK')) found.push(path);
  }
  return found;
};

/** Damages one random file in a random way; returns its name and what was done. */
export const damage = async (fs: FileSystem, rng: Rng): Promise<readonly [file: string, what: string]> => {
  const file = rng.pick(await filesBelow(fs, DIR));
  const path = `${DIR}/${file}`;
  const bytes = await readWhole(fs, path);
  const at = rng.int(Math.max(1, bytes.length));
  const kind = rng.pick(['flip', 'flip', 'flip', 'cut', 'zero', 'noise', 'append', 'remove'] as const);
  if (kind === 'remove') await fs.unlink(path);
  else if (kind === 'cut') await overwrite(fs, path, bytes.slice(0, at));
  else if (kind === 'append') await overwrite(fs, path, new Uint8Array([...bytes, ...rng.bytes(rng.range(1, 50))]));
  else {
    const changed = bytes.slice();
    const length = rng.range(1, 300);
    if (kind === 'flip' && changed.length > 0) changed[at]! ^= 1 << rng.int(8);
    if (kind === 'zero') changed.fill(0, at, at + length);
    if (kind === 'noise') changed.set(rng.bytes(Math.min(length, changed.length - at)), at);
    await overwrite(fs, path, changed);
  }
  return [file, `${kind} at ${at} of ${bytes.length}`];
};

/** The newest write of each key that files hold which were not damaged: what a repair must not lose. */
export const mustBeKept = async (
  before: MemoryFileSystem,
  damaged: ReadonlySet<string>,
  history: History,
): Promise<Map<string, number>> => {
  const kept = new Map<string, number>();
  const note = (key: string, seq: number): void => void kept.set(key, Math.max(kept.get(key) ?? 0, seq));
  const { state } = (await findManifest(before, DIR)).found!;
  for (const tables of state.levels) {
    for (const number of tables.keys()) {
      if (damaged.has(tableName(number))) continue;
      const reader = await SSTableReader.open({ fs: before, path: `${DIR}/${tableName(number)}` });
      const cursor = reader.cursor();
      for (cursor.first(); cursor.valid; cursor.next()) note(text(cursor.key)!, cursor.seq);
      await reader.close();
    }
  }
  const isLogDamaged = [...damaged].some((file) => file.startsWith('wal/'));
  if (!isLogDamaged) for (const { key, seq } of history) if (seq > state.flushedSeq) note(key, seq);
  return kept;
};

/** Fails unless the database shows of each key what was written, at or after the write that had to be kept. */
export const checkKept = (db: Lsm, history: History, kept: ReadonlyMap<string, number>): void => {
  const problems: string[] = [];
  const shown = new Map<string, number>();
  for (const [keyBytes, valueBytes] of db.scanSync()) {
    const [key, value] = [text(keyBytes)!, text(valueBytes)!];
    const write = history[Number(value.split('.')[0]) - 1];
    if (write?.key !== key || write.value !== value) problems.push(`${key} has a value that was never written`);
    else shown.set(key, write.seq);
  }
  for (const [key, seq] of kept) {
    const found = shown.get(key);
    if (found !== undefined && found < seq) problems.push(`${key} shows write ${found}, not ${seq} or later`);
    const isDeleted = history.some((write) => write.key === key && write.value === undefined && write.seq >= seq);
    if (found === undefined && !isDeleted) problems.push(`${key} is lost, though write ${seq} was not damaged`);
  }
  expect(problems).toEqual([]);
};

/** Every file of before is still somewhere, byte for byte. */
export const checkNothingDeleted = async (before: FileSystem, after: FileSystem): Promise<void> => {
  const contents = new Set<string>();
  for (const file of await filesBelow(after, DIR)) contents.add(hex(await readWhole(after, `${DIR}/${file}`)));
  const gone: string[] = [];
  for (const file of await filesBelow(before, DIR)) {
    if (!contents.has(hex(await readWhole(before, `${DIR}/${file}`)))) gone.push(file);
  }
  expect(gone).toEqual([]);
};

/** Opens, checks everything, and writes; closes. Returns what was there. */
export const openAndCheck = async (fs: FileSystem, check: (db: Lsm) => void = () => {}): Promise<string[]> => {
  const db = await Lsm.open({ dir: DIR, fs, autoCompact: false });
  const entries = Array.from(db.scanSync(), ([key, value]) => `${text(key)} ${text(value)}`);
  check(db);
  expect((await db.verify()).problems).toEqual([]);
  await db.put('written after', utf8('repair'));
  await db.close();
  const again = await Lsm.open({ dir: DIR, fs });
  expect(text(again.getSync('written after'))).toBe('repair');
  await again.compact();
  const left = Array.from(again.scanSync(), ([key, value]) => `${text(key)} ${text(value)}`);
  expect(left.filter((line) => line !== 'written after repair')).toEqual(entries);
  await again.close();
  return entries;
};
