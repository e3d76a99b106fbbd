// Checks the own log: all of it, and whether it goes on where the tables end. Changes nothing.
import type { FileSystem } from 'nori-io';
import { inspectLog, salvageLog, type WalRecord } from 'nori-wal';
import { LOG_DIR } from '../directory.js';
import { codeOf, LsmError, toLsmError } from '../errors.js';
import { LOG_RECORD_BYTES_MAX } from '../limits.js';
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
  /** What the manifest is to say that tables hold. */
  readonly flushedSeq: number;
  /**
   * If the log is sound and holds everything from some operation on that tables hold too: what the manifest may say instead, so
   * that all of the log is taken again. What tables have lost of that comes back, and nothing else changes.
   */
  readonly wholeLog: { readonly flushedSeq: number; readonly operations: number } | undefined;
}

/** What the tables are known to hold. */
export interface TablesKnown {
  readonly flushedSeq: number;
  readonly logPosition: number | undefined;
  /** The manifest is lost: `flushedSeq` is only the largest sequence number that was found. */
  readonly isGuess: boolean;
}

export const NO_LOG: LogFinding = {
  state: 'none',
  problems: [],
  segments: 0,
  records: 0,
  start: undefined,
  operations: 0,
  missing: 0,
  flushedSeq: 0,
  wholeLog: undefined,
};

/** @throws LsmError `LSM_UNSUPPORTED_VERSION`, `LSM_IO_FAILED` */
export const examineLog = async (fs: FileSystem, dir: string, tables: TablesKnown): Promise<LogFinding> => {
  const log = `${dir}/${LOG_DIR}`;
  const newWalk = (): LogWalk => new LogWalk(log, tables.flushedSeq, tables.isGuess);
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
    const { segments, records, start, end } = await inspectLog(options(walk));
    const gap = gapOf(log, start, end, tables.logPosition);
    const problems = gap === undefined ? walk.problems : [...walk.problems, gap];
    const state = walk.problems.length > 0 ? 'damaged' : gap === undefined ? 'sound' : 'apart';
    const { operations, missing, flushedSeq } = walk;
    const wholeLog = state === 'sound' ? wholeOf(walk, tables) : undefined;
    return { state, problems, segments, records, start, operations, missing, flushedSeq, wholeLog };
  } catch (error) {
    const damage = toLsmError(error, 'Cannot read the log');
    if (damage.code !== 'LSM_CORRUPT_LOG' && codeOf(damage.cause) !== 'WAL_IO_FAILED') throw damage;
    const walk = newWalk();
    const { segments, records, start, problems } = await salvageLog(options(walk));
    const found = problems.map((problem) => toLsmError(problem, 'The log is damaged'));
    const all = [...(found.length > 0 ? found : [damage]), ...walk.problems];
    const { operations, missing, flushedSeq } = walk;
    const counts = { operations, missing, flushedSeq, wholeLog: undefined };
    return { state: 'damaged', problems: all, segments, records, start, ...counts };
  }
};

/**
 * Only a log that holds every change from its beginning up to its end may be taken again: what is taken hides what tables have, and a
 * change that came into them by another way would be hidden by an older one.
 */
const wholeOf = (walk: LogWalk, tables: TablesKnown): LogFinding['wholeLog'] => {
  const { firstSeq, endSeq, operationsAll, isGapless } = walk;
  const isOverlapping = isGapless && firstSeq > 0 && firstSeq <= tables.flushedSeq && endSeq >= tables.flushedSeq;
  return isOverlapping ? { flushedSeq: firstSeq - 1, operations: operationsAll } : undefined;
};

/** As `checkLogMeetsTables` of replay.ts. */
const gapOf = (file: string, start: number, end: number, logPosition: number | undefined): LsmError | undefined => {
  if (logPosition === undefined || (start <= logPosition && end > logPosition)) return undefined;
  const message = `The tables contain the log up to position ${logPosition}, but the log goes from ${start} to ${end}: a part of it is lost.`;
  return new LsmError('LSM_CORRUPT_LOG', message, { file });
};
