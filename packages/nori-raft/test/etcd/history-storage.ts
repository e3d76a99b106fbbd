// The log of one replica of a transcript. As in etcd's harness it has two ideas of a snapshot: the one its log begins
// with, and the latest state of the state machine, which is what a follower that is too far behind gets.
import { MemoryStorage } from '../../src/memory-storage.js';
import type { Entry, Snapshot } from '../../src/types.js';

export class HistoryStorage extends MemoryStorage {
  /** The state after each entry applied; the first is the one to start from. */
  readonly history: Snapshot[];

  /** @param start index 0: nothing */
  constructor(start: Snapshot) {
    super();
    this.history = [start];
    if (start.index > 0) this.applySnapshot(start);
  }

  override snapshot(): Snapshot {
    return this.history.at(-1)!;
  }

  /** Replaces the whole log. Returns etcd's error text when the snapshot is older than the one the log began with. */
  install(snapshot: Snapshot): string | undefined {
    const base = super.snapshot();
    if (base !== undefined && base.index >= snapshot.index) {
      return 'requested index is older than the existing snapshot';
    }
    this.applySnapshot(snapshot);
    return undefined;
  }

  override append(entries: readonly Entry[]): void {
    super.append(entries.filter(({ index }) => index >= this.firstIndex()));
  }

  /** Forgets the entries up to `index`. Returns etcd's error text when they are forgotten already. */
  forget(index: number): string | undefined {
    if (index < this.firstIndex()) return 'requested index is unavailable due to compaction';
    this.compact(index);
    return undefined;
  }
}
