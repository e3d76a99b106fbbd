// All deadlines of a client with one timer: a hashed wheel of 10 ms slots, each a doubly linked list through the entries
// themselves, so that adding and removing cost neither an allocation nor a search. Entries fire at most one slot late.

/** What can be put on the wheel. The fields belong to the wheel. */
export interface DeadlineEntry {
  /** When to fire, in whole milliseconds of the clock given to the wheel. */
  dueMs: number;
  wheelPrevious: DeadlineEntry | undefined;
  wheelNext: DeadlineEntry | undefined;
  /** -1: not on the wheel. */
  wheelSlot: number;
}

const SLOT_MS = 10;
const SLOTS = 2048;
/** A sweep this late means that the event loop stood still: answers may lie in the socket, and are read first. */
const LATE_MS = 100;

/** A timer wheel for entries of one kind. */
export class Deadlines<Entry extends DeadlineEntry> {
  readonly #heads: (DeadlineEntry | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #now: () => number;
  readonly #onDue: (entry: Entry) => void;
  #size = 0;
  /** All slots up to this time have been swept. */
  #sweptMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #armedMs = 0;

  /**
   * @param now monotonic milliseconds
   * @param onDue called with each entry when its time has come, after it was taken off the wheel
   */
  constructor(now: () => number, onDue: (entry: Entry) => void) {
    this.#now = now;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#size;
  }

  /** Puts an entry on the wheel by its `dueMs`. */
  add(entry: Entry): void {
    const slot = Math.floor(Math.max(entry.dueMs, this.#sweptMs) / SLOT_MS) % SLOTS;
    const head = this.#heads[slot];
    entry.wheelSlot = slot;
    entry.wheelPrevious = undefined;
    entry.wheelNext = head;
    if (head !== undefined) head.wheelPrevious = entry;
    this.#heads[slot] = entry;
    this.#size++;
    if (this.#timer === undefined) {
      if (this.#size === 1) this.#sweptMs = Math.min(Math.floor(this.#now()), entry.dueMs);
      this.#arm();
    }
  }

  /** Takes an entry off the wheel; does nothing if it is not on it. */
  remove(entry: Entry): void {
    if (entry.wheelSlot < 0) return;
    const { wheelPrevious: previous, wheelNext: next } = entry;
    if (previous === undefined) this.#heads[entry.wheelSlot] = next;
    else previous.wheelNext = next;
    if (next !== undefined) next.wheelPrevious = previous;
    entry.wheelPrevious = entry.wheelNext = undefined;
    entry.wheelSlot = -1;
    this.#size--;
  }

  /** All entries on the wheel, in no order. */
  entries(): Entry[] {
    const all: Entry[] = [];
    for (const head of this.#heads) {
      for (let entry = head; entry !== undefined; entry = entry.wheelNext) all.push(entry as Entry);
    }
    return all;
  }

  /** Stops the timer and forgets all entries. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#heads.fill(undefined);
    this.#size = 0;
  }

  #arm(): void {
    this.#armedMs = this.#now();
    this.#timer = setTimeout(this.#tick, SLOT_MS);
  }

  readonly #tick = (): void => {
    if (this.#now() - this.#armedMs > LATE_MS) setImmediate(this.#sweep);
    else this.#sweep();
  };

  readonly #sweep = (): void => {
    if (this.#timer === undefined) return;
    const now = this.#now();
    const first = Math.floor(this.#sweptMs / SLOT_MS);
    const last = Math.min(Math.floor(now / SLOT_MS), first + SLOTS - 1);
    for (let slot = first; slot <= last; slot++) this.#sweepSlot(slot % SLOTS, now);
    this.#sweptMs = now;
    this.#timer = undefined;
    if (this.#size > 0) this.#arm();
  };

  #sweepSlot(slot: number, now: number): void {
    let due: Entry[] | undefined;
    for (let entry = this.#heads[slot]; entry !== undefined; entry = entry.wheelNext) {
      if (entry.dueMs <= now) (due ??= []).push(entry as Entry);
    }
    if (due === undefined) return;
    for (const entry of due) {
      // Firing one entry may remove or move another.
      if (entry.wheelSlot !== slot || entry.dueMs > now) continue;
      this.remove(entry);
      this.#onDue(entry);
    }
  }
}
