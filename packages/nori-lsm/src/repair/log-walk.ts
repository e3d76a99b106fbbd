// Looks at the records of an own log one by one: which of them are to be kept, and which cannot be.
import type { WalRecord } from 'nori-wal';
import { LsmError } from '../errors.js';
import { checkLogRecord, type LogRecordHeader, readLogHeader } from '../log-record.js';

/** See the top of the file. Records come in the order of the log. */
export class LogWalk {
  readonly problems: LsmError[] = [];
  /** Operations that are not in tables yet. */
  operations = 0;
  /** All sequence numbers that the log goes from and to, and how many operations that are; 0 if it holds none. */
  firstSeq = 0;
  endSeq = 0;
  operationsAll = 0;
  /** No sequence number between those two is missing: the log holds every change of that time. */
  isGapless = true;
  /** Sequence numbers missing between those. */
  missing = 0;
  /** Everything up to here is in tables. */
  flushedSeq: number;
  readonly #file: string;
  readonly #mayStraddle: boolean;
  #lastSeq: number;

  /**
   * @param flushedSeq everything up to here is in tables
   * @param mayStraddle it is only the largest sequence number that was found in tables: the first record that goes beyond it may have begun
   * before, and is not wholly in tables
   */
  constructor(file: string, flushedSeq: number, mayStraddle: boolean) {
    this.#file = file;
    this.flushedSeq = this.#lastSeq = flushedSeq;
    this.#mayStraddle = mayStraddle;
  }

  /** The header of the record if it is to be taken. @throws LsmError `LSM_UNSUPPORTED_VERSION` */
  take({ position, data }: WalRecord): LogRecordHeader | undefined {
    const header = this.#headerOf(position, data);
    if (header === undefined) return undefined;
    if (this.firstSeq === 0) this.firstSeq = header.firstSeq;
    else if (header.firstSeq !== this.endSeq + 1) this.isGapless = false;
    this.endSeq = header.lastSeq;
    this.operationsAll += header.count;
    if (header.lastSeq <= this.flushedSeq) return undefined;
    if (header.firstSeq > this.#lastSeq) this.missing += header.firstSeq - this.#lastSeq - 1;
    else if (this.#mayStraddle && this.operations === 0) this.flushedSeq = header.firstSeq - 1;
    else {
      this.#problem(`The record at position ${position} of the log goes back behind the one before it.`);
      return undefined;
    }
    this.#lastSeq = header.lastSeq;
    this.operations += header.count;
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
