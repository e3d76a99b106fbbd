// What flushes and compactions share: the database they work for, and its trouble.
import type { Clock } from 'nori-io';
import { callbackError, type LsmError, toLsmError } from './errors.js';
import type { LsmMetrics } from './metrics.js';
import type { ResolvedOptions } from './options.js';
import { Pace } from './pace.js';
import type { RangeBook } from './range-book.js';
import type { RangeTombstone } from './range-tombstones.js';
import { Retrier } from './retry.js';
import type { SnapshotList } from './snapshots.js';
import type { ExpiryHorizon, TaskSettings } from './task.js';
import type { Tree } from './tree.js';

/** Tables are synced in steps of so many bytes: larger ones cost nothing more, but make the log wait longer. */
const SYNC_STEP_BYTES = 8 * 1024 * 1024;
/** The same where background work is paced: many short syncs, with those of the log between them. */
const PACED_SYNC_STEP_BYTES = 512 * 1024;

/** Shared state of background work. */
export class Background {
  readonly options: ResolvedOptions;
  readonly clock: Clock;
  readonly tree: Tree;
  readonly snapshots: SnapshotList;
  readonly metrics: LsmMetrics;
  readonly ranges: RangeBook;
  readonly retrier: Retrier;
  /** Set to 1 when running tasks are to stop. */
  readonly cancel = new Int32Array(new SharedArrayBuffer(4));
  /** Set to 1 while writers wait: budgets do not hold then. */
  readonly hurry = new Int32Array(new SharedArrayBuffer(4));
  /** Shares of the time for flushes and compactions; undefined: all of it. */
  readonly pace: Pace | undefined;
  /** Why flushes do not get on for now; tries go on. */
  flushError: LsmError | undefined;
  /** Why a compaction does not get on for now; tries go on, and so do compactions that the cause does not touch. */
  compactionError: LsmError | undefined;
  /** True while no compaction gets on: who waits for one waits in vain. */
  isCompactionStuck = false;
  /** What `expiry.durableNowMs` threw, if it did when it was last asked: nothing is dropped as expired then. */
  expiryError: LsmError | undefined;
  /** Called when stalls may have begun or ended, after flushes, compactions and changes of the errors. */
  changed: () => void = () => {};
  constructor(options: ResolvedOptions, tree: Tree, snapshots: SnapshotList, metrics: LsmMetrics, ranges: RangeBook) {
    this.options = options;
    this.clock = options.clock;
    this.tree = tree;
    this.snapshots = snapshots;
    this.metrics = metrics;
    this.ranges = ranges;
    this.retrier = new Retrier(options.clock);
    this.pace = options.paceBackground ? new Pace() : undefined;
  }

  get isStopping(): boolean {
    return this.retrier.stopped;
  }

  /** Asks running tasks to stop and ends all waiting. */
  stop(): void {
    this.retrier.stop();
    Atomics.store(this.cancel, 0, 1);
    Atomics.notify(this.cancel, 0);
  }

  /** What keeps background work from getting on, if anything. */
  get error(): LsmError | undefined {
    return this.flushError ?? this.compactionError ?? this.expiryError;
  }

  /** The horizon for a task that starts now, as plain data of its own. What the caller's function throws is no reason to stop. */
  horizon(): ExpiryHorizon {
    try {
      const horizon = this.options.expiry.durableNowMs();
      const found = typeof horizon === 'number' ? horizon : horizon.nowMs.slice();
      this.expiryError = undefined;
      return found;
    } catch (thrown) {
      const isNews = this.expiryError === undefined;
      this.expiryError = callbackError('expiry.durableNowMs', thrown);
      this.metrics.expiryFailures.inc();
      if (isNews) this.report(this.expiryError);
      return 0;
    }
  }

  /**
   * What every task that writes tables of this level carries, sampled now. Range tombstones must be as durable as what the
   * task writes is going to be.
   */
  taskSettings(level: number, ranges: readonly RangeTombstone[], rangesSeq: number): TaskSettings {
    const { options, snapshots, cancel, tree } = this;
    return {
      dir: options.dir,
      tables: {
        blockBytes: options.blockBytes,
        bloomBitsPerKey: options.bloomBitsPerKey,
        compression: options.compression[level]!,
      },
      hasMappedKeys: tree.manifest.state.mappedKeys,
      snapshots: snapshots.sequences(),
      horizon: this.horizon(),
      ranges,
      rangesSeq,
      cancel,
      syncStepBytes: this.pace === undefined ? SYNC_STEP_BYTES : PACED_SYNC_STEP_BYTES,
    };
  }

  /**
   * Takes range tombstones out of the manifest that have nothing left to hide. Never fails, and tries once: those that stay do no harm,
   * and whoever calls this has done what was asked for.
   */
  async forgetRanges(): Promise<void> {
    const { tree, ranges, clock } = this;
    if (tree.ranges.size === 0) return;
    const pause = (): Promise<void> => new Promise((resolve) => void clock.nextTurn(() => resolve()));
    const gone = await ranges.leaving([...tree.ranges.values()], () => tree.current, pause);
    if (gone.length === 0 || this.isStopping) return;
    try {
      await tree.install({ removedRanges: gone.map(({ seq }) => seq) });
      ranges.forget(gone);
    } catch (thrown) {
      this.report(toLsmError(thrown, 'Cannot write the manifest'));
    }
  }

  /** A try of a compaction failed. @param isStuck no other compaction gets on either */
  compactionFailed(error: LsmError, isStuck: boolean): void {
    this.compactionError = error;
    this.isCompactionStuck = isStuck;
    this.metrics.compactionFailures.inc();
    this.report(error);
    this.changed();
  }

  /** A compaction got on. @param left trouble of other tables */
  compactionSucceeded(left: LsmError | undefined): void {
    this.compactionError = left;
    this.isCompactionStuck = false;
    this.changed();
  }

  /** Tells the world about trouble. */
  report(error: LsmError): void {
    const { meter } = this.metrics;
    if (!meter.wantsEvents) return;
    meter.event({ type: 'lsm.background_error', atMs: this.clock.now(), message: error.message });
  }
}
