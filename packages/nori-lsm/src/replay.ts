// Puts the records of the own log that are not yet in tables back into memtables when a database is opened.
import type { Clock } from 'nori-io';
import type { Wal, WalRecord } from 'nori-wal';
import type { Engine } from './engine.js';
import { LsmError } from './errors.js';
import { readLogHeader } from './log-record.js';
import type { ManifestState } from './manifest-edit.js';
import { Slice } from './slice.js';

/** @throws LsmError `LSM_CORRUPT_LOG` if the log does not go on where the tables end */
export const checkLogMeetsTables = (wal: Pick<Wal, 'start' | 'end'>, { logPosition }: ManifestState): void => {
  const gap = gapBeforeLog(wal, logPosition);
  if (gap !== undefined) throw new LsmError('LSM_CORRUPT_LOG', `${gap} Restore the database from a backup.`);
};

/** What is wrong if the log does not go on where the tables end. */
export const gapBeforeLog = (
  { start, end }: Pick<Wal, 'start' | 'end'>,
  logPosition: number | undefined,
): string | undefined =>
  logPosition === undefined || (start <= logPosition && end > logPosition)
    ? undefined
    : `The tables contain the log up to position ${logPosition}, but the log goes from ${start} to ${end}: a part of it is lost.`;

/** Takes the records of a log, as they are found when it is opened, into memtables. */
export class LogReplay {
  readonly #flushedSeq: number;
  /** Up to here gaps are known: ingested tables have sequence numbers too. */
  readonly #usedSeq: number;
  readonly #engine: Engine;
  readonly #slice: Slice;
  /** The first sequence number that neither the tables nor the log have, though the log goes on behind it. */
  firstMissing: number | undefined;

  constructor({ flushedSeq, usedSeq }: ManifestState, engine: Engine, clock: Clock) {
    this.#flushedSeq = flushedSeq;
    this.#usedSeq = usedSeq;
    this.#engine = engine;
    this.#slice = new Slice(clock);
  }

  /** @throws LsmError `LSM_CORRUPT_LOG` if the records are not in order */
  async take(records: readonly WalRecord[]): Promise<void> {
    const engine = this.#engine;
    for (const { position, data } of records) {
      const header = readLogHeader(data);
      if (header.lastSeq <= this.#flushedSeq) continue;
      if (header.firstSeq <= engine.lastSeq) {
        const message = `The record at position ${position} of the log goes back behind the one before it. Restore the database from a backup.`;
        throw new LsmError('LSM_CORRUPT_LOG', message);
      }
      const isGap = header.firstSeq > engine.lastSeq + 1 && header.firstSeq > this.#usedSeq + 1;
      if (isGap) this.firstMissing ??= engine.lastSeq + 1;
      engine.applyRecord(data, header, position);
      if (this.#slice.isOver()) await this.#slice.next();
    }
  }
}
