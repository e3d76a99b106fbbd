// Looks at all of a database without opening it, and without changing anything: what is damaged, what can be read of it, and
// whether the list of tables has to be made anew.
//
//   manifest ─ readable: the tables that it lists, then the log
//            └ lost, or older than the rest: all tables that are there, then the log
import type { FileSystem } from 'nori-io';
import { compareKeys } from '../bytes.js';
import { LOG_DIR, manifestNumber } from '../directory.js';
import { LsmError } from '../errors.js';
import type { ManifestState } from '../manifest-edit.js';
import { type TableMeta, tableName, tableNumber } from '../table-meta.js';
import { examineLog, type LogFinding, NO_LOG } from './examine-log.js';
import { examineTable, type TableFinding, type TableToExamine } from './examine-tables.js';
import { findManifest, type ManifestFinding } from './find-manifest.js';
import type { RepairProgress } from './report.js';

const OURS = ['NORILSMM', 'nori-lsm'];

/** A database, as it was found. */
export interface Examination {
  readonly names: readonly string[];
  readonly manifest: ManifestFinding;
  /** The list of tables is lost, or older than the tables: it has to be made of the tables that are there. */
  readonly mustRebuild: boolean;
  /** The tables that the manifest lists; if it must be rebuilt, all that are there. */
  readonly tables: readonly TableFinding[];
  /** Names of tables that an older manifest lists, and that are not there. */
  readonly absent: readonly string[];
  /** Names of table files that the manifest does not list. */
  readonly unlisted: readonly string[];
  readonly log: LogFinding;
  readonly problems: readonly LsmError[];
}

/**
 * @throws LsmError `LSM_NOT_FOUND` if there is no database, `LSM_NOT_A_DATABASE`, `LSM_UNSUPPORTED_VERSION`, `LSM_IO_FAILED`
 */
export const examine = async (
  fs: FileSystem,
  dir: string,
  onProgress?: (progress: RepairProgress) => void,
): Promise<Examination> => {
  const manifest = await findManifest(fs, dir);
  const names = await fs.readdir(dir);
  const numbers = names.map(tableNumber).filter((number) => number !== undefined);
  if (manifest.found !== undefined) {
    const seen = await examineListed(fs, dir, manifest.found.state, numbers, onProgress);
    if (seen !== undefined) return complete(dir, { names, manifest, mustRebuild: false, absent: [], ...seen });
  }
  const old = manifest.found?.state;
  const sequences = new Map(listedIn(manifest).map(({ number, sequence }) => [number, sequence]));
  const toExamine = numbers.map((number) => ({ number, sequence: sequences.get(number) ?? 0 }));
  const all = await examineAll(fs, dir, toExamine, onProgress);
  // Tables may hold more than an older manifest knows of, and the log then goes on behind where it has them end.
  const known = old && { flushedSeq: old.flushedSeq, usedSeq: old.usedSeq, logPosition: undefined };
  const hasLog = old?.ownLog !== false && (await fs.stat(`${dir}/${LOG_DIR}`))?.kind === 'directory';
  const log = hasLog ? await examineLog(fs, dir, known) : NO_LOG;
  if (manifest.found === undefined) await refuseForeign(fs, dir, names, all, log);
  const listed = listedIn(manifest).map(({ number }) => tableName(number));
  const absent = listed.filter((name) => !names.includes(name));
  return complete(dir, { names, manifest, mustRebuild: true, absent, tables: all, unlisted: [], log });
};

const listedIn = ({ found }: ManifestFinding): TableMeta[] =>
  (found?.state.levels ?? []).flatMap((tables) => [...tables.values()]);

/** True if entries of a table are lost. */
export const hasLostEntries = ({ tables }: Examination): boolean =>
  tables.some(({ state, lost }) => state !== 'sound' && (state !== 'damaged' || lost.length > 0));

/** All that a manifest lists; undefined if it is older than the other files. */
const examineListed = async (
  fs: FileSystem,
  dir: string,
  state: ManifestState,
  numbers: readonly number[],
  onProgress: ((progress: RepairProgress) => void) | undefined,
): Promise<Pick<Examination, 'tables' | 'unlisted' | 'log'> | undefined> => {
  const { flushedSeq, usedSeq, logPosition } = state;
  const known = { flushedSeq, usedSeq, logPosition };
  const log = state.ownLog ? await examineLog(fs, dir, known) : NO_LOG;
  const listed: TableToExamine[] = [];
  state.levels.forEach((tables, level) => {
    for (const meta of tables.values()) listed.push({ number: meta.number, level, meta });
  });
  const isListed = new Set(listed.map(({ number }) => number));
  const unlisted = numbers.filter((number) => !isListed.has(number));
  const tables = await examineAll(fs, dir, listed, onProgress);
  const seen = { tables, unlisted: unlisted.map((number) => tableName(number)), log };
  // A manifest that has lost its last records reads as an older one. Then tables that it does not list hold what is missing,
  // or the log speaks of keyspaces that it does not know.
  if (state.mappedKeys && log.largestKeyspace > state.lastKeyspace) return undefined;
  const missing = tables.filter(({ state }) => state === 'missing');
  // A manifest from before the first flush has no position: what the log has lost since shows by the numbers of its operations.
  const isBehind = logPosition === undefined ? log.missing > 0 : log.start !== undefined && log.start > logPosition;
  if (missing.length === 0 && !isBehind) return seen;
  const others = await examineAll(
    fs,
    dir,
    unlisted.map((number) => ({ number })),
    () => {},
  );
  const holdsMissing = (other: TableFinding): boolean =>
    other.largestSeq > flushedSeq || missing.some((table) => mayReplace(other, table));
  return others.some(holdsMissing) ? undefined : seen;
};

/** True if the table can have been written in the place of one that is missing: it holds keys of the same range. */
const mayReplace = ({ state, properties }: TableFinding, { meta }: TableFinding): boolean => {
  if (properties === undefined) return state === 'damaged';
  return (
    meta !== undefined &&
    compareKeys(properties.smallestKey, meta.largestKey) <= 0 &&
    compareKeys(properties.largestKey, meta.smallestKey) >= 0
  );
};

const examineAll = async (
  fs: FileSystem,
  dir: string,
  tables: readonly TableToExamine[],
  onProgress: ((progress: RepairProgress) => void) | undefined,
): Promise<TableFinding[]> => {
  const found: TableFinding[] = [];
  for (const table of tables) {
    found.push(await examineTable(fs, dir, table));
    onProgress?.({ phase: 'tables', done: found.length, total: tables.length });
  }
  return found;
};

const complete = (dir: string, found: Omit<Examination, 'problems'>): Examination => {
  const { manifest, tables, log, mustRebuild } = found;
  const problems = [...manifest.problems, ...tables.flatMap((table) => table.problems), ...log.problems];
  if (mustRebuild && manifest.found !== undefined) {
    const what = 'The manifest is older than the tables and the log that are there: its last records are lost.';
    problems.unshift(new LsmError('LSM_CORRUPT_MANIFEST', what, { file: `${dir}/CURRENT`, offset: 0 }));
  }
  return { ...found, problems };
};

/** Another program's files are not to be taken for damaged ones of ours: one of them at least must be ours beyond doubt. */
const refuseForeign = async (
  fs: FileSystem,
  dir: string,
  names: readonly string[],
  tables: readonly TableFinding[],
  log: LogFinding,
): Promise<void> => {
  if (log.records > 0 || tables.some(({ state }) => state === 'sound' || state === 'damaged')) return;
  for (const name of names) {
    if (name !== 'CURRENT' && manifestNumber(name) === undefined) continue;
    const file = await fs.open(`${dir}/${name}`, 'read');
    try {
      const bytes = new Uint8Array(8);
      await file.read(bytes, 0);
      if (OURS.includes(new TextDecoder().decode(bytes))) return;
    } catch {
      // Not to be read: it proves nothing.
    } finally {
      await file.close();
    }
  }
  throw new LsmError('LSM_NOT_A_DATABASE', `Nothing in ${dir} is of a database of this kind. Nothing was changed.`, {
    file: dir,
  });
};
