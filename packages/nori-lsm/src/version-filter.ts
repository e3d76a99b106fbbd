// Decides which versions of a key a flush or compaction keeps. Fed with entries in order (key ascending, sequence number
// descending), it keeps, for each open snapshot and for the present, the one version that is visible to it.
//
// Sequence numbers fall into stripes, divided by the snapshots: a stripe holds what one more snapshot than the next can
// see. Of each stripe only the newest entry of a key can ever be seen. A tombstone in the oldest stripe hides only
// what lies in older tables: where there is none, it goes, and with it everything it hid.

/** What to do with an entry. */
export const VERDICT = { keep: 0, drop: 1, makeTombstone: 2 } as const;

/** See the top of the file. */
export class VersionFilter {
  readonly #snapshots: readonly number[];
  /** Stripe of the entry of the current key that was last kept or dropped as its stripe's newest; -1: none yet. */
  #stripe = -1;

  /** @param snapshots sequence numbers of open snapshots, ascending */
  constructor(snapshots: readonly number[]) {
    this.#snapshots = snapshots;
  }

  /** Begins the next key. */
  nextKey(): void {
    this.#stripe = -1;
  }

  /** True if the next entry is the newest of its key here, and no snapshot sees it. */
  isPresent(seq: number): boolean {
    return this.#stripe === -1 && stripeOf(this.#snapshots, seq) === this.#snapshots.length;
  }

  /**
   * @param isTombstone the entry is a tombstone
   * @param isExpired the entry is a put that expired for good
   * @param isBottom nothing older than these entries can hold this key
   */
  judge(seq: number, isTombstone: boolean, isExpired: boolean, isBottom: boolean): number {
    const stripe = stripeOf(this.#snapshots, seq);
    if (stripe === this.#stripe) return VERDICT.drop;
    this.#stripe = stripe;
    if (!isTombstone && !isExpired) return VERDICT.keep;
    if (isBottom && stripe === 0) return VERDICT.drop;
    return isTombstone ? VERDICT.keep : VERDICT.makeTombstone;
  }
}

/** Number of snapshots (ascending) below `seq`: those cannot see it. */
export const stripeOf = (snapshots: readonly number[], seq: number): number => {
  if (snapshots.length === 0) return 0;
  let low = 0;
  let high = snapshots.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (snapshots[middle]! < seq) low = middle + 1;
    else high = middle;
  }
  return low;
};
