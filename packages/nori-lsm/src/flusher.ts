// Makes tables of sealed memtables, one after the other, in the order in which they were sealed.
//
//   sealed ─ task: write the table, sync its data ─ sync the own log ─ manifest edit (table, marks, log position) ─
//   installed ─ onDurable ─ own log cut below it
//
// Trouble is retried, whatever it is: what passes (no space, I/O) soon, the rest with growing delays. Until it has passed,
// memtables pile up and writes stall. Who waits for a flush is told of the first try that fails; the tries go on without them.
import type { Background } from './background.js';
import { callbackError, LsmError, toLsmError } from './errors.js';
import type { ManifestEdit } from './manifest-edit.js';
import type { Memtable } from './memtable.js';
import type { FlushTask } from './task.js';

const FIRST_DELAY_MS = 1_000;
const LAST_DELAY_MS = 60_000;

/** A memtable that waits for its flush. */
export interface SealedMemtable {
  readonly memtable: Memtable;
  readonly sealedAtMs: number;
  /** Everything up to here is in this memtable or before it. */
  readonly lastSeq: number;
  /** Position in the own log of the last record it contains; undefined: none, or no own log. */
  readonly logPosition: number | undefined;
  readonly marks: readonly (readonly [id: number, mark: Uint8Array])[];
}

/** What the flusher needs of the own log. */
export interface FlushLog {
  sync(): Promise<void>;
  truncateBefore(position: number): Promise<void>;
}

/** See the top of the file. */
export class Flusher {
  /** Oldest first. */
  readonly #queue: SealedMemtable[] = [];
  readonly #background: Background;
  #log: FlushLog | undefined;
  #hasBegun = false;
  readonly #installed: () => void;
  #running: Promise<void> | undefined;
  #waiters: { readonly number: number; readonly resolve: () => void; readonly reject: (error: LsmError) => void }[] =
    [];

  /** @param installed called after each flush, in the turn in which it became visible */
  constructor(background: Background, installed: () => void) {
    this.#background = background;
    this.#installed = installed;
  }

  /** Lets flushes begin. What is handed over before waits: it comes from a log that may yet be refused. */
  begin(log: FlushLog | undefined): void {
    this.#log = log;
    this.#hasBegun = true;
    if (this.#queue.length > 0) this.#start();
  }

  /** Sealed memtables, oldest first. */
  get sealed(): readonly SealedMemtable[] {
    return this.#queue;
  }

  /** Somebody waits for a flush. */
  get isAwaited(): boolean {
    return this.#waiters.length > 0;
  }

  /** Hands over a sealed memtable. */
  add(sealed: SealedMemtable): void {
    this.#queue.push(sealed);
    this.#start();
  }

  /**
   * Resolves once memtable `number` and all before it are durable; fails with the first try that fails. A try that was put
   * off is made at once.
   */
  whenDurable(number: number): Promise<void> {
    if (this.#queue.every(({ memtable }) => memtable.number > number)) return Promise.resolve();
    if (this.#background.isStopping) return Promise.reject(closing());
    const done = new Promise<void>((resolve, reject) => this.#waiters.push({ number, resolve, reject }));
    this.#background.retrier.wake();
    this.#background.changed();
    return done;
  }

  /** Resolves once no flush runs; to be called after the background was told to stop. */
  async stopped(): Promise<void> {
    await this.#running;
    this.#fail(closing());
    for (const { memtable } of this.#queue) memtable.release();
    this.#queue.length = 0;
  }

  #start(): void {
    if (this.#running !== undefined || !this.#hasBegun) return;
    this.#running = this.#drain().finally(() => {
      this.#running = undefined;
      if (this.#queue.length > 0 && !this.#background.isStopping) this.#start();
    });
  }

  async #drain(): Promise<void> {
    const background = this.#background;
    let delayMs = FIRST_DELAY_MS;
    while (this.#queue.length > 0 && !background.isStopping) {
      try {
        await this.#flush(this.#queue[0]!);
        delayMs = FIRST_DELAY_MS;
      } catch (thrown) {
        const error = toLsmError(thrown, 'Cannot flush');
        if (error.code === 'LSM_CANCELLED') return;
        this.#failed(error);
        await background.retrier.pause(delayMs);
        delayMs = Math.min(delayMs * 2, LAST_DELAY_MS);
      }
    }
  }

  #failed(error: LsmError): void {
    const background = this.#background;
    background.metrics.flushFailures.inc();
    background.flushError = error;
    background.report(error);
    this.#fail(error);
    background.changed();
  }

  async #flush(sealed: SealedMemtable): Promise<void> {
    const background = this.#background;
    const { tree, retrier, clock, options } = background;
    const startedMs = clock.monotonic();
    const failed = (error: LsmError): void => this.#failed(error);
    const result =
      sealed.memtable.entries.count === 0
        ? undefined
        : await retrier.run('Cannot flush', () => options.executor.run(this.#task(sealed)), failed);
    const added = (result?.tables ?? []).map((meta) => ({ level: 0, meta }));
    const { ranges } = sealed.memtable;
    const edit: ManifestEdit = {
      flushedSeq: sealed.lastSeq,
      addedRanges: background.ranges.needed(ranges, tree.current, result?.tables ?? []),
      added,
      marks: sealed.marks,
      ...(sealed.logPosition === undefined ? {} : { logPosition: sealed.logPosition }),
    };
    const log = this.#log;
    // Tables must not hold what the log could still lose: else a crash could leave later writes without earlier ones.
    if (log !== undefined) await retrier.run('Cannot sync the log', () => log.sync(), failed);
    await retrier.run('Cannot write the manifest', () => tree.install(edit), failed);
    this.#queue.shift();
    background.ranges.flushed(sealed.lastSeq, tree.ranges);
    background.flushError = undefined;
    this.#installed();
    sealed.memtable.release();
    this.#measure(sealed, result?.bytesWritten ?? 0, added[0]?.meta.number ?? 0, startedMs);
    if (ranges.length > 0) await background.forgetRanges();
    this.#settle(sealed.memtable.number);
    this.#tellDurable(sealed.memtable.number);
    background.changed();
    if (log !== undefined && sealed.logPosition !== undefined) {
      await log.truncateBefore(sealed.logPosition).catch((thrown: unknown) => {
        background.report(toLsmError(thrown, 'Cannot cut the log'));
      });
    }
  }

  /** What the caller's function throws must not stop flushing. */
  #tellDurable(number: number): void {
    const { options } = this.#background;
    try {
      options.onDurable?.(number);
    } catch (thrown) {
      this.#background.report(callbackError('onDurable', thrown));
    }
  }

  #task({ memtable, lastSeq }: SealedMemtable): FlushTask {
    const background = this.#background;
    return {
      kind: 'flush',
      // Not those of newer memtables, which a crash may lose.
      ...background.taskSettings(0, [...background.tree.ranges.values(), ...memtable.ranges], lastSeq),
      ...(background.pace === undefined ? {} : { shares: background.pace.shares }),
      arena: memtable.entries.memory,
      number: background.tree.allocate(),
    };
  }

  #measure(sealed: SealedMemtable, bytes: number, table: number, startedMs: number): void {
    const { metrics, clock } = this.#background;
    const durationMs = clock.monotonic() - startedMs;
    metrics.counts.flushes++;
    metrics.counts.flushedBytes += bytes;
    metrics.flushedBytes.inc(bytes);
    metrics.flushSeconds.observe((clock.monotonic() - sealed.sealedAtMs) / 1000);
    if (metrics.meter.wantsEvents && table !== 0) {
      metrics.meter.event({ type: 'lsm.flushed', atMs: clock.now(), table, bytes, durationMs });
    }
  }

  #settle(number: number): void {
    const waiters = this.#waiters;
    this.#waiters = waiters.filter((waiter) => waiter.number > number);
    for (const waiter of waiters) if (waiter.number <= number) waiter.resolve();
  }

  #fail(error: LsmError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }
}

const closing = (): LsmError => new LsmError('LSM_CLOSED', 'The database is closed.');
