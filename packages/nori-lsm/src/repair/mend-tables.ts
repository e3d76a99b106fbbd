// Repairs a database whose manifest can be read: what is missing or unreadable is taken off its list, damaged tables are replaced
// by what can be read of them. All else that the manifest says stays as it is.
//
//   settle the manifest ─ unlisted files to the lost folder ─ damaged tables get a second name there ─ write the new ones ─
//   one edit of the manifest ─ the damaged tables lose their first name
import type { FileSystem } from 'nori-io';
import { manifestName, manifestNumber, prepareCurrent, switchCurrent } from '../directory.js';
import { LsmError } from '../errors.js';
import { Manifest } from '../manifest.js';
import { type AddedTable, type ManifestEdit, ManifestState, type RemovedTable } from '../manifest-edit.js';
import { tableNumber } from '../table-meta.js';
import { type Examination, hasLostEntries } from './examine.js';
import type { LostFolder } from './lost-folder.js';
import type { RepairProgress } from './report.js';
import { rewriteTable } from './rewrite-table.js';

/** Leaves a manifest, closed, that lists sound tables only; returns its number. */
export const mendTables = async (
  fs: FileSystem,
  dir: string,
  found: Examination,
  lost: LostFolder,
  onProgress: ((progress: RepairProgress) => void) | undefined,
): Promise<number> => {
  let manifest = await openManifest(fs, dir, found, lost);
  try {
    for (const name of found.unlisted) await lost.move(name);
    const broken = found.tables.filter(({ state }) => state !== 'sound');
    for (const { state, file } of broken) if (state !== 'missing') await lost.keep(file);
    await lost.sync();
    const damaged = broken.filter(({ state }) => state === 'damaged');
    const firstNumber = Math.max(manifest.state.nextNumber, nextTableNumber(found.names));
    const added: AddedTable[] = [];
    for (const table of damaged) {
      const { level, meta } = table as { level: number; meta: NonNullable<typeof table.meta> };
      const written = await rewriteTable(fs, dir, table, firstNumber + added.length, lost);
      // Sequence numbers stay as they were: they order the tables of a level, and are those of all entries if the table was ingested.
      const { smallestSeq, largestSeq, sequence, cleanSeq } = meta;
      added.push({ level, meta: { ...written, smallestSeq, largestSeq, sequence, cleanSeq } });
      onProgress?.({ phase: 'rewrite', done: added.length, total: damaged.length });
    }
    if (broken.length > 0) {
      await lost.sync();
      const removed: RemovedTable[] = broken.map(({ level, number }) => ({ level: level!, number }));
      const edit = { nextNumber: firstNumber + added.length, removed, added };
      const { wholeLog } = found.log;
      if (wholeLog !== undefined && hasLostEntries(found)) {
        manifest = await takingLogAgain(fs, dir, manifest, edit, wholeLog.flushedSeq);
      } else await manifest.append(edit);
    }
    await lost.dropReplaced();
    return manifest.number;
  } finally {
    await manifest.close();
  }
};

/**
 * Makes a change in a new manifest that has the log taken again from an earlier place when the database is opened: the log may hold
 * what tables have lost. Range tombstones of that part come from there as well, each in its turn. Numbers that were used stay used.
 */
const takingLogAgain = async (
  fs: FileSystem,
  dir: string,
  manifest: Manifest,
  edit: ManifestEdit,
  flushedSeq: number,
): Promise<Manifest> => {
  const state = new ManifestState();
  state.apply(manifest.state.snapshot());
  state.apply(edit);
  const { logPosition: _, ...whole } = state.snapshot();
  const usedSeq = Math.max(state.flushedSeq, state.usedSeq);
  const addedRanges = [...state.ranges.values()].filter(({ seq }) => seq <= flushedSeq);
  await manifest.close();
  return Manifest.create(fs, dir, { ...whole, flushedSeq, usedSeq, addedRanges }, manifest.number);
};

/** The first number that no table file there has. */
export const nextTableNumber = (names: readonly string[]): number =>
  Math.max(0, ...names.map((name) => tableNumber(name) ?? 0)) + 1;

const openManifest = async (
  fs: FileSystem,
  dir: string,
  { names, manifest: { found, isCurrentDamaged } }: Examination,
  lost: LostFolder,
): Promise<Manifest> => {
  const { number } = found!;
  // What CURRENT says now is durable before anything that it makes obsolete goes.
  await fs.syncDir(dir);
  await lost.copy('CURRENT');
  await lost.copy(manifestName(number));
  await lost.sync();
  for (const name of names) {
    const other = manifestNumber(name);
    if (other !== undefined && other !== number) await lost.move(name);
  }
  if (isCurrentDamaged) {
    await prepareCurrent(fs, dir, number);
    await switchCurrent(fs, dir);
  }
  const manifest = await Manifest.open(fs, dir, number);
  if (manifest.isSettled) return manifest;
  // Until then a crash could bring back an older list, and tables that it has would be in the lost folder.
  throw new LsmError('LSM_NO_SPACE', `Cannot repair ${dir}: no space is left on the device. Free some and try again.`);
};
