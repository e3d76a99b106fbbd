// The directory of a database and the file CURRENT, which names the manifest.
//
//   CURRENT          "nori-lsm <format version>\n" "MANIFEST-000001\n" "<CRC32C of the lines before, 8 hex digits>\n"
//   MANIFEST-000001  see manifest-records.ts        000002.sst …  tables        wal/  the own log        LOCK  while open
//   lost/            what a repair has replaced or given up, see repair.ts
//
// CURRENT is replaced by writing CURRENT.tmp, syncing it, renaming it and syncing the directory.
import { crc32c, type FileSystem } from 'nori-io';
import { LsmError } from './errors.js';
import { FORMAT_VERSION } from './manifest-records.js';
import { tableNumber } from './table-meta.js';

const CURRENT = 'CURRENT';
const CURRENT_TMP = 'CURRENT.tmp';
/** Name of the lock file; nori-io puts its helpers beside it under longer names. */
export const LOCK_FILE = 'LOCK';
/** Name of the folder of the own log. */
export const LOG_DIR = 'wal';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Name of the folder for what a repair has replaced or given up, see repair.ts. */
export const LOST_DIR = 'lost';

/** File name of a manifest. */
export const manifestName = (number: number): string => `MANIFEST-${String(number).padStart(6, '0')}`;

/** The number in a manifest's file name, or undefined. */
export const manifestNumber = (name: string): number | undefined =>
  /^MANIFEST-\d{6,15}$/.test(name) ? Number.parseInt(name.slice(9), 10) : undefined;

const isLockName = (name: string): boolean => name === LOCK_FILE || name.startsWith(`${LOCK_FILE}.`);

/** What a directory is, found without changing anything in it. */
export type DirectoryState =
  | { readonly kind: 'missing' }
  | { readonly kind: 'empty'; readonly names: readonly string[] }
  | { readonly kind: 'database'; readonly names: readonly string[]; readonly manifest: number };

/**
 * Looks at a directory.
 * @throws LsmError `LSM_NOT_A_DATABASE`, `LSM_CORRUPT_MANIFEST`, `LSM_UNSUPPORTED_VERSION`
 */
export const inspectDirectory = async (fs: FileSystem, dir: string): Promise<DirectoryState> => {
  const stat = await fs.stat(dir);
  if (stat === undefined) return { kind: 'missing' };
  if (stat.kind !== 'directory') {
    throw new LsmError('LSM_NOT_A_DATABASE', `${dir} is not a directory.`, { file: dir });
  }
  const names = await fs.readdir(dir);
  if (names.includes(CURRENT)) return { kind: 'database', names, manifest: await readCurrent(fs, dir) };
  // A crash while the database was being created leaves a first manifest at most: nothing was ever acknowledged.
  const others = names.filter(
    (name) => !isLockName(name) && name !== CURRENT_TMP && name !== manifestName(1) && name !== LOG_DIR,
  );
  if (others.length === 0) return { kind: 'empty', names };
  const isOurs = (name: string): boolean =>
    tableNumber(name) !== undefined || manifestNumber(name) !== undefined || name === LOST_DIR;
  if (others.every(isOurs)) {
    const file = `${dir}/${CURRENT}`;
    throw new LsmError(
      'LSM_CORRUPT_MANIFEST',
      `${file} is missing though there are tables. Restore it from a backup.`,
      {
        file,
        offset: 0,
      },
    );
  }
  throw new LsmError(
    'LSM_NOT_A_DATABASE',
    `${dir} is no database: it holds other files (${others.slice(0, 3).join(', ')}). Nothing was changed; choose another directory.`,
    { file: dir },
  );
};

/** Writes the next CURRENT, which is to name manifest `number`, beside the one in force. */
export const prepareCurrent = async (fs: FileSystem, dir: string, number: number): Promise<void> => {
  const lines = `nori-lsm ${FORMAT_VERSION}\n${manifestName(number)}\n`;
  const text = encoder.encode(`${lines}${checksumOf(lines)}\n`);
  const temporary = `${dir}/${CURRENT_TMP}`;
  if ((await fs.stat(temporary)) !== undefined) await fs.unlink(temporary);
  const file = await fs.open(temporary, 'create');
  try {
    await file.write([text], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
};

/** Puts the prepared CURRENT in force, durably. If it fails, either may be in force. */
export const switchCurrent = async (fs: FileSystem, dir: string): Promise<void> => {
  await fs.rename(`${dir}/${CURRENT_TMP}`, `${dir}/${CURRENT}`);
  await fs.syncDir(dir);
};

/** Reads a whole file. */
export const readWhole = async (fs: FileSystem, path: string): Promise<Uint8Array> => {
  const file = await fs.open(path, 'read');
  try {
    const bytes = new Uint8Array(file.sizeSync());
    const count = await file.read(bytes, 0);
    return bytes.subarray(0, count);
  } finally {
    await file.close();
  }
};

const readCurrent = async (fs: FileSystem, dir: string): Promise<number> => {
  const file = `${dir}/${CURRENT}`;
  const text = decode(await readWhole(fs, file));
  const version = /^nori-lsm (\d{1,9})\n/.exec(text)?.[1];
  const corrupt = (): LsmError =>
    new LsmError('LSM_CORRUPT_MANIFEST', `${file} is damaged. Restore it from a backup.`, { file, offset: 0 });
  if (version === undefined) {
    if (!/nori|lsm|MANIFEST/.test(text)) {
      throw new LsmError('LSM_NOT_A_DATABASE', `${dir} is no database of this kind: its CURRENT is not ours.`, {
        file,
      });
    }
    throw corrupt();
  }
  const lines = text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1);
  const isWhole = `${lines}${checksumOf(lines)}\n` === text;
  if (isWhole && Number(version) !== FORMAT_VERSION) {
    throw new LsmError(
      'LSM_UNSUPPORTED_VERSION',
      `${dir} has format version ${version}; this version reads ${FORMAT_VERSION}. Open it with a newer version.`,
      { file, offset: 0 },
    );
  }
  const number = manifestNumber(lines.split('\n')[1] ?? '');
  if (!isWhole || number === undefined) throw corrupt();
  return number;
};

const decode = (bytes: Uint8Array): string => {
  try {
    return decoder.decode(bytes);
  } catch {
    return '';
  }
};

const checksumOf = (lines: string): string => crc32c(encoder.encode(lines)).toString(16).padStart(8, '0');
