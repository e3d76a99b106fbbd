// The log of one replica of a transcript. As in etcd's harness it has two ideas of a snapshot: the one its log begins
// with, and the latest state of the state machine, which is what a follower that is too far behind gets.

import { entryBytes } from '../../src/log.js';
import { EMPTY_CONFIG } from '../../src/membership.js';
import type { Entry, HardState, LogReader, Snapshot } from '../../src/types.js';

export class HistoryStorage implements LogReader {
  /** The state after each entry applied; the first is the one to start from. */
  readonly history: Snapshot[];
  #hardState: HardState = { term: 0, vote: 0, commit: 0 };
  #base: Snapshot;
  // Term of the entry before the first, and the entries.
  #before: { readonly term: number; readonly index: number };
  #entries: Entry[] = [];

  constructor(start: Snapshot) {
    this.history = [start];
    this.#base = start;
    this.#before = start;
  }

  initialState() {
    return { hardState: this.#hardState, config: this.#base.config ?? EMPTY_CONFIG };
  }

  firstIndex(): number {
    return this.#before.index + 1;
  }

  lastIndex(): number {
    return this.#before.index + this.#entries.length;
  }

  term(index: number): number | undefined {
    if (index === this.#before.index) return this.#before.term;
    return this.#entries[index - this.#before.index - 1]?.term;
  }

  entries(from: number, to: number, bytesMax: number): readonly Entry[] | undefined {
    if (from <= this.#before.index) return undefined;
    const found: Entry[] = [];
    let bytes = 0;
    for (let index = from; index < to; index++) {
      const entry = this.#entries[index - this.#before.index - 1];
      if (entry === undefined) throw new Error(`Entry ${index} was asked for, but ${this.lastIndex()} is the last.`);
      bytes += entryBytes(entry);
      if (found.length > 0 && bytes > bytesMax) break;
      found.push(entry);
    }
    return found;
  }

  snapshot(): Snapshot {
    return this.history.at(-1)!;
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  /** Replaces the whole log. Returns etcd's error text when the snapshot is older than what the log began with. */
  applySnapshot(snapshot: Snapshot): string | undefined {
    if (this.#base.index !== 0 && this.#base.index >= snapshot.index) {
      return 'requested index is older than the existing snapshot';
    }
    this.#base = snapshot;
    this.#before = snapshot;
    this.#entries = [];
    return undefined;
  }

  append(entries: readonly Entry[]): void {
    const kept = entries.filter((entry) => entry.index > this.#before.index);
    if (kept.length === 0) return;
    const at = kept[0]!.index - this.#before.index - 1;
    if (at > this.#entries.length) throw new Error(`Entry ${kept[0]!.index} leaves a gap behind ${this.lastIndex()}.`);
    this.#entries = [...this.#entries.slice(0, at), ...kept];
  }

  /** Forgets the entries up to `index`. Returns etcd's error text when they are forgotten already. */
  compact(index: number): string | undefined {
    if (index <= this.#before.index) return 'requested index is unavailable due to compaction';
    const term = this.term(index);
    if (term === undefined) throw new Error(`Compaction at ${index} is beyond the last entry, ${this.lastIndex()}.`);
    this.#entries = this.#entries.slice(index - this.#before.index);
    this.#before = { term, index };
    return undefined;
  }
}
