// Takes what can be read of a damaged log into tables, and puts the log's files into the lost folder. What comes next begins a new log.
//
//   tables of L0 ─ a manifest that lists them, and knows of no log position ─ the files move
//
// A crash before the files have moved leaves a log of which everything is in tables: it is refused and repaired again, or read and
// found to hold nothing new.
import type { FileSystem } from 'nori-io';
import { Manifest } from '../manifest.js';
import { ManifestState } from '../manifest-edit.js';
import { writeLogTables } from './log-tables.js';
import type { LostFolder } from './lost-folder.js';
import { nextTableNumber } from './mend-tables.js';
import type { RepairProgress } from './report.js';

/** @param number of the manifest in force, of which all tables are sound */
export const mendLog = async (
  fs: FileSystem,
  dir: string,
  number: number,
  lost: LostFolder,
  onProgress: ((progress: RepairProgress) => void) | undefined,
): Promise<void> => {
  const manifest = await Manifest.open(fs, dir, number);
  await manifest.close();
  const { logPosition: _, ...before } = manifest.state.snapshot();
  const state = new ManifestState();
  state.apply(before);
  const { flushedSeq } = state;
  const firstNumber = Math.max(state.nextNumber, nextTableNumber(await fs.readdir(dir)));
  const { tables, ranges, endSeq } = await writeLogTables(fs, dir, { flushedSeq, firstNumber }, lost, onProgress);
  await lost.sync();
  state.apply({
    nextNumber: firstNumber + tables.length,
    flushedSeq: endSeq,
    added: tables.map((meta) => ({ level: 0, meta })),
    addedRanges: ranges,
  });
  await (await Manifest.create(fs, dir, state.snapshot(), manifest.number)).close();
  await lost.moveLog();
};
