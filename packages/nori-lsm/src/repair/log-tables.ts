// Writes what is to be kept of an own log as tables, and gathers the range tombstones in it, through memtables as they are. The log stays.
import type { FileSystem } from 'nori-io';
import { salvageLog } from 'nori-wal';
import { ArenaPool } from '../arena-pool.js';
import { LOG_DIR } from '../directory.js';
import { LOG_RECORD_BYTES_MAX } from '../limits.js';
import { applyLogRecord, rangesOf } from '../log-record.js';
import { Memtable } from '../memtable.js';
import type { RangeTombstone } from '../range-tombstones.js';
import { runTask } from '../run-task.js';
import { type TableMeta, tableName } from '../table-meta.js';
import { LogWalk } from './log-walk.js';
import type { LostFolder } from './lost-folder.js';
import type { RepairProgress } from './report.js';
import { writerSettings } from './rewrite-table.js';
import { taskSettings } from './task-settings.js';

const MEMTABLE_BYTES = 8 * 1024 * 1024;

/** What a log held. */
export interface LogTables {
  /** Of L0, the oldest first; in the database, their names not yet durable. */
  readonly tables: readonly TableMeta[];
  readonly ranges: readonly RangeTombstone[];
  /** Largest sequence number in the log, of whatever record. */
  readonly endSeq: number;
}

/**
 * @param flushedSeq operations up to this sequence number are left out; undefined: none are
 * @param firstNumber the tables take numbers from here on
 */
export const writeLogTables = async (
  fs: FileSystem,
  dir: string,
  { flushedSeq, firstNumber }: { readonly flushedSeq: number | undefined; readonly firstNumber: number },
  lost: LostFolder,
  onProgress: ((progress: RepairProgress) => void) | undefined,
): Promise<LogTables> => {
  const log = `${dir}/${LOG_DIR}`;
  const walk = new LogWalk(log, flushedSeq);
  const tables: TableMeta[] = [];
  const ranges: RangeTombstone[] = [];
  const pool = new ArenaPool(MEMTABLE_BYTES, 1);
  let memtable = new Memtable(1, pool, MEMTABLE_BYTES);
  const flush = async (): Promise<void> => {
    const { entries } = memtable;
    if (entries.count === 0) return;
    const number = firstNumber + tables.length;
    const { tables: written } = await runTask(lost.staged, {
      kind: 'flush',
      ...taskSettings(dir, writerSettings(undefined)),
      arena: entries.memory,
      number,
    });
    for (const meta of written) await lost.finishTable(tableName(meta.number));
    tables.push(...written);
  };
  await salvageLog({
    dir: log,
    fs,
    recordBytesMax: LOG_RECORD_BYTES_MAX,
    onRecords: async (records) => {
      for (const record of records) {
        const header = walk.take(record);
        if (header === undefined) continue;
        if (!memtable.hasRoom(header.footprint)) {
          await flush();
          memtable.release();
          memtable = new Memtable(memtable.number + 1, pool, MEMTABLE_BYTES);
        }
        memtable.reserve(header.footprint);
        applyLogRecord(record.data, header, memtable);
        if (header.hasRanges) ranges.push(...rangesOf(record.data, header));
      }
      onProgress?.({ phase: 'log', done: walk.operations, total: undefined });
    },
  });
  await flush();
  memtable.release();
  return { tables, ranges, endSeq: walk.endSeq };
};
