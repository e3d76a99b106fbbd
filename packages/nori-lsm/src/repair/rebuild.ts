// Makes a database of the tables that are there, and of the log, without a manifest or with one that is older than they are. Which level a
// table was in, and which of two is newer, is not known: entries are. So all that can be read is merged, by sequence numbers, into one
// level of disjoint tables. What the new manifest says beside that: recovered-state.ts.
//
//   everything gets a second name in the lost folder ─ damaged tables are rewritten, the log is written as tables ─ merge ─ manifest,
//   then CURRENT ─ the old files lose their first name, the log moves
//
// Until CURRENT is switched a crash leaves all that was there, and perhaps tables that repeat it; the next repair merges those too. After
// that it leaves a log of which nothing is taken any more.
import type { FileSystem } from 'nori-io';
import { manifestNumber } from '../directory.js';
import { type KeyspaceMeta, keyspaceTables } from '../keyspaces.js';
import { LEVELS } from '../limits.js';
import { Manifest } from '../manifest.js';
import { runTask } from '../run-task.js';
import { type TableMeta, tableName } from '../table-meta.js';
import type { TaskInput } from '../task.js';
import type { Examination } from './examine.js';
import { type LogTables, writeLogTables } from './log-tables.js';
import { lookAtKeys } from './look-at-keys.js';
import type { LostFolder } from './lost-folder.js';
import { nextTableNumber } from './mend-tables.js';
import { recoveredState } from './recovered-state.js';
import type { RepairProgress } from './report.js';
import { rewriteTable, writerSettings } from './rewrite-table.js';
import { taskSettings } from './task-settings.js';

const TABLE_BYTES = 8 * 1024 * 1024;
const LEVEL = LEVELS - 1;

type OnProgress = ((progress: RepairProgress) => void) | undefined;

/** Leaves a manifest, closed, that lists the merged tables; returns the keyspaces that were made because their names are lost. */
export const rebuild = async (
  fs: FileSystem,
  dir: string,
  found: Examination,
  lost: LostFolder,
  onProgress: OnProgress,
): Promise<readonly KeyspaceMeta[]> => {
  const { names, tables } = found;
  const old = found.manifest.found?.state;
  const manifests = names.filter((name) => manifestNumber(name) !== undefined);
  await fs.syncDir(dir);
  await lost.copy('CURRENT');
  for (const name of [...manifests, ...tables.map(({ file }) => file)]) await lost.keep(name);
  await lost.sync();

  const firstNumber = Math.max(old?.nextNumber ?? 1, nextTableNumber(names));
  const { inputs, log, temporary } = await gather(fs, dir, found, firstNumber, lost, onProgress);
  const merged = await mergeAll(dir, found, { inputs, firstNumber: firstNumber + temporary.length }, lost, onProgress);
  for (const { number } of merged) await lost.finishTable(tableName(number));
  await lost.sync();

  const keys = await lookAtKeys(fs, dir, merged);
  const { edit, keyspaces } = recoveredState(found, { keys, log });
  const nextNumber = firstNumber + temporary.length + merged.length;
  const added = merged.map((meta) => ({ level: LEVEL, meta }));
  const last = Math.max(0, ...manifests.map((name) => manifestNumber(name)!));
  const manifest = await Manifest.create(fs, dir, { ...edit, nextNumber, added }, last);
  await manifest.close();
  for (const name of temporary) await fs.unlink(`${dir}/${name}`);
  await lost.dropReplaced();
  if (found.log.state !== 'none') await lost.moveLog();
  return keyspaces;
};

interface Gathered {
  readonly inputs: readonly TaskInput[];
  readonly log: LogTables | undefined;
  /** Names of tables that were written to be merged. */
  readonly temporary: readonly string[];
}

/** All that is to be merged, as sound tables. */
const gather = async (
  fs: FileSystem,
  dir: string,
  found: Examination,
  firstNumber: number,
  lost: LostFolder,
  onProgress: OnProgress,
): Promise<Gathered> => {
  const inputs: TaskInput[] = [];
  const temporary: string[] = [];
  const damaged = found.tables.filter(({ state }) => state === 'damaged');
  for (const { number, state, sequence } of found.tables) {
    if (state === 'sound') inputs.push({ number, sequence, run: -1 });
  }
  for (const table of damaged) {
    const number = firstNumber + temporary.length;
    await rewriteTable(fs, dir, table, number, lost);
    temporary.push(tableName(number));
    inputs.push({ number, sequence: table.sequence, run: -1 });
    onProgress?.({ phase: 'rewrite', done: temporary.length, total: damaged.length });
  }
  if (found.log.state === 'none') return { inputs, temporary, log: undefined };
  const flushedSeq = found.log.wholeLog?.flushedSeq ?? found.manifest.found?.state.flushedSeq;
  const from = { flushedSeq, firstNumber: firstNumber + temporary.length };
  const log = await writeLogTables(fs, dir, from, lost, onProgress);
  for (const { number } of log.tables) {
    temporary.push(tableName(number));
    inputs.push({ number, sequence: 0, run: -1 });
  }
  return { inputs, temporary, log };
};

const mergeAll = async (
  dir: string,
  { tables, manifest: { found } }: Examination,
  { inputs, firstNumber }: { readonly inputs: readonly TaskInput[]; readonly firstNumber: number },
  lost: LostFolder,
  onProgress: OnProgress,
): Promise<readonly TableMeta[]> => {
  if (inputs.length === 0) return [];
  const settings = writerSettings(tables.find(({ properties }) => properties !== undefined)?.properties);
  onProgress?.({ phase: 'merge', done: 0, total: inputs.length });
  const { tables: merged } = await runTask(
    lost.staged,
    {
      kind: 'compact',
      ...taskSettings(dir, settings),
      inputs,
      outputLevel: LEVEL,
      firstNumber,
      numbers: Number.POSITIVE_INFINITY,
      tableBytes: TABLE_BYTES,
      keyspaces: keyspaceTables(found?.state.keyspaces.values() ?? [], settings),
      deeper: [],
    },
    { pause: () => Promise.resolve() },
  );
  onProgress?.({ phase: 'merge', done: inputs.length, total: inputs.length });
  return merged;
};
