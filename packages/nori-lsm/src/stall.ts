// Back-pressure: writes wait while too many memtables wait for their flush, or L0 has too many tables. Who waits is told of
// the end, or of why there will be none for now.
import type { Background } from './background.js';
import { LsmError } from './errors.js';
import type { LsmStats } from './types.js';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: LsmError) => void;
}

/** See the top of the file. */
export class Stall {
  readonly #background: Background;
  readonly #sealedCount: () => number;
  #reason: LsmStats['stalled'];
  /** True while nothing may be written for another reason than a lack of room. */
  #isHeld = false;
  #sinceMs = 0;
  #waiters: Waiter[] = [];

  constructor(background: Background, sealedCount: () => number) {
    this.#background = background;
    this.#sealedCount = sealedCount;
  }

  /** True while writers should wait. */
  get isStalled(): boolean {
    return this.#reason !== undefined;
  }

  /** What writers wait for, if they do. */
  get reason(): LsmStats['stalled'] {
    return this.#reason;
  }

  /** True while nothing may be written, not even by those who do not wait. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Lets writes wait until it is called with false. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    this.update();
  }

  /** Looks again; to be called after everything that changes the answer. */
  update(): void {
    const before = this.#reason;
    this.#reason = this.#find();
    Atomics.store(this.#background.hurry, 0, this.#reason === undefined ? 0 : 1);
    if (before === undefined && this.#reason !== undefined) this.#begin(this.#reason);
    if (before !== undefined && this.#reason === undefined) this.#end();
    const error = this.#hopeless();
    if (error !== undefined) this.fail(error);
  }

  /** Resolves when writes may go on; fails if they cannot for now. */
  wait(): Promise<void> {
    const error = this.#hopeless();
    if (error !== undefined) return Promise.reject(error);
    if (this.#reason === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Why writes cannot go on, if waiting does not help. */
  #hopeless(): LsmError | undefined {
    const { flushError, compactionError, isCompactionStuck } = this.#background;
    if (this.#reason === undefined) return undefined;
    const stuck = isCompactionStuck ? compactionError : undefined;
    if (this.#reason === 'ingest') return undefined;
    const error = this.#reason === 'memtables' ? flushError : (stuck ?? flushError);
    if (error === undefined) return undefined;
    if (error.code === 'LSM_NO_SPACE') return error;
    const { file, offset } = error;
    const what = this.#reason === 'memtables' ? 'Flushing' : 'Compaction';
    return new LsmError(
      'LSM_BACKGROUND_ERROR',
      `${what} does not get on, so nothing more can be written: ${error.message}`,
      {
        file,
        offset,
        cause: error,
      },
    );
  }

  /** Ends all waiting with an error. */
  fail(error: LsmError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) reject(error);
  }

  #find(): LsmStats['stalled'] {
    if (this.#isHeld) return 'ingest';
    const { options, tree } = this.#background;
    if (options.readOnly) return undefined;
    if (this.#sealedCount() >= options.memtablesMax - 1) return 'memtables';
    if (options.autoCompact && tree.current.tablesIn(0).length >= options.l0Stop) return 'l0';
    return undefined;
  }

  #begin(reason: 'memtables' | 'l0' | 'ingest'): void {
    const { metrics, clock } = this.#background;
    this.#sinceMs = clock.monotonic();
    metrics.counts.stalls++;
    metrics.stalls.inc();
    if (metrics.meter.wantsEvents) metrics.meter.event({ type: 'lsm.stalled', atMs: clock.now(), reason });
  }

  #end(): void {
    const { metrics, clock } = this.#background;
    const durationMs = clock.monotonic() - this.#sinceMs;
    metrics.counts.stalledMs += durationMs;
    metrics.stallSeconds.observe(durationMs / 1000);
    if (metrics.meter.wantsEvents) metrics.meter.event({ type: 'lsm.stall_ended', atMs: clock.now(), durationMs });
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve } of waiters) resolve();
  }
}
