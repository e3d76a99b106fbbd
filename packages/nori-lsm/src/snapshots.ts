// Open snapshots: sequence numbers whose visible versions flushes and compactions must keep.
import { invalid } from './errors.js';
import { Hold, type HoldList } from './holds.js';
import type { Snapshot } from './types.js';

/** The snapshots of one database. */
export class SnapshotList {
  readonly #holds: HoldList;
  readonly #counts = new Map<number, number>();
  #size = 0;
  /** Called when no snapshot of a sequence number is left. */
  closed: () => void = () => {};

  constructor(holds: HoldList) {
    this.#holds = holds;
  }

  /** How many are open. */
  get size(): number {
    return this.#size;
  }

  /** Opens a snapshot of everything up to `seq`. */
  open(seq: number): Snapshot {
    this.#counts.set(seq, (this.#counts.get(seq) ?? 0) + 1);
    this.#size++;
    const hold = new SnapshotHold(this.#holds, seq, this);
    const handle = new SnapshotHandle(hold);
    this.#holds.add(hold, handle);
    return handle;
  }

  /** What a snapshot shows ends here. @throws LsmError `LSM_INVALID_ARGUMENT` if it is closed, or of another database */
  seqOf(snapshot: Snapshot): number {
    if (snapshot instanceof SnapshotHandle && snapshot.isOpenIn(this)) return snapshot.seq;
    throw invalid('A snapshot must be open, and of this database');
  }

  /** How long the oldest has been open, in milliseconds; 0 if none is. */
  get oldestMs(): number {
    if (this.#size === 0) return 0;
    for (const hold of this.#holds) if (hold.kind === 'snapshot') return this.#holds.ageMs(hold);
    return 0;
  }

  /** The smallest sequence number of any; infinite if none is open. */
  get oldest(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const seq of this.#counts.keys()) oldest = Math.min(oldest, seq);
    return oldest;
  }

  /** Their distinct sequence numbers, ascending. */
  sequences(): number[] {
    return [...this.#counts.keys()].sort((a, b) => a - b);
  }

  /** A snapshot of `seq` was closed. */
  release(seq: number): void {
    this.#size--;
    const left = this.#counts.get(seq)! - 1;
    if (left > 0) {
      this.#counts.set(seq, left);
      return;
    }
    this.#counts.delete(seq);
    this.closed();
  }
}

class SnapshotHold extends Hold {
  readonly kind = 'snapshot';
  readonly snapshots: SnapshotList;

  constructor(list: HoldList, seq: number, snapshots: SnapshotList) {
    super(list, seq);
    this.snapshots = snapshots;
  }

  protected letGo(): void {
    this.snapshots.release(this.seq);
  }
}

/** What the caller has. */
class SnapshotHandle implements Snapshot {
  readonly seq: number;
  readonly #hold: SnapshotHold;

  constructor(hold: SnapshotHold) {
    this.seq = hold.seq;
    this.#hold = hold;
  }

  isOpenIn(snapshots: SnapshotList): boolean {
    return this.#hold.isOpen && this.#hold.snapshots === snapshots;
  }

  close(): void {
    this.#hold.close();
  }

  [Symbol.dispose](): void {
    this.#hold.close();
  }
}
