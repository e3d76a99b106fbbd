// Tables whose compaction failed for good, as far as one can tell: they are left alone for a while, longer each time, and the
// others are compacted meanwhile. Whoever mends the cause (restores a file) need not open the database again.
import { basename } from 'node:path';
import type { LsmError } from './errors.js';
import type { Table } from './table.js';
import { tableNumber } from './table-meta.js';

const FIRST_DELAY_MS = 1_000;
const LAST_DELAY_MS = 300_000;

interface Blocked {
  readonly error: LsmError;
  readonly untilMs: number;
  readonly delayMs: number;
}

/** See the top of the file. Times are monotonic. */
export class BlockedTables {
  readonly #tables = new Map<number, Blocked>();

  /** Leaves the culprits alone from now on: the table that the error names, or all that took part. */
  add(tables: readonly Table[], error: LsmError, nowMs: number): void {
    const named = error.file === undefined ? undefined : tableNumber(basename(error.file));
    const numbers = tables.map(({ meta }) => meta.number);
    for (const number of named !== undefined && numbers.includes(named) ? [named] : numbers) {
      const before = this.#tables.get(number)?.delayMs ?? FIRST_DELAY_MS / 2;
      const delayMs = Math.min(before * 2, LAST_DELAY_MS);
      this.#tables.set(number, { error, untilMs: nowMs + delayMs, delayMs });
    }
  }

  /** Forgets tables that were compacted after all, or are gone. */
  delete(numbers: Iterable<number>): void {
    for (const number of numbers) this.#tables.delete(number);
  }

  /** Forgets tables whose next try is due but that nothing asks for. Returns true if there were any. */
  forgetDue(nowMs: number): boolean {
    const due = [...this.#tables].filter(([, { untilMs }]) => untilMs <= nowMs);
    this.delete(due.map(([number]) => number));
    return due.length > 0;
  }

  isBlocked(number: number, nowMs: number): boolean {
    const blocked = this.#tables.get(number);
    return blocked !== undefined && blocked.untilMs > nowMs;
  }

  /** The trouble of the table that failed last; undefined if there is none. */
  get error(): LsmError | undefined {
    return [...this.#tables.values()].at(-1)?.error;
  }

  /** When the first table is to be tried again. */
  get nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#tables.values()) next = Math.min(next, untilMs);
    return next;
  }

  get size(): number {
    return this.#tables.size;
  }
}
