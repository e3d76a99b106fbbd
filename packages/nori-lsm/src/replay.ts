// Puts the records of the own log that are not yet in tables back into memtables when a database is opened.
import type { Clock } from 'nori-io';
import type { Wal } from 'nori-wal';
import type { Engine } from './engine.js';
import { LsmError } from './errors.js';
import { readLogHeader } from './log-record.js';
import type { ManifestState } from './manifest-edit.js';
import { Slice } from './slice.js';

/** @throws LsmError `LSM_CORRUPT_LOG` if the log does not go on where the tables end */
export const checkLogMeetsTables = (wal: Wal, { logPosition }: ManifestState): void => {
  if (logPosition !== undefined && (wal.start > logPosition || wal.end <= logPosition)) {
    throw new LsmError(
      'LSM_CORRUPT_LOG',
      `The tables contain the log up to position ${logPosition}, but the log goes from ${wal.start} to ${wal.end}: ` +
        'a part of it is lost. Restore the database from a backup.',
    );
  }
};

/** Replays a log that meets the tables. @throws LsmError `LSM_CORRUPT_LOG` if its records are not in order */
export const replayLog = async (
  wal: Wal,
  { logPosition, flushedSeq }: ManifestState,
  engine: Engine,
  clock: Clock,
): Promise<void> => {
  const slice = new Slice(clock);
  for await (const records of wal.readBatches(Math.max(logPosition ?? 0, wal.start))) {
    for (const { position, data } of records) {
      const header = readLogHeader(data);
      if (header.lastSeq <= flushedSeq) continue;
      if (header.firstSeq <= engine.lastSeq) {
        const message = `The record at position ${position} of the log goes back behind the one before it. Restore the database from a backup.`;
        throw new LsmError('LSM_CORRUPT_LOG', message);
      }
      // Full memtables are flushed meanwhile. If that cannot be for now, the log is in memory: nothing is lost.
      if (engine.stall.isStalled) await engine.stall.wait().catch(() => {});
      engine.applyRecord(data, header, position);
      if (slice.isOver()) await slice.next();
    }
  }
};
