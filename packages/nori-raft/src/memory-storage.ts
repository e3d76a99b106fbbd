// A log in memory: for tests, for examples, and to learn from what the core expects of a storage.
import { fittingCount } from './entry-size.js';
import { RaftError } from './errors.js';
import { EMPTY_CONFIG } from './membership.js';
import { NO_ENTRIES } from './message.js';
import type { ConfState, Entry, EntryId, HardState, LogReader, Ready, Snapshot } from './types.js';

const NO_DATA = new Uint8Array(0);

/** A {@link LogReader} that forgets everything when the process ends. */
export class MemoryStorage implements LogReader {
  #hardState: HardState = { term: 0, vote: 0, commit: 0 };
  #config: ConfState = EMPTY_CONFIG;
  /** Stands before the first entry: (term, index) of the entry that was compacted last. */
  #dummy: EntryId = { term: 0, index: 0 };
  #entries: Entry[] = [];
  #snapshot: Snapshot | undefined;

  /**
   * @param config the configuration of a new group, the same at all its first replicas. The log then begins behind a
   * snapshot at (term 1, index 1) that holds it, so that replicas that join later receive it. These start without one.
   */
  constructor(config?: Partial<ConfState>) {
    if (config?.voters === undefined || config.voters.length === 0) return;
    this.applySnapshot({ term: 1, index: 1, config: { ...EMPTY_CONFIG, ...config }, data: NO_DATA });
    this.#hardState = { term: 1, vote: 0, commit: 1 };
  }

  initialState(): { hardState: HardState; config: ConfState } {
    return { hardState: this.#hardState, config: this.#config };
  }

  firstIndex(): number {
    return this.#dummy.index + 1;
  }

  lastIndex(): number {
    return this.#dummy.index + this.#entries.length;
  }

  term(index: number): number | undefined {
    const i = index - this.#dummy.index;
    return i === 0 ? this.#dummy.term : this.#entries[i - 1]?.term;
  }

  entries(from: number, to: number, bytesMax: number): readonly Entry[] | undefined {
    const start = from - this.#dummy.index - 1;
    if (start < 0) return undefined;
    const end = Math.min(to - this.#dummy.index - 1, this.#entries.length);
    if (start >= end) return NO_ENTRIES;
    return this.#entries.slice(start, start + fittingCount(this.#entries, start, end, bytesMax));
  }

  snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** Stores what a Ready asks to be stored. */
  store(ready: Pick<Ready, 'hardState' | 'snapshot' | 'entries'>): void {
    if (ready.snapshot !== undefined) this.applySnapshot(ready.snapshot);
    this.append(ready.entries);
    if (ready.hardState !== undefined) this.setHardState(ready.hardState);
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  /** Appends, replacing what is there from the first entry's index on. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const at = first.index - this.#dummy.index - 1;
    if (at < 0 || at > this.#entries.length) {
      throw new RaftError(
        'RAFT_MISUSE',
        `Entry ${first.index} cannot follow a log that ends at ${this.lastIndex()} and begins at ${this.firstIndex()}.`,
      );
    }
    this.#entries.length = at;
    for (const entry of entries) this.#entries.push(entry);
  }

  /** Replaces the whole log by a snapshot. */
  applySnapshot(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#config = snapshot.config;
    this.#dummy = { term: snapshot.term, index: snapshot.index };
    this.#entries = [];
    if (this.#hardState.commit < snapshot.index) this.#hardState = { ...this.#hardState, commit: snapshot.index };
  }

  /** Keeps a snapshot of the state machine as of `index`, which must be in the log, to be sent to followers far behind. */
  createSnapshot(index: number, config: ConfState, data: Uint8Array = NO_DATA): Snapshot {
    const term = this.term(index);
    if (term === undefined) throw new RaftError('RAFT_MISUSE', `There is no entry ${index} to take a snapshot of.`);
    this.#snapshot = { index, term, config, data };
    this.#config = config;
    return this.#snapshot;
  }

  /** Drops the entries up to and including `index`. Followers that need them get a snapshot instead. */
  compact(index: number): void {
    const term = this.term(index);
    if (term === undefined) throw new RaftError('RAFT_MISUSE', `There is no entry ${index} to compact to.`);
    this.#entries = this.#entries.slice(index - this.#dummy.index);
    this.#dummy = { term, index };
  }
}
