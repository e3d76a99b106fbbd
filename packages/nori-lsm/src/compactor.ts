// Runs compactions, one at a time, whenever a level is over its target, and the ones that callers ask for.
import type { Background } from './background.js';
import {
  type CompactionPick,
  keyRange,
  pickCompaction,
  pickFrom,
  pickRewrite,
  rangesBelow,
} from './compaction-picker.js';
import { LsmError, toLsmError } from './errors.js';
import type { ManifestEdit } from './manifest-edit.js';
import type { Table } from './table.js';
import type { CompactTask, TaskInput } from './task.js';

/** See the top of the file. */
export class Compactor {
  readonly #background: Background;
  #running: Promise<void> | undefined;
  /** Callers that wait for their turn to compact. */
  #claims = 0;
  /** Callers who are to be told of the next try that fails. */
  readonly #impatient = new Set<(error: LsmError) => void>();

  constructor(background: Background) {
    this.#background = background;
  }

  /** Starts compacting if a level needs it and nothing runs. */
  poke(): void {
    const { options, isStopping, compactionError } = this.#background;
    if (!options.autoCompact || isStopping || compactionError !== undefined) return;
    if (this.#running !== undefined || this.#claims > 0) return;
    if (pickCompaction(this.#background.tree.current, options) === undefined) return;
    this.#run(() => this.#compactWhileNeeded()).catch(() => {});
  }

  /** Moves everything that is in tables now to the lowest level in use, leaving out all that can go. */
  async compactAll(): Promise<void> {
    const { tree } = this.#background;
    const bottom = Math.max(1, tree.current.deepestLevel);
    const written = new Set<number>();
    for (let level = 0; level < bottom; level++) {
      const todo = new Set(tree.current.tablesIn(level).map((table) => table.meta.number));
      while (todo.size > 0) {
        await this.#claimed(async () => {
          const tables = tree.current.tablesIn(level).filter((table) => todo.has(table.meta.number));
          const upper = level === 0 ? tree.current.tablesIn(0) : tables.slice(0, 1);
          if (tables.length === 0) return todo.clear();
          const pick = pickFrom(tree.current, level, upper)!;
          for (const table of pick.upper) todo.delete(table.meta.number);
          for (const number of await this.#compact(pick)) if (level + 1 === bottom) written.add(number);
        });
      }
    }
    await this.#rewriteBottom(bottom, written);
  }

  /** Resolves once nothing runs; to be called after the background was told to stop. */
  async stopped(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => {});
  }

  /** Drops what the tables of the bottom level need not hold any more. */
  async #rewriteBottom(bottom: number, written: ReadonlySet<number>): Promise<void> {
    const { tree } = this.#background;
    const nowMs = this.#background.horizon();
    const latest = typeof nowMs === 'number' ? nowMs : nowMs.reduce((a, b) => Math.max(a, b), 0);
    const isDue = ({ meta }: Table): boolean =>
      meta.tombstones > 0 || meta.shadowed > 0 || (meta.expiring > 0 && meta.earliestExpiryMs <= latest);
    const due = tree.current.tablesIn(bottom).filter((table) => !written.has(table.meta.number) && isDue(table));
    for (const { meta } of due) {
      await this.#claimed(async () => {
        const table = tree.current.tablesIn(bottom).find((other) => other.meta.number === meta.number);
        if (table !== undefined) await this.#compact(pickRewrite(bottom, table));
      });
    }
  }

  async #compactWhileNeeded(): Promise<void> {
    const { tree, options } = this.#background;
    while (!this.#background.isStopping && this.#claims === 0) {
      const pick = pickCompaction(tree.current, options);
      if (pick === undefined) return;
      await this.#compact(pick);
    }
  }

  /**
   * Waits for the turn of a caller, then works; automatic compactions go on afterwards. Fails with the first try that
   * fails; the work under way then goes on without the caller.
   */
  async #claimed(work: () => Promise<void>): Promise<void> {
    const background = this.#background;
    this.#claims++;
    try {
      while (this.#running !== undefined) await this.#orFailure(this.#running.catch(() => {}));
      if (background.isStopping) throw new LsmError('LSM_CLOSED', 'The database is closed.');
      if (background.compactionError !== undefined) throw background.compactionError;
      await this.#orFailure(this.#run(work));
    } finally {
      this.#claims--;
      this.poke();
    }
  }

  /** Settles as `running` does, but fails with its next try that fails. A try that was put off is made at once. */
  #orFailure(running: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#impatient.add(reject);
      running.finally(() => this.#impatient.delete(reject)).then(resolve, reject);
      this.#background.retrier.wake();
    });
  }

  #run(work: () => Promise<void>): Promise<void> {
    const background = this.#background;
    const running = (async () => {
      try {
        await work();
      } catch (thrown) {
        const error = toLsmError(thrown, 'Cannot compact');
        if (error.code !== 'LSM_CANCELLED') {
          background.compactionError = error;
          background.report(error);
          background.changed();
        }
        throw error;
      } finally {
        this.#running = undefined;
      }
    })();
    this.#running = running;
    running.then(
      () => this.poke(),
      () => {},
    );
    return running;
  }

  /** Carries out one compaction and tells the numbers of the tables it made. */
  async #compact(pick: CompactionPick): Promise<readonly number[]> {
    const background = this.#background;
    const { tree, retrier, metrics, clock, options } = background;
    const startedMs = clock.monotonic();
    const failed = (error: LsmError): void => {
      metrics.compactionSeconds(pick.level, 'failed').observe((clock.monotonic() - startedMs) / 1000);
      background.compactionError = error;
      background.report(error);
      for (const tell of this.#impatient) tell(error);
      this.#impatient.clear();
      background.changed();
    };
    // The inputs stay on disk for as long as the version that lists them is held.
    const version = tree.current;
    version.retain();
    try {
      const result = pick.isMove
        ? { tables: pick.upper.map((table) => table.meta), bytesRead: 0, bytesWritten: 0 }
        : await retrier.run('Cannot compact', () => options.executor.run(this.#task(pick)), failed);
      const edit: ManifestEdit = {
        removed: [
          ...pick.upper.map((table) => ({ level: pick.level, number: table.meta.number })),
          ...pick.lower.map((table) => ({ level: pick.outputLevel, number: table.meta.number })),
        ],
        added: result.tables.map((meta) => ({ level: pick.outputLevel, meta })),
      };
      await retrier.run('Cannot write the manifest', () => tree.install(edit), failed);
      background.compactionError = undefined;
      this.#measure(pick, result.bytesRead, result.bytesWritten, clock.monotonic() - startedMs);
      background.changed();
      return result.tables.map((meta) => meta.number);
    } finally {
      version.release();
    }
  }

  #task(pick: CompactionPick): CompactTask {
    const { options, snapshots, cancel, tree } = this.#background;
    const [smallest, largest] = keyRange([...pick.upper, ...pick.lower]);
    const inputs: TaskInput[] = [
      ...pick.upper.map((table) => ({ number: table.meta.number, run: pick.level === 0 ? -1 : 0 })),
      ...pick.lower.map((table) => ({ number: table.meta.number, run: 1 })),
    ];
    const bytes = [...pick.upper, ...pick.lower].reduce((sum, table) => sum + table.meta.fileBytes, 0);
    // Small tables have more overhead than the estimate by bytes allows for; numbers cost nothing.
    const numbers = Math.ceil(bytes / options.tableBytes) * 4 + 16;
    return {
      kind: 'compact',
      dir: options.dir,
      tables: { blockBytes: options.blockBytes, bloomBitsPerKey: options.bloomBitsPerKey },
      snapshots: snapshots.sequences(),
      horizon: this.#background.horizon(),
      cancel,
      inputs,
      outputLevel: pick.outputLevel,
      firstNumber: tree.allocate(numbers),
      numbers,
      tableBytes: options.tableBytes,
      deeper: rangesBelow(tree.current, pick.outputLevel, smallest, largest),
    };
  }

  #measure(pick: CompactionPick, bytesIn: number, bytesOut: number, durationMs: number): void {
    const { metrics, clock } = this.#background;
    metrics.counts.compactions++;
    metrics.counts.compactionReadBytes += bytesIn;
    metrics.counts.compactionWrittenBytes += bytesOut;
    metrics.compactionReadBytes.inc(bytesIn);
    metrics.compactionWrittenBytes.inc(bytesOut);
    metrics.compactionSeconds(pick.level, 'ok').observe(durationMs / 1000);
    if (!metrics.meter.wantsEvents) return;
    metrics.meter.event({
      type: 'lsm.compacted',
      atMs: clock.now(),
      fromLevel: pick.level,
      toLevel: pick.outputLevel,
      bytesIn,
      bytesOut,
      durationMs,
    });
  }
}
