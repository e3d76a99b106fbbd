// Makes a database of the tables that are there, without a manifest. Which level a table was in, and which of two is newer, is
// not known: entries are. So all that can be read is merged, by sequence numbers, into one level of disjoint tables.
//
//   everything gets a second name in the lost folder ─ damaged tables are rewritten ─ merge ─ manifest, then CURRENT ─ the old
//   files lose their first name
//
// Until CURRENT is switched a crash leaves all that was there, and perhaps tables that repeat it; the next repair merges those too.
import type { FileSystem } from 'nori-io';
import { LOG_DIR, manifestNumber } from '../directory.js';
import { LEVELS } from '../limits.js';
import { Manifest } from '../manifest.js';
import type { ManifestEdit, ManifestState } from '../manifest-edit.js';
import { runTask } from '../run-task.js';
import { type TableMeta, tableName } from '../table-meta.js';
import type { CompactTask } from '../task.js';
import type { Examination } from './examine.js';
import type { LostFolder } from './lost-folder.js';
import { nextTableNumber } from './mend-tables.js';
import type { RepairProgress } from './report.js';
import { rewriteTable, writerSettings } from './rewrite-table.js';

const TABLE_BYTES = 8 * 1024 * 1024;
const LEVEL = LEVELS - 1;

/** Leaves a manifest, closed, that lists the merged tables; returns its number. */
export const rebuild = async (
  fs: FileSystem,
  dir: string,
  found: Examination,
  lost: LostFolder,
  onProgress: ((progress: RepairProgress) => void) | undefined,
): Promise<number> => {
  const { names, tables, log, manifest: old } = found;
  const manifests = names.filter((name) => manifestNumber(name) !== undefined);
  await fs.syncDir(dir);
  await lost.copy('CURRENT');
  for (const name of [...manifests, ...tables.map(({ file }) => file)]) await lost.keep(name);
  await lost.sync();

  let nextNumber = nextTableNumber(names);
  const inputs = tables.filter(({ state }) => state === 'sound').map(({ number }) => number);
  const damaged = tables.filter(({ state }) => state === 'damaged');
  const rewritten: string[] = [];
  for (const table of damaged) {
    await rewriteTable(fs, dir, table, nextNumber, lost);
    rewritten.push(tableName(nextNumber));
    inputs.push(nextNumber++);
    onProgress?.({ phase: 'rewrite', done: rewritten.length, total: damaged.length });
  }
  const merged = await mergeAll(fs, dir, found, { inputs, firstNumber: nextNumber }, lost, onProgress);
  for (const { number } of merged) {
    await lost.finishTable(tableName(number));
    nextNumber = Math.max(nextNumber, number + 1);
  }
  await lost.sync();
  const added = merged.map((meta) => ({ level: LEVEL, meta }));
  const last = Math.max(0, ...manifests.map((name) => manifestNumber(name)!));
  const { flushedSeq } = log.wholeLog ?? log;
  const rest = old.found === undefined ? await ownLogOf(fs, dir) : withoutTables(old.found.state);
  const manifest = await Manifest.create(fs, dir, { ...rest, nextNumber, flushedSeq, added }, last);
  await manifest.close();
  for (const name of rewritten) await fs.unlink(`${dir}/${name}`);
  await lost.dropReplaced();
  return manifest.number;
};

/** A database that keeps its own log has a folder for it. */
const ownLogOf = async (fs: FileSystem, dir: string): Promise<ManifestEdit> => ({
  ownLog: (await fs.stat(`${dir}/${LOG_DIR}`)) !== undefined,
});

/** What else an older manifest says. */
const withoutTables = (state: ManifestState): ManifestEdit => {
  const { added: _, logPosition: __, ...rest } = state.snapshot();
  return rest;
};

const mergeAll = async (
  fs: FileSystem,
  dir: string,
  { tables }: Examination,
  { inputs, firstNumber }: { readonly inputs: readonly number[]; readonly firstNumber: number },
  lost: LostFolder,
  onProgress: ((progress: RepairProgress) => void) | undefined,
): Promise<readonly TableMeta[]> => {
  if (inputs.length === 0) return [];
  const bytes = tables.reduce((sum, { properties }) => sum + (properties?.fileBytes ?? 0), 0);
  const task: CompactTask = {
    kind: 'compact',
    dir,
    tables: writerSettings(tables.find(({ properties }) => properties !== undefined)?.properties),
    snapshots: [],
    // Whatever has expired stays: by whose time it is judged is not known here.
    horizon: 0,
    cancel: new Int32Array(new SharedArrayBuffer(4)),
    hasMappedKeys: true,
    keyspaces: [],
    ranges: [],
    rangesSeq: 0,
    inputs: inputs.map((number) => ({ number, sequence: 0, run: -1 })),
    outputLevel: LEVEL,
    firstNumber,
    numbers: Math.ceil(bytes / TABLE_BYTES) * 4 + 4 * inputs.length + 16,
    tableBytes: TABLE_BYTES,
    deeper: [],
  };
  onProgress?.({ phase: 'merge', done: 0, total: inputs.length });
  const { tables: merged } = await runTask(withStaging(fs, dir, lost.staging), task, {
    pause: () => Promise.resolve(),
  });
  onProgress?.({ phase: 'merge', done: inputs.length, total: inputs.length });
  return merged;
};

/** `fs`, but what is created in `dir` is created, and removed, in `staging`. */
const withStaging = (fs: FileSystem, dir: string, staging: string): FileSystem => {
  const staged = (path: string): string => `${staging}${path.slice(dir.length)}`;
  return {
    open: (path, mode) => fs.open(mode === 'create' ? staged(path) : path, mode),
    openSync: (path, mode) => fs.openSync(mode === 'create' ? staged(path) : path, mode),
    readdir: (path) => fs.readdir(path),
    mkdir: (path) => fs.mkdir(path),
    stat: (path) => fs.stat(path),
    rename: (from, to) => fs.rename(from, to),
    unlink: (path) => fs.unlink(staged(path)),
    link: (existing, path) => fs.link(existing, path),
    syncDir: (path) => fs.syncDir(path),
    freeBytes: (path) => fs.freeBytes(path),
    lock: (path) => fs.lock(path),
  };
};
