// Checks the own log: all of it, and whether it goes on where the tables end. Changes nothing.
import type { FileSystem } from 'nori-io';
import { readLog, salvageLog, type WalRecord } from 'nori-wal';
import { LOG_DIR } from '../directory.js';
import { codeOf, LsmError, toLsmError } from '../errors.js';
import { LOG_RECORD_BYTES_MAX } from '../limits.js';
import { gapBeforeLog } from '../replay.js';
import { LogWalk } from './log-walk.js';

/** The log, as it was found. */
export interface LogFinding {
  /** `apart`: it is sound, but does not go on where the tables end. */
  readonly state: 'none' | 'sound' | 'damaged' | 'apart';
  readonly problems: readonly LsmError[];
  readonly segments: number;
  readonly records: number;
  /** Position of its beginning, if that is known. */
  readonly start: number | undefined;
  /** Operations that are in the log alone. */
  readonly operations: number;
  readonly missing: number;
  /** Largest sequence number in it. */
  readonly endSeq: number;
  /** Largest number of a keyspace in operations that are in the log alone, if keys are mapped. */
  readonly largestKeyspace: number;
  /**
   * If the log is sound and holds everything from some operation on that tables hold too: what the manifest may say instead of
   * what it says that tables hold, so that all of that is taken again. What tables have lost of it comes back, and nothing else changes.
   */
  readonly wholeLog: { readonly flushedSeq: number; readonly operations: number } | undefined;
}

/** What the tables are known to hold, by a manifest. */
export interface TablesKnown {
  readonly flushedSeq: number;
  readonly usedSeq: number;
  readonly logPosition: number | undefined;
}

export const NO_LOG: LogFinding = {
  state: 'none',
  problems: [],
  segments: 0,
  records: 0,
  start: undefined,
  operations: 0,
  missing: 0,
  endSeq: 0,
  largestKeyspace: 0,
  wholeLog: undefined,
};

/**
 * @param tables undefined: nothing is known of them
 * @throws LsmError `LSM_UNSUPPORTED_VERSION`, `LSM_IO_FAILED`
 */
export const examineLog = async (fs: FileSystem, dir: string, tables: TablesKnown | undefined): Promise<LogFinding> => {
  const log = `${dir}/${LOG_DIR}`;
  const newWalk = (): LogWalk => new LogWalk(log, tables?.flushedSeq);
  const options = (walk: LogWalk) => ({
    dir: log,
    fs,
    recordBytesMax: LOG_RECORD_BYTES_MAX,
    onRecords: (records: readonly WalRecord[]) => {
      for (const record of records) walk.take(record);
    },
  });
  try {
    const walk = newWalk();
    const reading = await readLog(options(walk));
    const { segments, records, start } = reading;
    const gap = gapBeforeLog(reading, tables?.logPosition);
    const apart = gap === undefined ? [] : [new LsmError('LSM_CORRUPT_LOG', gap, { file: log })];
    const problems = [...walk.problems, ...apart];
    const state = walk.problems.length > 0 ? 'damaged' : gap === undefined ? 'sound' : 'apart';
    const wholeLog = state === 'sound' && tables !== undefined ? wholeOf(walk, tables) : undefined;
    return { state, problems, segments, records, start, ...countsOf(walk), wholeLog };
  } catch (error) {
    const damage = toLsmError(error, 'Cannot read the log');
    if (damage.code !== 'LSM_CORRUPT_LOG' && codeOf(damage.cause) !== 'WAL_IO_FAILED') throw damage;
    const walk = newWalk();
    const { segments, records, start, problems } = await salvageLog(options(walk));
    const found = problems.map((problem) => toLsmError(problem, 'The log is damaged'));
    const all = [...(found.length > 0 ? found : [damage]), ...walk.problems];
    return { state: 'damaged', problems: all, segments, records, start, ...countsOf(walk), wholeLog: undefined };
  }
};

const countsOf = ({ operations, missing, endSeq, largestKeyspace }: LogWalk) => ({
  operations,
  missing,
  endSeq,
  largestKeyspace,
});

/**
 * Only from where on the log holds every change, up to the last one, may it be taken again: what is taken hides what tables have, and
 * a change that came into them by another way (as tables that were ingested do) would be hidden by an older one, or undone.
 */
const wholeOf = (
  { runSeq, endSeq, runOperations }: LogWalk,
  { flushedSeq, usedSeq }: TablesKnown,
): LogFinding['wholeLog'] => {
  const isOverlapping = runSeq > 0 && runSeq <= flushedSeq && endSeq >= Math.max(flushedSeq, usedSeq);
  return isOverlapping ? { flushedSeq: runSeq - 1, operations: runOperations } : undefined;
};
