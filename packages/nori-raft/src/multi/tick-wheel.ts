// Which groups have something to do by themselves, and at which tick: a ring of slots, one a tick, so that the groups that
// have nothing to do are not even looked at.

/** Slots, a power of two. Who is due later than the ring reaches is looked at once a round. */
const SLOTS = 64;

/** What the wheel keeps with each item. */
export interface Ticking {
  /** The tick at which it is to be called. Tell the wheel when it comes earlier than it did. */
  dueTick: number;
  /** For the wheel: the tick in whose slot it stands. */
  slotTick: number;
}

export class TickWheel<T extends Ticking> {
  readonly #slots: T[][] = Array.from({ length: SLOTS }, () => []);
  #tick = 0;

  /** Makes sure that `item` is called at its `dueTick`, or at the next tick if that has passed. */
  add(item: T): void {
    const tick = Math.min(Math.max(item.dueTick, this.#tick + 1), this.#tick + SLOTS - 1);
    if (item.slotTick > this.#tick && item.slotTick <= tick) return;
    // Where it stood before, it is passed over: `slotTick` tells.
    item.slotTick = tick;
    this.#slots[tick % SLOTS]!.push(item);
  }

  /**
   * Tick number `tick` has come, one more than the last.
   * @param call does what is due and sets `dueTick` anew; false: the item is not wanted any more
   */
  advance(tick: number, call: (item: T) => boolean): void {
    this.#tick = tick;
    const at = tick % SLOTS;
    const items = this.#slots[at]!;
    if (items.length === 0) return;
    this.#slots[at] = [];
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!;
      if (item.slotTick !== tick) continue;
      // It may stand in this slot twice.
      item.slotTick = 0;
      if (item.dueTick > tick || call(item)) this.add(item);
    }
  }
}
