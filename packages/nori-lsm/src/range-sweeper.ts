// What a flush or compaction leaves out because a range tombstone hides it from every reader. The tombstones themselves are in the
// manifest, and stay there until no table has anything left for them (range-book.ts).
import { RangeProbe, type RangeTombstone, RangeTombstones } from './range-tombstones.js';
import type { Source } from './source.js';
import { stripeOf } from './version-filter.js';

/** Fed with entries in key order; see the top of the file. */
export class RangeSweeper {
  readonly #set: RangeTombstones;
  readonly #probe: RangeProbe;
  readonly #snapshots: readonly number[];
  #cleanSeq: number;

  /**
   * @param ranges all that may concern the entries, up to sequence number `rangesSeq`
   * @param snapshots sequence numbers of open snapshots, ascending
   */
  constructor(ranges: readonly RangeTombstone[], rangesSeq: number, snapshots: readonly number[]) {
    this.#set = RangeTombstones.of(ranges, snapshots);
    this.#probe = new RangeProbe(this.#set);
    this.#snapshots = snapshots;
    this.#cleanSeq = rangesSeq;
  }

  /** Nothing that was kept is hidden by a range tombstone up to this sequence number. */
  get cleanSeq(): number {
    return this.#cleanSeq;
  }

  /** True if nobody can see the current entry. */
  drops({ keyBytes, keyStart, keyLength, seq }: Source): boolean {
    if (seq >= this.#set.newestSeq) return false;
    const hiddenFrom = this.#set.oldestAbove(this.#probe.moveTo(keyBytes, keyStart, keyLength), seq);
    if (hiddenFrom === 0) return false;
    // No snapshot lies between the entry and what hides it.
    if (stripeOf(this.#snapshots, seq) === stripeOf(this.#snapshots, hiddenFrom)) return true;
    this.#cleanSeq = Math.min(this.#cleanSeq, hiddenFrom - 1);
    return false;
  }
}
