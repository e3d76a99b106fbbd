// Reads the log in a directory without owning it: no lock, no repair, not a byte or a name changed. What is a torn tail, what is
// damage, and which records there are is judged as `Wal.open` judges it. A writer in another process may be at work meanwhile:
//
//   appends      A group that is half written looks like a torn tail, and is one for this reader: what it sees ends there. By the time
//                the rest of the file is searched for proof of a loss the writer may have gone on, so that a marker says "synced" of
//                what was bad a moment before. Whatever a marker vouches for was written before the marker: it is read a second time,
//                and only what is bad then is damage (`SegmentScan.tail`).
//   trims        The room behind a segment's end goes while it is read: it ends earlier than it seemed to, and is read up to there.
//   rotates      The segment that was last when the directory was listed is read up to its end or a record before it; what came into
//                the next one is later than this view.
//   truncates    Segments vanish from the beginning. One that is gone before it was opened: `WAL_CHANGED`. One that is open stays
//                readable, but its file may be overwritten to become another segment. A segment with a successor is read up to the
//                end that its successor states, and checksums are salted with the segment's id, so that it is read right or not at all;
//                the last one could seem to end too early. Files are renamed before they are overwritten: if the last segment still
//                has its name after it was read, it was itself all the while.
//
// So what was handed over is what the log held at one moment between the call and its return, from `start` on. Records that the
// writer has written and not yet acknowledged are among them. Relies on what POSIX says of one machine: who reads after a write
// has returned reads what was written. Damage is told only when a second look finds the same.
import { type FileSystem, nodeFileSystem } from 'nori-io';
import { failureOf, guardedSink, type RecordSink } from './record-sink.js';
import { type Inspection, inspect } from './recovery.js';
import { segmentEnd } from './segment.js';
import { parseSegmentName } from './segment-format.js';
import type { RecoveryCut } from './segment-scan.js';
import { WalError } from './wal-error.js';

const MIB = 1024 * 1024;

/** Options of {@link readLog}. */
export interface ReadLogOptions {
  /** The log's directory. One that is missing is an empty log. */
  readonly dir: string;
  /** Default: the real one. */
  readonly fs?: FileSystem;
  /** Largest record, in bytes, as the log is opened with. Default 64 MiB. */
  readonly recordBytesMax?: number;
  /** Position of the first record that `onRecords` gets. Default: the log's beginning. */
  readonly from?: number;
  /**
   * Gets the records in order, many at a time. What it returns is waited for; what it throws ends the reading, and is thrown. If
   * the reading fails in the end, what was handed over is to be forgotten.
   */
  readonly onRecords?: RecordSink;
}

/** What {@link readLog} found. */
export interface LogReading {
  readonly segments: number;
  readonly records: number;
  /** Bytes of these records, uncompressed. */
  readonly bytes: number;
  /** Position of the log's beginning. */
  readonly start: number;
  /** Position behind the last record. */
  readonly end: number;
  /** What `Wal.open` would cut off: a torn tail, or what a writer is writing right now; undefined if there is nothing. */
  readonly cut?: RecoveryCut;
}

/**
 * Reads and verifies the log in a directory without changing anything, also while another process writes it; see the top of
 * this file.
 * @throws WalError `WAL_CHANGED` if its writer got in the way (read it again), `WAL_CORRUPT_RECORD`, `WAL_CORRUPT_HEADER`,
 * `WAL_MISSING_SEGMENT`, `WAL_NOT_A_LOG`, `WAL_UNSUPPORTED_VERSION`, `WAL_UNSUPPORTED_COMPRESSION`, `WAL_IO_FAILED`
 */
export async function readLog(options: ReadLogOptions): Promise<LogReading> {
  const { dir, fs = nodeFileSystem, recordBytesMax = 64 * MIB, from: sinkFrom = 0, onRecords } = options;
  const look = async (sink?: RecordSink): Promise<LogReading> => {
    const directory = await fs.stat(dir);
    if (directory === undefined) return { segments: 0, records: 0, bytes: 0, start: 0, end: 0 };
    if (directory.kind !== 'directory') {
      throw new WalError('WAL_NOT_A_LOG', `${dir} is not a directory. There is no log`, { file: dir });
    }
    const found = await inspect(fs, dir, { recordBytesMax, sink, sinkFrom, besideWriter: true });
    await checkStillThere(fs, dir, found);
    return readingOf(found);
  };
  try {
    return await look(onRecords && guardedSink(onRecords));
  } catch (error) {
    const failure = failureOf(error);
    if (!(failure instanceof WalError)) throw failure;
    if (isMissingFile(failure)) throw changed(failure);
    if (isDamage(failure) && !(await isFoundAgain(failure, look))) throw changed(failure);
    throw failure;
  }
}

/** @throws WalError `WAL_CHANGED` if the last segment may have been another one before it was read to its end */
async function checkStillThere(fs: FileSystem, dir: string, { segments, unwritten }: Inspection): Promise<void> {
  const last = segments.at(-1);
  if (last !== undefined) {
    if ((await fs.stat(last.path)) === undefined) throw changed();
    return;
  }
  // A segment can be begun and the one before it dropped while names are listed: then neither need be among them.
  const isEmpty = unwritten || !(await fs.readdir(dir)).some((name) => parseSegmentName(name) !== undefined);
  if (!isEmpty) throw changed();
}

function readingOf({ segments, records, bytes, cut }: Inspection): LogReading {
  const last = segments.at(-1);
  const [start, end] = [segments[0]?.base ?? 0, last ? segmentEnd(last) : 0];
  return Object.freeze({ segments: segments.length, records, bytes, start, end, ...(cut && { cut }) });
}

function isMissingFile({ cause }: WalError): boolean {
  return (cause as { code?: unknown } | undefined)?.code === 'IO_NOT_FOUND';
}

function isDamage({ code }: WalError): boolean {
  return code.startsWith('WAL_CORRUPT') || code === 'WAL_MISSING_SEGMENT' || code === 'WAL_NOT_A_LOG';
}

/** Whether a second look, begun after the first has ended, finds the same damage. */
async function isFoundAgain(damage: WalError, look: () => Promise<unknown>): Promise<boolean> {
  try {
    await look();
    return false;
  } catch (error) {
    const again = failureOf(error) as WalError;
    return again.code === damage.code && again.file === damage.file && again.offset === damage.offset;
  }
}

function changed(cause?: unknown): WalError {
  const message = 'The log was changed by its writer while it was read. Read it again';
  return new WalError('WAL_CHANGED', message, cause === undefined ? {} : { cause });
}
