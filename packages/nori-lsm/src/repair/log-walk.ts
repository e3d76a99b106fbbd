// Looks at the records of an own log one by one: which of them are to be kept, and which cannot be.
import type { WalRecord } from 'nori-wal';
import { LsmError } from '../errors.js';
import { checkLogRecord, type LogRecordHeader, largestKeyspaceOf, readLogHeader } from '../log-record.js';

/** See the top of the file. Records come in the order of the log. */
export class LogWalk {
  readonly problems: LsmError[] = [];
  /** Operations of the records to be kept. */
  operations = 0;
  /** Sequence numbers missing between those. */
  missing = 0;
  /**
   * The last sequence numbers of the log without a gap between them, from and to, and how many operations that are; 0 if it holds none.
   * From the first of them on the log has every change: tables that were ingested, and what they replaced, leave a gap.
   */
  runSeq = 0;
  endSeq = 0;
  runOperations = 0;
  /** Largest number of a keyspace in a record to be kept, if keys are mapped. */
  largestKeyspace = 0;
  readonly #file: string;
  readonly #flushedSeq: number;
  /** Sequence number before the next one expected; undefined: it is not known where what is to be kept begins. */
  #lastSeq: number | undefined;

  /** @param flushedSeq everything up to here is in tables, and not to be kept; undefined: that is not known, and everything is */
  constructor(file: string, flushedSeq: number | undefined) {
    this.#file = file;
    this.#flushedSeq = flushedSeq ?? 0;
    this.#lastSeq = flushedSeq;
  }

  /** The header of the record if it is to be taken. @throws LsmError `LSM_UNSUPPORTED_VERSION` */
  take({ position, data }: WalRecord): LogRecordHeader | undefined {
    const header = this.#headerOf(position, data);
    if (header === undefined) return undefined;
    const { firstSeq, lastSeq, count } = header;
    if (firstSeq !== this.endSeq + 1 || this.runSeq === 0) {
      this.runSeq = firstSeq;
      this.runOperations = 0;
    }
    this.endSeq = lastSeq;
    this.runOperations += count;
    if (lastSeq <= this.#flushedSeq) return undefined;
    const before = this.#lastSeq ?? firstSeq - 1;
    if (firstSeq <= before) {
      this.#problem(`The record at position ${position} of the log goes back behind the one before it.`);
      return undefined;
    }
    this.missing += firstSeq - before - 1;
    this.#lastSeq = lastSeq;
    this.operations += count;
    this.largestKeyspace = Math.max(this.largestKeyspace, largestKeyspaceOf(data, header));
    return header;
  }

  #headerOf(position: number, data: Uint8Array): LogRecordHeader | undefined {
    try {
      const header = readLogHeader(data);
      checkLogRecord(data, header);
      return header;
    } catch (error) {
      if (!(error instanceof LsmError) || error.code !== 'LSM_CORRUPT_LOG') throw error;
      this.#problem(`Position ${position} of the log: ${error.message}`);
      return undefined;
    }
  }

  #problem(message: string): void {
    this.problems.push(new LsmError('LSM_CORRUPT_LOG', message, { file: this.#file }));
  }
}
