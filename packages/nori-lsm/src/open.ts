// Opening a database: lock, manifest, tables, log; in this order, so that what is refused has changed nothing.
import { BlockCache } from 'nori-sstable';
import { Wal } from 'nori-wal';
import { Database } from './database.js';
import { LOG_DIR } from './directory.js';
import { openDirectory, removeOrphans } from './directory-open.js';
import { Engine } from './engine.js';
import { type LsmError, toLsmError } from './errors.js';
import { LOG_RECORD_BYTES_MAX } from './limits.js';
import type { Manifest } from './manifest.js';
import { LsmMetrics } from './metrics.js';
import { type ResolvedOptions, resolveOptions } from './options.js';
import { openView } from './read-only.js';
import { checkLogMeetsTables, LogReplay } from './replay.js';
import { Tree } from './tree.js';
import type { LsmOptions } from './types.js';

/** See `Lsm.open`. */
export const openDatabase = async (options: LsmOptions): Promise<Database> => {
  const resolved = resolveOptions(options);
  try {
    if (resolved.readOnly) return await openReadOnly(resolved, options.wal);
    const { manifest, unlock } = await openDirectory(resolved);
    resolved.executor.acquire();
    try {
      return await openParts(resolved, manifest, unlock);
    } catch (error) {
      resolved.executor.release();
      await manifest.close();
      await unlock();
      throw error;
    }
  } catch (error) {
    throw toLsmError(error, `Cannot open ${resolved.dir}`);
  }
};

const openReadOnly = async (options: ResolvedOptions, wal: boolean | undefined): Promise<Database> => {
  const { engine, tree } = await openView(options, wal);
  options.executor.acquire();
  return new Database({ options, engine, tree, wal: undefined, unlock: async () => {} });
};

const openParts = async (
  options: ResolvedOptions,
  manifest: Manifest,
  unlock: () => Promise<void>,
): Promise<Database> => {
  const { fs, dir, clock, meter, blockCacheBytes, walSegmentBytesMax, autoCompact } = options;
  const cache = new BlockCache({ bytesMax: blockCacheBytes });
  const damaged = (error: LsmError): void => {
    if (meter.wantsEvents) meter.event({ type: 'lsm.background_error', atMs: clock.now(), message: error.message });
  };
  let wal: Wal | undefined;
  let tree: Tree | undefined;
  let engine: Engine | undefined;
  try {
    tree = await Tree.open(manifest, { fs, dir, cache, meter, damaged });
    engine = new Engine({ options, tree, cache, metrics: new LsmMetrics(meter) });
    if (options.wal) {
      const replay = new LogReplay(manifest.state, engine, clock);
      wal = await Wal.open({
        dir: `${dir}/${LOG_DIR}`,
        fs,
        clock,
        meter,
        lock: false,
        segmentBytesMax: walSegmentBytesMax,
        recordBytesMax: LOG_RECORD_BYTES_MAX,
        onRecords: (records) => replay.take(records),
        onRecordsFrom: manifest.state.logPosition ?? 0,
      });
      // A manifest and a log that do not meet have lost something: what is unlisted may be what is missing.
      checkLogMeetsTables(wal, manifest.state);
    }
    engine.replayed();
    await removeOrphans(options, manifest);
    // Nothing was flushed before: a log that is refused must leave the directory as it is.
    engine.flusher.begin(wal);
    if (autoCompact) engine.compactor.poke();
    engine.stall.update();
    return new Database({ options, engine, tree, wal, unlock });
  } catch (error) {
    await engine?.stop();
    await wal?.close().catch(() => {});
    await tree?.close();
    throw error;
  }
};
