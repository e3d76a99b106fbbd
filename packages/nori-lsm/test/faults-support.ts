// Tools to hurt a database with: bytes of its files, and syncs of directories that do nothing.
import type { FileSystem } from 'nori-io';
import type { MemoryFileSystem } from 'nori-io/memory';
import { readWhole } from '../src/directory.js';
import { Lsm, type LsmOptions } from '../src/index.js';
import { text } from './support.js';

export const DIR = '/data/db';
export const FOREVER = Number.POSITIVE_INFINITY;

/** Opens with small memtables and log files; everything runs on this thread. */
export const open = (fs: FileSystem, options: Partial<LsmOptions> = {}): Promise<Lsm> =>
  Lsm.open({ dir: DIR, fs, memtableBytes: 4096, walSegmentBytesMax: 4096, ...options });

/** What is left when nothing survives that was not synced. */
export const crashWithout = (fs: MemoryFileSystem): MemoryFileSystem => fs.crash({ next: () => 0 });

/** Replaces what a file holds. */
export const overwrite = async (fs: FileSystem, path: string, bytes: Uint8Array): Promise<void> => {
  const file = await fs.open(path, 'write');
  await file.truncate(0);
  await file.write([bytes], 0);
  await file.close();
};

/** Bytes of a file of the database. */
export const bytesOf = (fs: FileSystem, name: string): Promise<Uint8Array> => readWhole(fs, `${DIR}/${name}`);

/** Names in the directory, or in its log's, that match. */
export const namesOf = async (fs: FileSystem, pattern: RegExp): Promise<string[]> => {
  const inLog = ((await fs.stat(`${DIR}/wal`)) !== undefined ? await fs.readdir(`${DIR}/wal`) : []).map(
    (name) => `wal/${name}`,
  );
  return [...(await fs.readdir(DIR)), ...inLog].filter((name) => pattern.test(name));
};

/** Where two contents of a file differ: first and behind the last byte. */
export const difference = (before: Uint8Array, after: Uint8Array): { readonly from: number; readonly to: number } => {
  let from = 0;
  while (from < before.length && before[from] === after[from]) from++;
  let to = after.length;
  while (to > from && before[to - 1] === after[to - 1] && to <= before.length) to--;
  return { from, to };
};

/** Keys and values as text. */
export const entriesOf = (db: Lsm): Record<string, string> =>
  Object.fromEntries(Array.from(db.scanSync(), ([key, value]) => [text(key)!, text(value)!]));

/** Calls until it succeeds; gives others their turn between. */
export const untilDone = async (call: () => Promise<void>): Promise<void> => {
  for (;;) {
    const isDone = await call().then(
      () => true,
      () => false,
    );
    if (isDone) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
};

/** The same file system, where a sync of a directory does nothing while names in it that match are not durable. */
export const withoutDirectorySync = (fs: MemoryFileSystem, lost: RegExp): FileSystem & { skipped: number } => {
  const isPending = async (dir: string): Promise<boolean> => {
    const durable = crashWithout(fs);
    for (const name of await fs.readdir(dir)) {
      const path = `${dir === '/' ? '' : dir}/${name}`;
      if (lost.test(path) && (await durable.stat(path)) === undefined) return true;
    }
    return false;
  };
  const bound = (name: keyof FileSystem): never => (fs[name] as (...args: unknown[]) => unknown).bind(fs) as never;
  const host = {
    skipped: 0,
    open: bound('open'),
    openSync: bound('openSync'),
    readdir: bound('readdir'),
    mkdir: bound('mkdir'),
    stat: bound('stat'),
    rename: bound('rename'),
    unlink: bound('unlink'),
    link: bound('link'),
    freeBytes: bound('freeBytes'),
    lock: bound('lock'),
    syncDir: async (path: string): Promise<void> => {
      if (await isPending(path)) host.skipped++;
      else await fs.syncDir(path);
    },
  };
  return host;
};
