// Takes what can be read of a damaged log into tables, through the memtables and flushes of a database without the log, and
// puts the log's files into the lost folder. What comes next begins a new log.
//
//   every flush is in force by itself ─ a manifest that knows of no log position ─ the files move
//
// A crash before the files have moved leaves a log of which everything is in tables: it is refused and repaired again, or read and
// found to hold nothing new.
import { type FileSystem, systemClock } from 'nori-io';
import { noopMeter } from 'nori-observe';
import { BlockCache } from 'nori-sstable';
import { salvageLog } from 'nori-wal';
import { LOG_DIR } from '../directory.js';
import { Engine } from '../engine.js';
import { inlineExecutor } from '../inline-executor.js';
import { LOG_RECORD_BYTES_MAX } from '../limits.js';
import { Manifest } from '../manifest.js';
import { LsmMetrics } from '../metrics.js';
import { resolveOptions } from '../options.js';
import { Tree } from '../tree.js';
import { LogWalk } from './log-walk.js';
import type { LostFolder } from './lost-folder.js';
import type { RepairProgress } from './report.js';

const MEMTABLE_BYTES = 8 * 1024 * 1024;

/** @param number of the manifest in force, of which all tables are sound */
export const mendLog = async (
  fs: FileSystem,
  dir: string,
  number: number,
  lost: LostFolder,
  onProgress: ((progress: RepairProgress) => void) | undefined,
): Promise<void> => {
  const manifest = await Manifest.open(fs, dir, number);
  const tree = await Tree.open(manifest, {
    fs,
    dir,
    cache: new BlockCache({ bytesMax: 0 }),
    meter: noopMeter,
    damaged: () => {},
  });
  try {
    await flushLog(fs, dir, tree, onProgress);
  } finally {
    await tree.close();
  }
  const { logPosition: _, ...edit } = manifest.state.snapshot();
  await (await Manifest.create(fs, dir, edit, manifest.number)).close();
  await lost.moveLog();
};

const flushLog = async (
  fs: FileSystem,
  dir: string,
  tree: Tree,
  onProgress: ((progress: RepairProgress) => void) | undefined,
): Promise<void> => {
  const engine = newEngine(fs, dir, tree);
  const walk = new LogWalk(`${dir}/${LOG_DIR}`, tree.manifest.state.flushedSeq, false);
  try {
    engine.flusher.begin(undefined);
    await salvageLog({
      dir: `${dir}/${LOG_DIR}`,
      fs,
      recordBytesMax: LOG_RECORD_BYTES_MAX,
      onRecords: async (records) => {
        for (const record of records) {
          const header = walk.take(record);
          if (header === undefined) continue;
          engine.applyRecord(record.data, header, undefined);
          if (engine.flusher.sealed.length > 0) await engine.flush();
        }
        onProgress?.({ phase: 'log', done: walk.operations, total: undefined });
      },
    });
    await engine.flush();
  } finally {
    await engine.stop();
  }
};

/** An engine that does nothing by itself, and for which nothing expires. */
const newEngine = (fs: FileSystem, dir: string, tree: Tree): Engine => {
  const options = resolveOptions({
    dir,
    fs,
    memtableBytes: MEMTABLE_BYTES,
    autoCompact: false,
    executor: inlineExecutor(fs, { clock: systemClock }),
    expiry: { readNowMs: () => 0, durableNowMs: () => 0 },
  });
  return new Engine({ options, tree, cache: new BlockCache({ bytesMax: 0 }), metrics: new LsmMetrics(noopMeter) });
};
