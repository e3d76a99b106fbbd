// Finds the manifest that is in force, or the newest one if CURRENT cannot tell. Changes nothing.
import type { FileSystem } from 'nori-io';
import { inspectDirectory, LOST_DIR, manifestName, manifestNumber } from '../directory.js';
import { codeOf, LsmError, toLsmError } from '../errors.js';
import { Manifest } from '../manifest.js';
import type { ManifestState } from '../manifest-edit.js';

const CURRENT = 'CURRENT';

/** The manifest, as it was found. */
export interface ManifestFinding {
  /** Undefined: it cannot be read. */
  readonly found: { readonly number: number; readonly state: ManifestState } | undefined;
  /** CURRENT does not name it. */
  readonly isCurrentDamaged: boolean;
  readonly problems: readonly LsmError[];
}

/** @throws LsmError `LSM_NOT_FOUND` if there is no database; `LSM_UNSUPPORTED_VERSION`, `LSM_IO_FAILED` */
export const findManifest = async (fs: FileSystem, dir: string): Promise<ManifestFinding> => {
  const current = await readCurrent(fs, dir);
  if (typeof current === 'number') {
    const state = await readState(fs, dir, current);
    if (!(state instanceof LsmError))
      return { found: { number: current, state }, isCurrentDamaged: false, problems: [] };
    return { found: undefined, isCurrentDamaged: false, problems: [state] };
  }
  // The newest manifest is as CURRENT had it: an older one is removed once CURRENT names its successor.
  const numbers = (await fs.readdir(dir)).map(manifestNumber).filter((number) => number !== undefined);
  const newest = Math.max(0, ...numbers);
  const state = newest === 0 ? undefined : await readState(fs, dir, newest);
  if (state === undefined) return { found: undefined, isCurrentDamaged: true, problems: [current] };
  if (state instanceof LsmError) return { found: undefined, isCurrentDamaged: true, problems: [current, state] };
  return { found: { number: newest, state }, isCurrentDamaged: true, problems: [current] };
};

/** The number in CURRENT, or what is wrong with it. */
const readCurrent = async (fs: FileSystem, dir: string): Promise<number | LsmError> => {
  const file = `${dir}/${CURRENT}`;
  const missing = new LsmError('LSM_CORRUPT_MANIFEST', `${file} is missing.`, { file, offset: 0 });
  try {
    const seen = await inspectDirectory(fs, dir);
    if (seen.kind === 'database') return seen.manifest;
    const names = seen.kind === 'missing' ? [] : await fs.readdir(dir);
    if (!names.some((name) => manifestNumber(name) !== undefined || name === 'wal' || name === LOST_DIR)) {
      throw new LsmError('LSM_NOT_FOUND', `There is no database in ${dir}.`, { file: dir });
    }
    return missing;
  } catch (thrown) {
    const error = damageOf(thrown, file);
    // What is no text of ours may be damage, and other files may be anything: whether this is a database, the rest shows.
    if (error.code === 'LSM_NOT_A_DATABASE') {
      const what = (await fs.stat(file)) === undefined ? 'missing' : 'damaged, or not of this kind';
      return new LsmError('LSM_CORRUPT_MANIFEST', `${file} is ${what}.`, { file, offset: 0 });
    }
    if (error.code !== 'LSM_CORRUPT_MANIFEST') throw error;
    return error;
  }
};

/** What manifest `number` says, or why it cannot be read. */
const readState = async (fs: FileSystem, dir: string, number: number): Promise<ManifestState | LsmError> => {
  const file = `${dir}/${manifestName(number)}`;
  try {
    return (await Manifest.read(fs, dir, number)).state;
  } catch (thrown) {
    const error = damageOf(thrown, file);
    if (error.code !== 'LSM_CORRUPT_MANIFEST') throw error;
    return error;
  }
};

/** A disk that cannot read a file has damaged it. */
const damageOf = (thrown: unknown, file: string): LsmError => {
  const error = toLsmError(thrown, `Cannot read ${file}`);
  if (codeOf(error.cause) !== 'IO_FAILED') return error;
  return new LsmError('LSM_CORRUPT_MANIFEST', error.message, { file, offset: 0, cause: thrown });
};
