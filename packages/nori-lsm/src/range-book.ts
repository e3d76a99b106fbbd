// The range tombstones of an open database: those in the manifest, and those that are still with their memtables. Knows which of them
// are needed: a tombstone can go once there is nothing left for it to hide, or newer ones hide it all as well.
import { overlaps, type RangeTombstone, RangeTombstones } from './range-tombstones.js';
import type { SnapshotList } from './snapshots.js';
import type { TableMeta } from './table-meta.js';
import type { Version } from './version.js';

/** With fewer than this nobody looks for what newer ones make needless. */
const PRUNE_FROM = 1024;
const FEW = 8;
/** Tombstones looked at after a flush or compaction, at most: a few milliseconds. */
const LOOKS_MAX = 1000;

/** See the top of the file. */
export class RangeBook {
  readonly #snapshots: SnapshotList;
  /** In the order of their sequence numbers. */
  #list: readonly RangeTombstone[];
  /** The set of the list; made when it is needed. */
  #set: RangeTombstones | undefined;
  #pruneAt = PRUNE_FROM;
  #nextLook = 0;

  constructor(durable: Iterable<RangeTombstone>, snapshots: SnapshotList) {
    this.#list = [...durable].sort((a, b) => a.seq - b.seq);
    this.#snapshots = snapshots;
  }

  /** All of them, as they are now. */
  get set(): RangeTombstones {
    this.#set ??= RangeTombstones.of(this.#list);
    return this.#set;
  }

  /** Takes note of tombstones that are newer than all. */
  add(added: readonly RangeTombstone[]): void {
    // A few are put into the set that is there; many, as at the replay of a log, into one that is made once.
    const isFew = added.length <= FEW;
    this.#set = isFew ? this.#set && added.reduce((set, tombstone) => set.with(tombstone), this.#set) : undefined;
    this.#list = this.#set?.list ?? [...this.#list, ...added];
    if (this.#list.length >= this.#pruneAt) this.#prune();
  }

  /**
   * Those of a memtable that the manifest must list: some table, of the version or beside it, has something for them to hide. What newer
   * memtables have does not count: a crash may lose it.
   */
  needed(of: readonly RangeTombstone[], version: Version, tables: readonly TableMeta[]): RangeTombstone[] {
    const needed = this.#needed(of);
    return of.filter((tombstone) => needed(tombstone) && !isDone(tombstone, version, tables));
  }

  /** Forgets some: there is nothing left for them to hide. */
  forget(gone: readonly RangeTombstone[]): void {
    if (gone.length === 0) return;
    const sequences = new Set(gone.map(({ seq }) => seq));
    this.#list = this.#list.filter(({ seq }) => !sequences.has(seq));
    this.#set = undefined;
  }

  /** Those in the manifest that are not needed any more. Looks at some of them each time. */
  leaving(durable: ReadonlyMap<number, RangeTombstone>, version: Version): RangeTombstone[] {
    const all = [...durable.values()];
    const needed = this.#needed(all);
    const first = all.length <= LOOKS_MAX ? 0 : this.#nextLook % all.length;
    this.#nextLook = first + LOOKS_MAX;
    return all.slice(first, first + LOOKS_MAX).filter((each) => !needed(each) || isDone(each, version, []));
  }

  /** Tells those of which newer ones of the same list do not hide everything from everyone; of a short list, all. */
  #needed(list: readonly RangeTombstone[]): (tombstone: RangeTombstone) => boolean {
    if (list.length < PRUNE_FROM) return () => true;
    const needed = RangeTombstones.of(list).needed(this.#snapshots.sequences());
    return ({ seq }) => needed.has(seq);
  }

  /** Drops those of which newer ones hide everything from everyone. */
  #prune(): void {
    this.#list = this.#list.filter(this.#needed(this.#list));
    this.#set = undefined;
    this.#pruneAt = Math.max(PRUNE_FROM, 2 * this.#list.length);
  }
}

/** True if no table has anything that the tombstone hides. */
const isDone = (tombstone: RangeTombstone, version: Version, tables: readonly TableMeta[]): boolean => {
  const { seq, start, end } = tombstone;
  const isClean = (meta: TableMeta): boolean => meta.smallestSeq >= seq || meta.cleanSeq >= seq;
  if (tables.some((meta) => !isClean(meta) && overlaps(tombstone, meta.smallestKey, meta.largestKey))) return false;
  return version.levels.every((_, level) =>
    version.overlappingRange(level, start, end).every((table) => isClean(table.meta)),
  );
};
