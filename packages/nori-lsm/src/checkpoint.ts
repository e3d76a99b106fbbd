// A copy of a database as it is at one moment, made while it is in use. Tables never change, so that they are linked rather than
// copied; what is copied is the list of them.
//
//   hold the version ─ make the directory ─ link its tables ─ sync their names ─ manifest, then CURRENT
//
// Only CURRENT, which comes last, makes a database of the directory: what a crash leaves before it is refused when opened.
import { type FileSystem, syncParents } from 'nori-io';
import { LsmError } from './errors.js';
import { Manifest } from './manifest.js';
import type { ManifestEdit } from './manifest-edit.js';
import { tableName } from './table-meta.js';

const LINKS_AT_ONCE = 8;
const COPY_BYTES = 1024 * 1024;

/** What is to be in the copy: all that a version has, which the caller holds on to until this is done. */
export interface CheckpointSource {
  readonly dir: string;
  /** The one edit that makes a manifest of it. */
  readonly edit: ManifestEdit;
}

/** @throws LsmError `LSM_EXISTS` if there is something in `dir` already; `LSM_NO_SPACE`, `LSM_IO_FAILED`: what was made is removed again */
export const writeCheckpoint = async (fs: FileSystem, source: CheckpointSource, dir: string): Promise<void> => {
  await makeEmptyDirectory(fs, dir);
  try {
    const tables = source.edit.added ?? [];
    for (let i = 0; i < tables.length; i += LINKS_AT_ONCE) {
      const names = tables.slice(i, i + LINKS_AT_ONCE).map(({ meta }) => tableName(meta.number));
      // All of them are waited for: one that came after the clean-up would stay.
      const made = await Promise.allSettled(
        names.map((name) => linkOrCopy(fs, `${source.dir}/${name}`, `${dir}/${name}`)),
      );
      for (const each of made) if (each.status === 'rejected') throw each.reason;
    }
    await fs.syncDir(dir);
    const manifest = await Manifest.create(fs, dir, source.edit);
    await manifest.close();
  } catch (error) {
    // All that is in it was made here.
    for (const name of await fs.readdir(dir).catch(() => [])) await fs.unlink(`${dir}/${name}`).catch(() => {});
    throw error;
  }
};

/** Makes a directory that is there and empty. @throws LsmError `LSM_EXISTS` */
export const makeEmptyDirectory = async (fs: FileSystem, dir: string): Promise<void> => {
  const found = await fs.stat(dir);
  if (found === undefined) await fs.mkdir(dir);
  else if (found.kind !== 'directory' || (await fs.readdir(dir)).length > 0) {
    throw new LsmError('LSM_EXISTS', `${dir} is there already, and is no empty directory. Nothing was changed.`);
  }
  await syncParents(fs, dir);
};

/** Links a table; copies it where that cannot be, as from one file system to another. */
export const linkOrCopy = async (fs: FileSystem, from: string, to: string): Promise<void> => {
  try {
    await fs.link(from, to);
  } catch {
    await copyFile(fs, from, to);
  }
};

/** Copies a file, data durable. What was made is removed again if it fails. */
export const copyFile = async (fs: FileSystem, from: string, to: string): Promise<void> => {
  const source = await fs.open(from, 'read');
  try {
    const target = await fs.open(to, 'create');
    try {
      const chunk = new Uint8Array(COPY_BYTES);
      for (let at = 0; ; ) {
        const count = await source.read(chunk, at);
        if (count === 0) break;
        await target.write([chunk.subarray(0, count)], at);
        at += count;
      }
      await target.datasync();
    } finally {
      await target.close();
    }
  } catch (error) {
    await fs.unlink(to).catch(() => {});
    throw error;
  } finally {
    await source.close();
  }
};
