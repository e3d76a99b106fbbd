// Opening and creating the directory of a database: looks before it touches, locks, sweeps what a crash has left.
//
//   create   mkdir ─ names above synced, lock taken ─ manifest and CURRENT.tmp written, both synced ─ names in it synced ─ CURRENT ─ synced
//   open     lock taken ─ names in it synced ─ manifests that CURRENT does not name removed ─ manifest read
//
// That this is enough, whenever a crash comes:
//   - What is acknowledged is in a directory with a CURRENT, and CURRENT is put in force (by a rename) only after the names above the
//     directory, the manifest, its name and CURRENT's own bytes are durable. So whoever finds a CURRENT, finds what it names, and need not
//     sync the names above again. The manifest and CURRENT.tmp may become durable in either order: without a CURRENT neither counts.
//   - Without a CURRENT nothing was acknowledged, and nothing that is removed can be missed. With one, what it makes obsolete is removed
//     only after it is durable that it is this one: hence the sync before.
import { syncParents } from 'nori-io';
import { type DirectoryState, inspectDirectory, LOCK_FILE, manifestNumber } from './directory.js';
import { codeOf, LsmError } from './errors.js';
import { Manifest } from './manifest.js';
import type { ResolvedOptions } from './options.js';
import { tableNumber } from './table-meta.js';

/** An open directory. */
export interface OpenDirectory {
  readonly manifest: Manifest;
  readonly unlock: () => Promise<void>;
}

/** @throws LsmError `LSM_NOT_A_DATABASE`, `LSM_NOT_FOUND`, `LSM_EXISTS`, `LSM_LOCKED`, `LSM_UNSUPPORTED_VERSION`, `LSM_CORRUPT_MANIFEST` */
export const openDirectory = async (options: ResolvedOptions): Promise<OpenDirectory> => {
  const { fs, dir } = options;
  // Refusals come before the first change: a directory that is not ours, or of a newer version, stays as it is.
  const seen = await inspectWanted(options);
  if (seen.kind === 'missing') await fs.mkdir(dir);
  // Side by side, and both waited for: what fails leaves nothing under way.
  const [named, locked] = await Promise.allSettled([
    seen.kind === 'database' ? undefined : syncParents(fs, dir),
    options.lock ? takeLock(options) : async () => {},
  ]);
  if (locked.status === 'rejected') throw locked.reason;
  const unlock = locked.value;
  try {
    if (named.status === 'rejected') throw named.reason;
    // Another process may have created it, or have gone on, until the lock was taken.
    const state = await inspectWanted(options);
    // What CURRENT says now is durable before anything that it makes obsolete is removed.
    if (state.kind === 'database') await fs.syncDir(dir);
    const number = state.kind === 'database' ? state.manifest : 0;
    for (const name of state.kind === 'missing' ? [] : state.names) {
      const other = manifestNumber(name);
      if (other !== undefined && other !== number) await fs.unlink(`${dir}/${name}`);
    }
    const manifest =
      number === 0
        ? await Manifest.create(fs, dir, { ownLog: options.wal, mappedKeys: true })
        : await Manifest.open(fs, dir, number);
    if (manifest.state.ownLog !== options.wal) {
      await manifest.close();
      const was = manifest.state.ownLog;
      throw new LsmError('LSM_INVALID_OPTIONS', `${dir} was created with wal: ${was}; open it with wal: ${was}.`);
    }
    return { manifest, unlock };
  } catch (error) {
    await unlock();
    throw error;
  }
};

/** @throws LsmError `LSM_NOT_FOUND`, `LSM_EXISTS`, and as `inspectDirectory` does */
const inspectWanted = async ({ fs, dir, createIfMissing, errorIfExists }: ResolvedOptions): Promise<DirectoryState> => {
  const seen = await inspectDirectory(fs, dir);
  if (seen.kind === 'database' && errorIfExists)
    throw new LsmError('LSM_EXISTS', `A database exists in ${dir} already, and errorIfExists is true.`);
  if (seen.kind !== 'database' && !createIfMissing) {
    throw new LsmError('LSM_NOT_FOUND', `A database does not exist in ${dir}, and createIfMissing is false.`);
  }
  return seen;
};

/**
 * Removes tables that no version lists: outputs of tasks that a crash cut off, and tables that were about to go. What they
 * took may be the space that the manifest was short of.
 */
export const removeOrphans = async (options: ResolvedOptions, manifest: Manifest): Promise<void> => {
  await removeUnlisted(options, manifest);
  if (manifest.isSettled) return;
  await manifest.settle();
  if (manifest.isSettled) await removeUnlisted(options, manifest);
};

const removeUnlisted = async ({ fs, dir }: ResolvedOptions, manifest: Manifest): Promise<void> => {
  const { levels } = manifest.state;
  for (const name of await fs.readdir(dir)) {
    const number = tableNumber(name);
    if (number === undefined || levels.some((tables) => tables.has(number))) continue;
    if (!manifest.mayStillList(number)) await fs.unlink(`${dir}/${name}`);
  }
};

/** Takes the lock of a directory. @throws LsmError `LSM_LOCKED` */
export const takeLock = async ({ fs, dir }: Pick<ResolvedOptions, 'fs' | 'dir'>): Promise<() => Promise<void>> => {
  try {
    const lock = await fs.lock(`${dir}/${LOCK_FILE}`);
    return () => lock.release();
  } catch (error) {
    if (codeOf(error) !== 'IO_LOCKED') throw error;
    const holder = (error as { holder?: { pid: number; command: string; hostname: string } }).holder;
    const who =
      holder === undefined ? 'another process' : `process ${holder.pid} on ${holder.hostname} (${holder.command})`;
    const detail = (error as Error).message;
    throw new LsmError(
      'LSM_LOCKED',
      `${dir} is in use by ${who}. End it first, or use another directory. (${detail})`,
      {
        file: `${dir}/${LOCK_FILE}`,
        cause: error,
      },
    );
  }
};
