// How much of the time flushes and compactions may work, for databases that pace them: little while nothing presses, and more the
// nearer writers are to having to wait. So they take the disk and the processor from whoever shares them thinly and all the time, not
// in bursts of all there is. Main thread and workers share the words; workers look again after every rest.

/** Where a kind of task finds its share. */
export const PACED = { flush: 0, compact: 1 } as const;

/** Of the time, while nothing presses. */
const FLUSH_PERCENT_MIN = 20;
const COMPACT_PERCENT_MIN = 25;
/** A flush need not hurry while the memtable that is written to is no fuller than that. */
const FILLED_MIN = 0.2;

/** What presses. */
export interface Pressure {
  /** How full the memtable is that is written to, 0 to 1. */
  readonly filled: number;
  /** Memtables that wait for their flush, the one being flushed among them. */
  readonly sealed: number;
  readonly l0Tables: number;
  readonly l0Trigger: number;
  readonly l0Stop: number;
  /** Somebody waits for a flush itself. */
  readonly isAwaited: boolean;
}

/** The shares, in percent, by {@link PACED}. */
export class Pace {
  readonly shares = new Int32Array(new SharedArrayBuffer(8)).fill(100);

  set(pressure: Pressure): void {
    Atomics.store(this.shares, PACED.flush, flushPercent(pressure));
    Atomics.store(this.shares, PACED.compact, compactPercent(pressure));
  }
}

const flushPercent = ({ filled, sealed, isAwaited }: Pressure): number =>
  isAwaited || sealed > 1 ? 100 : between(FLUSH_PERCENT_MIN, (filled - FILLED_MIN) / (1 - FILLED_MIN));

const compactPercent = ({ l0Tables, l0Trigger, l0Stop }: Pressure): number =>
  l0Stop <= l0Trigger ? 100 : between(COMPACT_PERCENT_MIN, (l0Tables - l0Trigger) / (l0Stop - l0Trigger));

const between = (least: number, pressure: number): number =>
  Math.round(least + (100 - least) * Math.min(1, Math.max(0, pressure)));
