// Runs compactions, one at a time: first what callers ask for, then what the sizes of levels ask for, then what reclaims
// space (garbage-picker.ts). With nothing left to do it rests until something changes, the next entries expire, or a
// table that could not be compacted is due for another try.
//
//   poke ─► pick ─ none ─► rest ─ timer, flush, snapshot closed ─► poke
//            ▲  └─► run ─► install ─┐
//            └──────────────────────┘     a failure that retrying cannot help blocks its tables for a while
import type { TimerHandle } from 'nori-io';
import type { Background } from './background.js';
import { BlockedTables } from './blocked-tables.js';
import { type CompactionPick, nextLevelWith, pickInto, pickRewrite } from './compaction-pick.js';
import { pickBySize } from './compaction-picker.js';
import { compactTask } from './compaction-task.js';
import { LsmError, toLsmError } from './errors.js';
import { nextLookMs, PAYOFF_MIN, pickGarbage, type Rest, restAfter } from './garbage-picker.js';
import { LAST_LEVEL, levelTargets } from './level-targets.js';
import type { ManifestEdit } from './manifest-edit.js';
import { mayHide } from './range-garbage.js';
import type { Table } from './table.js';
import type { TaskResult } from './task.js';

/** Shortest and longest time until expiries are looked at again. */
const LOOK_MS_MIN = 1_000;
const LOOK_MS_MAX = 3_600_000;
/** How long the time by which entries may be dropped is given to catch up with the clock. */
const LAG_MS = 60_000;

/** See the top of the file. */
export class Compactor {
  readonly #background: Background;
  readonly #blocked = new BlockedTables();
  /** What is asked of tables that were compacted for less than was promised. */
  readonly #rests = new Map<number, Rest>();
  #running: Promise<void> | undefined;
  #timer: TimerHandle | undefined;
  #isHeldBySnapshot = false;
  /** Callers that wait for their turn to compact. */
  #claims = 0;
  /** Callers who are to be told of the next try that fails. */
  readonly #impatient = new Set<(error: LsmError) => void>();

  constructor(background: Background) {
    this.#background = background;
  }

  /** Starts compacting if something needs it and nothing runs. */
  poke(): void {
    const { options, isStopping } = this.#background;
    if (!options.autoCompact || isStopping || this.#running !== undefined || this.#claims > 0) return;
    const pick = this.#pick();
    if (pick === undefined) this.#rest();
    else this.#run(() => this.#compactWhileNeeded(pick)).catch(() => {});
  }

  /** To be called when a snapshot was closed. */
  snapshotClosed(): void {
    if (this.#isHeldBySnapshot) this.poke();
  }

  /** Moves everything that is in tables now to the last level, leaving out all that can go. */
  async compactAll(): Promise<void> {
    const { tree } = this.#background;
    const written = new Set<number>();
    for (let level = 0; level < LAST_LEVEL; level++) {
      const todo = new Set(tree.current.tablesIn(level).map((table) => table.meta.number));
      while (todo.size > 0) {
        await this.#claimed(async () => {
          const pick = this.#pickDown(level, todo);
          if (pick === undefined) return todo.clear();
          for (const { meta } of pick.upper) todo.delete(meta.number);
          const made = await this.#compact(pick);
          if (pick.kind === 'merge' && pick.outputLevel === LAST_LEVEL) for (const number of made) written.add(number);
        });
      }
    }
    await this.#rewriteLast(written);
  }

  /** Runs `work` while no compaction runs or begins. */
  async alone(work: () => Promise<void>): Promise<void> {
    await this.#claimed(work);
  }

  /** Resolves once nothing runs; to be called after the background was told to stop. */
  async stopped(): Promise<void> {
    this.#timer?.cancel();
    while (this.#running !== undefined) await this.#running.catch(() => {});
  }

  /** For a caller: all of L0, or one of these tables, down to the first level that has something in its range. */
  #pickDown(level: number, todo: ReadonlySet<number>): CompactionPick | undefined {
    const version = this.#background.tree.current;
    const tables = version.tablesIn(level).filter(({ meta }) => todo.has(meta.number));
    if (tables.length === 0) return undefined;
    if (level === 0) {
      const { base } = levelTargets(version, this.#background.options);
      return pickInto(version, 'manual', 0, version.tablesIn(0), base);
    }
    const upper = tables.slice(0, 1);
    return pickInto(version, 'manual', level, upper, nextLevelWith(version, level, upper));
  }

  /** Drops what the tables of the last level need not hold any more. */
  async #rewriteLast(written: ReadonlySet<number>): Promise<void> {
    const { tree } = this.#background;
    const horizon = this.#background.horizon();
    const latest = typeof horizon === 'number' ? horizon : horizon.reduce((a, b) => Math.max(a, b), 0);
    const isAsked = this.#background.options.compactionFilter !== undefined;
    const ranges = tree.rangeSet(this.#background.snapshots.sequences());
    const isDue = (table: Table): boolean => isAsked || isGarbage(table) || mayHide(ranges, table);
    const isGarbage = ({ meta }: Table): boolean =>
      meta.tombstones > 0 || meta.shadowed > 0 || (meta.expiring > 0 && meta.earliestExpiryMs <= latest);
    const due = tree.current.tablesIn(LAST_LEVEL).filter((table) => !written.has(table.meta.number) && isDue(table));
    for (const { meta } of due) {
      await this.#claimed(async () => {
        const table = tree.current.tablesIn(LAST_LEVEL).find((other) => other.meta.number === meta.number);
        if (table !== undefined) await this.#compact(pickRewrite('manual', LAST_LEVEL, table));
      });
    }
  }

  /** What to do next; undefined: nothing, for now. */
  #pick(): CompactionPick | undefined {
    const { tree, options, snapshots } = this.#background;
    const version = tree.current;
    const nowMs = this.#background.clock.monotonic();
    const isBlocked = ({ meta }: Table): boolean =>
      this.#blocked.size > 0 && this.#blocked.isBlocked(meta.number, nowMs);
    this.#isHeldBySnapshot = false;
    const bySize = pickBySize({ version, shape: options, isBlocked });
    if (bySize !== undefined) return bySize;
    const found = pickGarbage(
      {
        version,
        isBlocked,
        oldestSnapshot: snapshots.oldest,
        horizon: this.#background.horizon(),
        hasMappedKeys: tree.manifest.state.mappedKeys,
        ranges: tree.rangeSet(snapshots.sequences()),
        snapshots: snapshots.sequences(),
        restOf: ({ meta }) => this.#rests.get(meta.number),
      },
      levelTargets(version, options).base,
    );
    this.#isHeldBySnapshot = found.isHeldBySnapshot;
    return found.pick;
  }

  /** Nothing is to be done: sets the timer for when something may be. */
  #rest(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock, tree } = this.#background;
    if (this.#blocked.size > 0 && this.#blocked.forgetDue(clock.monotonic())) {
      this.#background.compactionError = this.#blocked.error;
      this.#background.isCompactionStuck = false;
    }
    const nowMs = clock.now();
    const expiryMs = nextLookMs(tree.current, nowMs);
    const retryMs = this.#blocked.nextMs - clock.monotonic();
    let delayMs = Math.min(LOOK_MS_MAX, retryMs, expiryMs === undefined ? Number.POSITIVE_INFINITY : expiryMs - nowMs);
    if (expiryMs === undefined && retryMs === Number.POSITIVE_INFINITY) {
      if (!this.#hasExpired(nowMs)) return;
      delayMs = LAG_MS;
    }
    this.#timer = clock.setTimer(Math.max(LOOK_MS_MIN, delayMs), () => this.poke(), { unref: true });
  }

  /** Something has expired by the clock, though what may be dropped lags behind. */
  #hasExpired(nowMs: number): boolean {
    return this.#background.tree.current.levels.some((tables) =>
      tables.some(({ meta }) => meta.expiring > 0 && meta.earliestExpiryMs <= nowMs),
    );
  }

  async #compactWhileNeeded(first: CompactionPick): Promise<void> {
    let pick: CompactionPick | undefined = first;
    while (pick !== undefined) {
      await this.#compact(pick).catch((thrown: unknown) => {
        if (toLsmError(thrown, 'Cannot compact').code === 'LSM_CANCELLED') throw thrown;
      });
      if (this.#background.isStopping || this.#claims > 0) return;
      pick = this.#pick();
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
    this.#timer?.cancel();
    const running = (async () => {
      try {
        await work();
      } finally {
        this.#running = undefined;
      }
    })();
    this.#running = running;
    const next = (): void => this.poke();
    running.then(next, next);
    return running;
  }

  /** Carries out one compaction and tells the numbers of the tables it made. */
  async #compact(pick: CompactionPick): Promise<readonly number[]> {
    const background = this.#background;
    const { tree, retrier, metrics, clock, options } = background;
    const startedMs = clock.monotonic();
    const inputs = [...pick.upper, ...pick.lower];
    const failed = (error: LsmError): void => {
      metrics.compactionSeconds(pick.level, 'failed').observe((clock.monotonic() - startedMs) / 1000);
      background.compactionFailed(error, true);
      for (const tell of this.#impatient) tell(error);
      this.#impatient.clear();
    };
    // The inputs stay on disk for as long as the version that lists them is held.
    const version = tree.current;
    version.retain();
    try {
      const result = await retrier.run('Cannot compact', () => this.#tables(pick), failed);
      const edit: ManifestEdit = {
        removed: [
          ...pick.upper.map((table) => ({ level: pick.level, number: table.meta.number })),
          ...pick.lower.map((table) => ({ level: pick.outputLevel, number: table.meta.number })),
        ],
        added: result.tables.map((meta) => ({ level: pick.outputLevel, meta })),
      };
      await retrier.run('Cannot write the manifest', () => tree.install(edit), failed);
      this.#settle(inputs, pick, result);
      metrics.compacted(pick, result, clock.monotonic() - startedMs, clock.now());
      await background.forgetRanges();
      background.compactionSucceeded(this.#blocked.error);
      return result.tables.map((meta) => meta.number);
    } catch (thrown) {
      const error = toLsmError(thrown, 'Cannot compact');
      if (error.code !== 'LSM_CANCELLED') {
        metrics.compactionSeconds(pick.level, 'failed').observe((clock.monotonic() - startedMs) / 1000);
        this.#blocked.add(inputs, error, clock.monotonic());
        background.compactionFailed(error, options.autoCompact && this.#pick() === undefined);
      }
      throw error;
    } finally {
      version.release();
    }
  }

  /** The tables that are to be in the place of those picked. */
  async #tables(pick: CompactionPick): Promise<TaskResult> {
    if (pick.kind === 'drop') return { tables: [], bytesRead: 0, bytesWritten: 0 };
    if (pick.kind === 'move') {
      return { tables: pick.upper.map((table) => table.meta), bytesRead: 0, bytesWritten: 0 };
    }
    const { options, tree } = this.#background;
    const task = compactTask(this.#background, pick);
    const result = await options.executor.run(task);
    const last = result.tables.reduce((most, { number }) => Math.max(most, number + 1), task.firstNumber);
    tree.giveBack(last, task.firstNumber + task.numbers);
    return result;
  }

  /** Notes what the tables that were written, and those that are gone, mean for the picks to come. */
  #settle(inputs: readonly Table[], pick: CompactionPick, { tables }: TaskResult): void {
    this.#blocked.delete(inputs.map(({ meta }) => meta.number));
    let before = 0;
    let payoffMin = PAYOFF_MIN;
    for (const { meta } of inputs) {
      before += meta.entries;
      payoffMin = Math.max(payoffMin, this.#rests.get(meta.number)?.payoffMin ?? 0);
      this.#rests.delete(meta.number);
    }
    if (pick.reason !== 'tombstones' && pick.reason !== 'expired') return;
    const after = tables.reduce((sum, { entries }) => sum + entries, 0);
    // What was pushed down has come nearer to its end. What was rewritten in place has not, if little of it is gone.
    const isInPlace = pick.level === pick.outputLevel || pick.outputLevel === LAST_LEVEL;
    const rest = isInPlace ? restAfter(before, after, this.#background.snapshots.oldest, payoffMin) : undefined;
    if (rest !== undefined) for (const { number } of tables) this.#rests.set(number, rest);
  }
}
