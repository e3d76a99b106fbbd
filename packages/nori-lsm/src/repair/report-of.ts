// Puts the report of a repair together.
import { type Examination, hasLostEntries } from './examine.js';
import type { TableFinding } from './examine-tables.js';
import type { LostFolder } from './lost-folder.js';
import type { RecoveredKeyspace, RepairedLog, RepairedTable, RepairReport } from './report.js';

const NO_MANIFEST =
  'What only the manifest knew is lost: marks, names and settings of keyspaces, when tables were ingested, which ranges were deleted and keyspaces ' +
  'dropped. Entries that a deleted range, a dropped keyspace or an ingestion had hidden may be back; entries that were ingested may be hidden ' +
  'by older ones, or hide newer ones: they count by the sequence numbers in their files.';
const OLDER_MANIFEST =
  'What only the newest records of the manifest knew is lost: marks, keyspaces and their settings, when tables were ingested, which ranges were ' +
  'deleted and keyspaces dropped since then. Entries that those had hidden may be back; entries that were ingested since may be hidden by older ' +
  'ones, or hide newer ones: they count by the sequence numbers in their files.';

/**
 * @param lost the folder with all that was replaced; undefined if nothing was damaged
 * @param keyspaces those that were made because their names are lost
 */
export const reportOf = (
  found: Examination,
  lost: LostFolder | undefined,
  keyspaces: readonly RecoveredKeyspace[],
): RepairReport => ({
  damaged: lost !== undefined,
  manifest: found.mustRebuild ? 'rebuilt' : found.manifest.isCurrentDamaged ? 'current-mended' : 'kept',
  problems: found.problems,
  tablesSound: found.tables.filter(({ state }) => state === 'sound').length,
  tables: found.tables.flatMap(repairedTable),
  log: repairedLog(found),
  recoveredKeyspaces: keyspaces.map(({ id, name }) => ({ id, name })),
  lostDir: lost?.path,
  moved: lost?.moved ?? [],
  notes: notesOf(found),
});

const repairedTable = (table: TableFinding): RepairedTable[] => {
  const { file, level, state, problems, entriesKept, entriesLost, blocksLost, lost } = table;
  if (state === 'sound') return [];
  const outcome = state === 'damaged' ? 'rewritten' : state === 'unreadable' ? 'given-up' : 'missing';
  return [{ file, level, outcome, problems, entriesKept, entriesLost, blocksLost, lost }];
};

const repairedLog = (found: Examination): RepairedLog => {
  const { log, mustRebuild } = found;
  const whole = mustRebuild || hasLostEntries(found) ? log.wholeLog : undefined;
  const isSalvaged = log.state !== 'none' && (mustRebuild || log.state !== 'sound');
  return {
    outcome: isSalvaged ? 'salvaged' : log.state === 'sound' ? 'kept' : 'none',
    problems: log.problems,
    operationsKept: whole?.operations ?? log.operations,
    operationsMissing: isSalvaged ? log.missing : 0,
  };
};

/** What the loss may mean. */
const notesOf = (found: Examination): string[] => {
  const { mustRebuild, manifest, log } = found;
  const notes: string[] = [];
  const hasLost = hasLostEntries(found);
  if (hasLost) {
    notes.push(
      'Entries in the key ranges that are lost may show older values again, and deleted entries may be back: what had replaced or deleted them was lost.',
    );
  }
  if (log.state === 'damaged') {
    notes.push(
      'Writes behind the damage of the log are kept, although writes before them are lost: what is there now may be a state that the database never was in.',
    );
  }
  if (mustRebuild) notes.push(manifest.found === undefined ? NO_MANIFEST : OLDER_MANIFEST);
  if (manifest.found?.state.ownLog === false && (hasLost || mustRebuild)) {
    notes.push(
      'The marks are those of before: they tell the owner of the log that tables hold what they may have lost. Replay the log from further back if it reaches there.',
    );
  }
  if (found.absent.length > 0) {
    const names = found.absent.join(', ');
    notes.push(
      `The older manifest lists tables that are not there: ${names}. They were probably merged into those that are; if not, what they held is lost.`,
    );
  }
  if (!mustRebuild && found.unlisted.length > 0 && found.problems.length > 0) {
    notes.push(`Tables that the manifest does not list were moved too, as leftovers: ${found.unlisted.join(', ')}.`);
  }
  return notes;
};
