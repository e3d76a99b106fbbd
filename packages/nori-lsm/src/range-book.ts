// The range tombstones of an open database: those in the manifest, and those that are still with their memtables. Knows which of them
// are needed: a tombstone can go once there is nothing left for it to hide, or newer ones hide it all as well.
import { overlaps, type RangeTombstone, RangeTombstones } from './range-tombstones.js';
import type { SnapshotList } from './snapshots.js';
import type { TableMeta } from './table-meta.js';
import type { Version } from './version.js';

/** From so many on it is looked which of them newer ones make needless. */
const PRUNE_FROM = 1024;
/** So many at once are put into the set that is there; for more a set is made anew. */
const FEW = 8;
/** Tombstones looked at without letting others in between: about a millisecond. */
const LOOKS_AT_ONCE = 500;

/** See the top of the file. */
export class RangeBook {
  readonly #snapshots: SnapshotList;
  /** Undefined while nobody has asked for it since many were added. */
  #set: RangeTombstones | undefined;
  /** All of them, in the order of their sequence numbers, while there is no set. */
  #list: RangeTombstone[];

  constructor(durable: Iterable<RangeTombstone>, snapshots: SnapshotList) {
    this.#list = [...durable].sort((a, b) => a.seq - b.seq);
    this.#snapshots = snapshots;
  }

  /** All of them, as they are now. */
  get set(): RangeTombstones {
    this.#set ??= this.#make();
    return this.#set;
  }

  /** Takes note of tombstones that are newer than all. */
  add(added: readonly RangeTombstone[]): void {
    const set = this.#set;
    if (set !== undefined && added.length <= FEW) {
      const snapshots = this.#snapshots.sequences();
      this.#set = added.reduce((grown, one) => grown.with(one, snapshots), set);
      return;
    }
    if (set !== undefined) this.#list = [...set.list];
    this.#set = undefined;
    for (const one of added) this.#list.push(one);
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
    this.#list = (this.#set?.list ?? this.#list).filter(({ seq }) => !sequences.has(seq));
    this.#set = undefined;
  }

  /** After a flush: of those up to its last sequence number only those in the manifest are left. */
  flushed(lastSeq: number, durable: ReadonlyMap<number, RangeTombstone>): void {
    const list = this.#set?.list ?? this.#list;
    const left = list.filter(({ seq }) => seq > lastSeq || durable.has(seq));
    if (left.length === list.length) return;
    this.#list = left;
    this.#set = undefined;
  }

  /** Those in the manifest that are not needed any more. Lets others in between by `pause`; `current` is the version then. */
  async leaving(
    durable: readonly RangeTombstone[],
    current: () => Version,
    pause: () => Promise<void>,
  ): Promise<RangeTombstone[]> {
    const needed = this.#needed(durable);
    const gone: RangeTombstone[] = [];
    for (let i = 0; i < durable.length; i += LOOKS_AT_ONCE) {
      if (i > 0) await pause();
      for (const one of durable.slice(i, i + LOOKS_AT_ONCE))
        if (!needed(one) || isDone(one, current(), [])) gone.push(one);
    }
    return gone;
  }

  #make(): RangeTombstones {
    const snapshots = this.#snapshots.sequences();
    const set = RangeTombstones.of(this.#list, snapshots);
    return this.#list.length < PRUNE_FROM ? set : RangeTombstones.of(set.prunedList, snapshots);
  }

  /** Tells those of which newer ones of the same list do not hide everything from everyone; of a short list, all. */
  #needed(list: readonly RangeTombstone[]): (tombstone: RangeTombstone) => boolean {
    if (list.length < PRUNE_FROM) return () => true;
    const { needed } = RangeTombstones.of(list, this.#snapshots.sequences());
    return ({ seq }) => needed.has(seq);
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
