// Opening a database for reading alone: the state it had at one moment between the call and its return, taken without lock and
// without changing anything, also while another process writes to it.
//
//   CURRENT ─► manifest ─► tables opened ─► log read into memtables ─► the two meet ─► the view
//      ▲                                                                   │ a file was gone, a part was newer than another
//      └───────────────────────────────────────────────────────────────────┘ anew, a bounded number of times
//
// The log is read after the manifest, so that it is as new or newer, and the view is "tables of moment A, and what the log of moment B
// holds beyond them". That is the state at moment B, because:
//
// - Tables are immutable, their numbers are used once, and a table that the manifest of A lists was complete and durable before it was
//   listed. A merge of tables does not change what they hold. So tables of A hold just what was flushed until A; if one was merged
//   away and removed before it could be opened, that is noticed. One that is open stays readable: removing a file takes its name, and descriptors are held from the first try on.
// - What the tables of A hold and the log of B holds too is told apart by sequence number (`flushedSeq`).
// - What is not in the tables of A is in the log of B, unless a flush after A let the log be cut: then the log begins behind the
//   `logPosition` of A, which `checkLogMeetsTables` sees.
// - One kind of write reaches tables without the log: with durability `none`, when the log refused the record after it had been visible.
//   It leaves a gap of sequence numbers in the log, as does every write that failed, and its flush is durable before anything else is
//   logged. So if the log goes on behind a gap and the manifest of a moment after B does not reach the gap, those writes failed. If it
//   does, the gap may be of such a flush, or of tables that were ingested, and a view of A and B would lack it: anew, from the newer manifest.
// - A keyspace that was created after A takes no sequence number, and the log of B may have writes to it: the manifest of a moment after B tells.
// - CURRENT is replaced by a rename, and the manifest it names was durable before. An edit that is half written is a torn tail: then A is
//   the moment before it. One that is torn in the middle of the file, because it was being read when two edits were written, or a
//   manifest that was removed between the two reads, is noticed.
// - The log is read as of one moment by `readLog`, which has its own reasoning.
//
// What was noticed because of a writer is different the next time; what is found twice in a row, in files read anew, is damage.
import { BlockCache } from 'nori-sstable';
import { readLog } from 'nori-wal';
import { inspectDirectory, LOG_DIR } from './directory.js';
import { Engine } from './engine.js';
import { codeOf, LsmError, type LsmErrorCode, toLsmError } from './errors.js';
import { HeldTables } from './held-tables.js';
import { LOG_RECORD_BYTES_MAX } from './limits.js';
import { Manifest } from './manifest.js';
import { LsmMetrics } from './metrics.js';
import type { ResolvedOptions } from './options.js';
import { checkLogMeetsTables, LogReplay } from './replay.js';
import { Tree } from './tree.js';

const TRIES_MAX = 10;

/** What a writer can make a reader believe for a moment. */
const DOUBTFUL: readonly LsmErrorCode[] = [
  'LSM_CHANGED',
  'LSM_CORRUPT_MANIFEST',
  'LSM_CORRUPT_LOG',
  'LSM_MISSING_TABLE',
  'LSM_NOT_A_DATABASE',
];

/** A database as it was at one moment. */
export interface View {
  readonly tree: Tree;
  readonly engine: Engine;
}

/**
 * Opens a database for reading alone; see the top of this file.
 * @param wal the log mode that the caller expects; undefined: whichever it has
 * @throws LsmError `LSM_NOT_FOUND`, `LSM_CHANGED` and whatever opening throws
 */
export const openView = async (options: ResolvedOptions, wal: boolean | undefined): Promise<View> => {
  const opening = new ViewOpening(options, wal);
  let before = '';
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await opening.attempt();
      } catch (thrown) {
        const error = doubted(thrown, options.dir);
        if (error === undefined) throw thrown;
        const what = `${error.code} ${error.message}`;
        if (error.code !== 'LSM_CHANGED' && what === before) throw error;
        if (attempt === TRIES_MAX) throw changing(options.dir, error);
        before = what;
        await new Promise<void>((resolve) => options.clock.nextTurn(resolve));
      }
    }
  } finally {
    await opening.end();
  }
};

/** The error, if another try may show that it was none. */
const doubted = (thrown: unknown, dir: string): LsmError | undefined => {
  const error = toLsmError(thrown, `Cannot open ${dir}`);
  const isGone = codeOf(thrown) === 'IO_NOT_FOUND' || codeOf(error.cause) === 'IO_NOT_FOUND';
  return isGone || DOUBTFUL.includes(error.code) ? error : undefined;
};

const changing = (dir: string, cause: LsmError): LsmError =>
  new LsmError('LSM_CHANGED', `${dir} was changed by its writer each of ${TRIES_MAX} times it was read. Try again.`, {
    cause,
  });

/** The tries to open one view, and what of a try is of use to the next. */
class ViewOpening {
  readonly #options: ResolvedOptions;
  readonly #wal: boolean | undefined;
  readonly #held: HeldTables;
  #manifest: Manifest | undefined;

  constructor(options: ResolvedOptions, wal: boolean | undefined) {
    this.#options = options;
    this.#wal = wal;
    this.#held = new HeldTables(options.fs, options.dir);
  }

  async attempt(): Promise<View> {
    const { dir, clock, meter, blockCacheBytes } = this.#options;
    const manifest = await this.#readManifest();
    const { ownLog, levels } = manifest.state;
    if (this.#wal !== undefined && this.#wal !== ownLog) {
      const what = `${dir} was created with wal: ${ownLog}; open it with wal: ${ownLog}.`;
      throw new LsmError('LSM_INVALID_OPTIONS', what);
    }
    await this.#held.hold(levels.flatMap((tables) => [...tables.keys()]));
    const cache = new BlockCache({ bytesMax: blockCacheBytes });
    const damaged = (error: LsmError): void => {
      if (meter.wantsEvents) meter.event({ type: 'lsm.background_error', atMs: clock.now(), message: error.message });
    };
    const tree = await Tree.open(manifest, { fs: this.#held.fs, dir, cache, meter, damaged });
    const engine = new Engine({ options: this.#options, tree, cache, metrics: new LsmMetrics(meter) });
    try {
      if (ownLog) await this.#takeLog(manifest, engine);
      engine.replayed();
      return { tree, engine };
    } catch (error) {
      await engine.stop();
      await tree.close();
      throw error;
    }
  }

  /** Lets go of what the view did not take. */
  end(): Promise<void> {
    return this.#held.close();
  }

  async #readManifest(): Promise<Manifest> {
    const { fs, dir } = this.#options;
    const known = this.#manifest;
    this.#manifest = undefined;
    this.#manifest = await Manifest.read(fs, dir, await this.#currentManifest(), known);
    return this.#manifest;
  }

  async #currentManifest(): Promise<number> {
    const { fs, dir } = this.#options;
    const state = await inspectDirectory(fs, dir);
    if (state.kind === 'database') return state.manifest;
    throw new LsmError('LSM_NOT_FOUND', `A database does not exist in ${dir}, and readOnly creates none.`);
  }

  /** Reads what the log has beyond the tables into memtables. */
  async #takeLog({ state }: Manifest, engine: Engine): Promise<void> {
    const { fs, dir, clock } = this.#options;
    const replay = new LogReplay(state, engine, clock);
    const log = await readLog({
      dir: `${dir}/${LOG_DIR}`,
      fs,
      recordBytesMax: LOG_RECORD_BYTES_MAX,
      from: state.logPosition ?? 0,
      onRecords: (records) => replay.take(records),
    });
    checkLogMeetsTables(log, state);
    const newer = await Manifest.read(fs, dir, await this.#currentManifest());
    const isKnown = newer.state.lastKeyspace === state.lastKeyspace;
    const { firstMissing = Number.POSITIVE_INFINITY } = replay;
    if (isKnown && Math.max(newer.state.flushedSeq, newer.state.usedSeq) < firstMissing) return;
    throw new LsmError('LSM_CHANGED', `${dir} was flushed by its writer while it was read. Open it again.`);
  }
}
