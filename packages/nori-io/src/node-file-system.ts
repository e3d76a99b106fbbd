// The real file system over node:fs. Stateless: one frozen object serves everyone.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { DirectoryLock, File, FileStat, FileSystem, OpenMode } from './file-system.js';
import { fromNodeError } from './io-error.js';
import { takeLock } from './lock/lock-file.js';
import { NodeFile } from './node-file.js';

const FLAGS: Readonly<Record<OpenMode, string>> = { read: 'r', write: 'r+', create: 'wx+' };

async function guarded<T>(action: string, target: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromNodeError(error, action, target);
  }
}

/** The file system of this machine. */
export const nodeFileSystem: FileSystem = Object.freeze({
  open(target: string, mode: OpenMode): Promise<File> {
    return new Promise((resolve, reject) => {
      fs.open(target, FLAGS[mode], 0o644, (error, fd) => {
        if (error) reject(fromNodeError(error, mode === 'create' ? 'create' : 'open', target));
        else resolve(new NodeFile(target, fd));
      });
    });
  },

  openSync(target: string, mode: OpenMode): File {
    try {
      return new NodeFile(target, fs.openSync(target, FLAGS[mode], 0o644));
    } catch (error) {
      throw fromNodeError(error, mode === 'create' ? 'create' : 'open', target);
    }
  },

  readdir: (target: string): Promise<string[]> =>
    guarded('list', target, async () => (await fs.promises.readdir(target)).sort()),

  mkdir: (target: string): Promise<void> =>
    guarded('create directory', target, async () => {
      await fs.promises.mkdir(target, { recursive: true });
    }),

  async stat(target: string): Promise<FileStat | undefined> {
    try {
      const found = await fs.promises.stat(target);
      const kind = found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other';
      return { kind, sizeBytes: found.size };
    } catch (error) {
      const failed = fromNodeError(error, 'stat', target);
      if (failed.code === 'IO_NOT_FOUND') return undefined;
      throw failed;
    }
  },

  rename: (from: string, to: string): Promise<void> => guarded('rename', from, () => fs.promises.rename(from, to)),

  unlink: (target: string): Promise<void> => guarded('remove', target, () => fs.promises.unlink(target)),

  link: (existing: string, target: string): Promise<void> =>
    guarded('link', target, () => fs.promises.link(existing, target)),

  syncDir: (target: string): Promise<void> =>
    guarded('sync directory', target, async () => {
      const directory = await fs.promises.open(target, 'r');
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    }),

  freeBytes: (target: string): Promise<number> =>
    guarded('stat the file system of', target, async () => {
      const found = await fs.promises.statfs(target);
      return found.bavail * found.bsize;
    }),

  lock: (target: string): Promise<DirectoryLock> =>
    takeLock(path.resolve(target), () => randomBytes(8).toString('hex')),
});
