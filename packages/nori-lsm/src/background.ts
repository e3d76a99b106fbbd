// What flushes and compactions share: the database they work for, and its trouble.
import type { Clock } from 'nori-io';
import type { LsmError } from './errors.js';
import type { LsmMetrics } from './metrics.js';
import type { ResolvedOptions } from './options.js';
import { Retrier } from './retry.js';
import type { SnapshotList } from './snapshots.js';
import type { ExpiryHorizon } from './task.js';
import type { Tree } from './tree.js';

/** Shared state of background work. */
export class Background {
  readonly options: ResolvedOptions;
  readonly clock: Clock;
  readonly tree: Tree;
  readonly snapshots: SnapshotList;
  readonly metrics: LsmMetrics;
  readonly retrier: Retrier;
  /** Set to 1 when running tasks are to stop. */
  readonly cancel = new Int32Array(new SharedArrayBuffer(4));
  /** Why flushes do not get on, for now or for good. */
  flushError: LsmError | undefined;
  /** Why compactions do not get on, for now or for good. */
  compactionError: LsmError | undefined;
  /** Called when stalls may have begun or ended, after flushes, compactions and changes of the errors. */
  changed: () => void = () => {};

  constructor(options: ResolvedOptions, tree: Tree, snapshots: SnapshotList, metrics: LsmMetrics) {
    this.options = options;
    this.clock = options.clock;
    this.tree = tree;
    this.snapshots = snapshots;
    this.metrics = metrics;
    this.retrier = new Retrier(options.clock);
  }

  get isStopping(): boolean {
    return this.retrier.stopped;
  }

  /** Asks running tasks to stop and ends all waiting. */
  stop(): void {
    this.retrier.stop();
    Atomics.store(this.cancel, 0, 1);
  }

  /** The horizon for a task that starts now, as plain data of its own. */
  horizon(): ExpiryHorizon {
    const horizon = this.options.expiry.durableNowMs();
    return typeof horizon === 'number' ? horizon : horizon.nowMs.slice();
  }

  /** Tells the world about trouble. */
  report(error: LsmError): void {
    const { meter } = this.metrics;
    if (!meter.wantsEvents) return;
    meter.event({ type: 'lsm.background_error', atMs: this.clock.now(), message: error.message });
  }
}
