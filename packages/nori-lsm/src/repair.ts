// Salvages what can be read of a damaged database (`nori-lsm/repair`), and says what was lost. For when there is no backup.
//
//   lock ─ examine: changes nothing ─ mend the tables, or rebuild their list ─ mend the log
//
// Nothing is deleted: see repair/lost-folder.ts. A crash in the middle leaves a directory that can be repaired again.
import { type FileSystem, nodeFileSystem } from 'nori-io';
import { takeLock } from './directory-open.js';
import { LsmError, toLsmError } from './errors.js';
import type { KeyspaceMeta } from './keyspaces.js';
import { type Examination, examine } from './repair/examine.js';
import { LostFolder } from './repair/lost-folder.js';
import { mendLog } from './repair/mend-log.js';
import { mendTables } from './repair/mend-tables.js';
import { rebuild } from './repair/rebuild.js';
import type { RepairProgress, RepairReport } from './repair/report.js';
import { reportOf } from './repair/report-of.js';

export { LsmError, type LsmErrorCode, type LsmErrorDetails } from './errors.js';
export type {
  LostRange,
  RecoveredKeyspace,
  RepairedLog,
  RepairedTable,
  RepairProgress,
  RepairReport,
} from './repair/report.js';

/** Options of {@link repair}. */
export interface RepairOptions {
  /** Directory of the database, which must not be open. */
  readonly dir: string;
  /** Default: the real file system. */
  readonly fs?: FileSystem;
  /** Told how far it is; must not throw. */
  readonly onProgress?: (progress: RepairProgress) => void;
}

/**
 * Makes a database that can be opened of one that is damaged, with everything that can still be read. A sound one is not changed.
 * Whatever is replaced or given up is in `lost/` in the directory afterwards. What was lost may uncover what it had replaced or deleted:
 * older values, deleted entries; the report says so.
 * @throws LsmError `LSM_NOT_FOUND`, `LSM_NOT_A_DATABASE`, `LSM_UNSUPPORTED_VERSION`, `LSM_LOCKED`: nothing was changed;
 * `LSM_NO_SPACE`, `LSM_IO_FAILED`: see to the disk and repair again
 */
export const repair = async ({ dir, fs = nodeFileSystem, onProgress }: RepairOptions): Promise<RepairReport> => {
  if (typeof dir !== 'string' || dir === '') throw new LsmError('LSM_INVALID_OPTIONS', 'dir must name a directory.');
  try {
    return await whileLocked(fs, dir, async () => {
      const found = await examine(fs, dir, onProgress);
      if (found.problems.length === 0) return reportOf(found, undefined, []);
      const lost = await LostFolder.open(fs, dir);
      return reportOf(found, lost, await mend(fs, dir, found, lost, onProgress));
    });
  } catch (error) {
    throw toLsmError(error, `Cannot repair ${dir}`);
  }
};

/** Keeps a database that is there from being opened meanwhile. @throws LsmError `LSM_NOT_FOUND`, `LSM_LOCKED` */
export const whileLocked = async <T>(fs: FileSystem, dir: string, body: () => Promise<T>): Promise<T> => {
  const stat = await fs.stat(dir);
  if (stat?.kind !== 'directory') throw new LsmError('LSM_NOT_FOUND', `There is no directory ${dir}.`, { file: dir });
  const unlock = await takeLock({ fs, dir });
  try {
    return await body();
  } finally {
    await unlock();
  }
};

/** Returns the keyspaces that were made because their names are lost. */
const mend = async (
  fs: FileSystem,
  dir: string,
  found: Examination,
  lost: LostFolder,
  onProgress: RepairOptions['onProgress'],
): Promise<readonly KeyspaceMeta[]> => {
  if (found.mustRebuild) return rebuild(fs, dir, found, lost, onProgress);
  const number = await mendTables(fs, dir, found, lost, onProgress);
  if (found.log.state === 'damaged' || found.log.state === 'apart') await mendLog(fs, dir, number, lost, onProgress);
  return [];
};
