// What callers hold open: snapshots and cursors. A hold is what the database knows of one: what it keeps from being reclaimed. The handle
// is what the caller has. The database must not keep handles, so that one that is dropped without having been closed is collected,
// reported as a leak, and what it held is let go:
//
//   opened ─► young: handle kept ─ within half a second ─► watched: a FinalizationRegistry has the handle ─ collected ─► leaked
//     └─ closed ◄─┴──────────────────────────────────────────┘
//
// Watching costs more than opening and closing a snapshot, and most are closed at once. So handles are watched from the next sweep on.
// Holds are linked in the order of their opening: the first is the oldest, and the young ones are at the end.
import type { Clock, TimerHandle } from 'nori-io';

/** Handles are kept for no longer than this. */
const YOUNG_MS = 500;

/** One open snapshot or cursor; see the top of the file. Must not refer to its handle but for {@link Hold.handle}. */
export abstract class Hold {
  abstract readonly kind: 'snapshot' | 'cursor';
  readonly seq: number;
  readonly sinceMs: number;
  isOpen = true;
  /** While it is young. */
  handle: object | undefined;
  isWatched = false;
  before: Hold | undefined;
  after: Hold | undefined;
  readonly #list: HoldList;

  constructor(list: HoldList, seq: number) {
    this.#list = list;
    this.seq = seq;
    this.sinceMs = list.nowMs();
  }

  /** Lets go of what it holds; again does nothing. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#list.remove(this);
    this.letGo();
  }

  /** What closing it means. */
  protected abstract letGo(): void;
}

/** The holds of one database. */
export class HoldList {
  readonly #clock: Clock;
  readonly #registry: FinalizationRegistry<Hold>;
  #first: Hold | undefined;
  #last: Hold | undefined;
  #timer: TimerHandle | undefined;
  #isStopped = false;

  /** @param leaked told of a hold whose handle was collected */
  constructor(clock: Clock, leaked: (hold: Hold, openMs: number) => void) {
    this.#clock = clock;
    this.#registry = new FinalizationRegistry((hold) => {
      if (!hold.isOpen || this.#isStopped) return;
      const openMs = this.ageMs(hold);
      hold.close();
      leaked(hold, openMs);
    });
  }

  nowMs(): number {
    return this.#clock.monotonic();
  }

  ageMs(hold: Hold): number {
    return Math.max(0, this.nowMs() - hold.sinceMs);
  }

  /** From the oldest on. */
  *[Symbol.iterator](): Iterator<Hold> {
    for (let hold = this.#first; hold !== undefined; ) {
      const next: Hold | undefined = hold.after;
      yield hold;
      hold = next;
    }
  }

  /** Takes a hold that was just opened for `handle`. */
  add(hold: Hold, handle: object): void {
    hold.handle = handle;
    hold.before = this.#last;
    if (this.#last === undefined) this.#first = hold;
    else this.#last.after = hold;
    this.#last = hold;
    this.#timer ??= this.#clock.setTimer(YOUNG_MS, () => this.#sweep(), { unref: true });
  }

  /** Forgets a hold that is closed. */
  remove(hold: Hold): void {
    const { before, after } = hold;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    hold.before = hold.after = hold.handle = undefined;
    if (hold.isWatched) this.#registry.unregister(hold);
  }

  /** Ends watching: the database closes. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    for (const hold of this) hold.handle = undefined;
  }

  #sweep(): void {
    this.#timer = undefined;
    for (let hold = this.#last; hold?.handle !== undefined; hold = hold.before) {
      this.#registry.register(hold.handle, hold, hold);
      hold.isWatched = true;
      hold.handle = undefined;
    }
  }
}
