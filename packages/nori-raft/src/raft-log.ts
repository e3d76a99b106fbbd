// The log of one replica: what is durable (in the storage) and behind it what is not yet.
//
//   compacted | storage ............... | in progress ...... | not handed out yet
//             first                       offset               offsetInProgress        last
//
// `applied <= applying <= committed <= last`. Entries "in progress" were handed out by a Ready and are being written;
// they become durable by `stableTo`. A snapshot received from the leader is unstable too, and then the log behind it
// starts anew.
import { entriesBytes, entryBytes, fittingCount } from './entry-size.js';
import { RaftError } from './errors.js';
import { NO_ENTRIES } from './message.js';
import type { Entry, LogReader, Snapshot } from './types.js';

export class RaftLog {
  readonly storage: LogReader;
  /** Known to be on a quorum. */
  committed: number;
  /** Handed out to be applied. */
  applying: number;
  applied: number;

  #last: number;
  #snapshot: Snapshot | undefined;
  #snapshotInProgress = false;
  #entries: Entry[] = [];
  /** Index of the first of #entries. */
  #offset: number;
  #offsetInProgress: number;

  readonly #applyingBytesMax: number;
  #applyingBytes = 0;
  #applyingPaused = false;

  constructor(storage: LogReader, applyingBytesMax: number) {
    this.storage = storage;
    this.#applyingBytesMax = applyingBytesMax;
    const first = storage.firstIndex();
    this.#last = storage.lastIndex();
    this.#offset = this.#last + 1;
    this.#offsetInProgress = this.#offset;
    this.committed = first - 1;
    this.applying = first - 1;
    this.applied = first - 1;
  }

  get lastIndex(): number {
    return this.#last;
  }

  get firstIndex(): number {
    return this.#snapshot === undefined ? this.storage.firstIndex() : this.#snapshot.index + 1;
  }

  get lastTerm(): number {
    const term = this.term(this.#last);
    if (term === undefined) throw corrupt(`it does not know the term of its last entry, ${this.#last}`);
    return term;
  }

  /** Term of the entry at `index`; undefined when it is compacted or not there. */
  term(index: number): number | undefined {
    if (index >= this.#offset) {
      const i = index - this.#offset;
      if (i < this.#entries.length) return this.#entries[i]!.term;
      if (index > this.#last) return undefined;
    } else if (this.#snapshot !== undefined) {
      return this.#snapshot.index === index ? this.#snapshot.term : undefined;
    }
    if (index > this.#last) return undefined;
    return this.storage.term(index);
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends so is at least as good as this one (Raft, 5.4.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    const ours = this.lastTerm;
    return lastTerm > ours || (lastTerm === ours && lastIndex >= this.#last);
  }

  /**
   * Appends what a leader sent, unless the log does not hold (index, logTerm). Entries that are there already stay as
   * they are: a delayed message must not cut off what came after it.
   * @returns whether the log now holds all of it
   */
  maybeAppend(index: number, logTerm: number, entries: readonly Entry[], commit: number): boolean {
    if (!this.matches(index, logTerm)) return false;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      if (this.matches(entry.index, entry.term)) continue;
      if (entry.index <= this.committed) {
        throw corrupt(
          `entry ${entry.index} of term ${entry.term} contradicts a committed one (commit ${this.committed})`,
        );
      }
      this.append(i === 0 ? entries : entries.slice(i));
      break;
    }
    this.commitTo(Math.min(commit, index + entries.length));
    return true;
  }

  /** Appends, cutting off what is there from the first entry's index on. */
  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const first = entries[0]!.index;
    if (first <= this.committed) throw corrupt(`entry ${first} is committed (commit ${this.committed})`);
    if (first > this.#last + 1) throw corrupt(`entry ${first} leaves a gap behind ${this.#last}`);
    if (first <= this.#offset) {
      // Replaces durable entries, or follows them directly.
      this.#offset = first;
      this.#offsetInProgress = Math.min(this.#offsetInProgress, first);
      this.#entries = entries.slice();
    } else {
      const kept = first - this.#offset;
      if (kept < this.#entries.length) this.#entries.length = kept;
      this.#offsetInProgress = Math.min(this.#offsetInProgress, first);
      for (let i = 0; i < entries.length; i++) this.#entries.push(entries[i]!);
    }
    this.#last = first + entries.length - 1;
  }

  /**
   * The last position at or before `index` whose term is at most `term`: where logs that differ may agree.
   * Its term is 0 when the position is compacted.
   */
  findConflictByTerm(index: number, term: number): { readonly index: number; readonly term: number } {
    for (let i = index; i > 0; i--) {
      const ours = this.term(i);
      if (ours === undefined) return { index: i, term: 0 };
      if (ours <= term) return { index: i, term: ours };
    }
    return { index: 0, term: 0 };
  }

  commitTo(index: number): void {
    if (index <= this.committed) return;
    if (index > this.#last) throw corrupt(`commit ${index} lies behind its end, ${this.#last}`);
    this.committed = index;
  }

  /** Commits up to `index` if its entry is of `term`; says whether that changed anything. */
  maybeCommit(index: number, term: number): boolean {
    if (index <= this.committed || !this.matches(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  /** Entries from `from` on, as many as fit in `bytesMax`, at least one; undefined when they are compacted. */
  entriesFrom(from: number, bytesMax: number): readonly Entry[] | undefined {
    return from > this.#last ? NO_ENTRIES : this.slice(from, this.#last + 1, bytesMax);
  }

  /** As many of the entries in [from, to) as fit in `bytesMax`, at least one; undefined when they are compacted. */
  slice(from: number, to: number, bytesMax: number): readonly Entry[] | undefined {
    if (from < this.firstIndex) return undefined;
    if (from >= to) return NO_ENTRIES;
    const offset = this.#offset;
    if (from >= offset) {
      const start = from - offset;
      return this.#entries.slice(start, start + fittingCount(this.#entries, start, to - offset, bytesMax));
    }
    const cut = Math.min(to, offset);
    const stored = this.storage.entries(from, cut, bytesMax);
    if (stored === undefined || stored.length < cut - from || to <= offset) return stored;
    const bytes = entriesBytes(stored);
    const room = bytesMax - bytes;
    if (room < entryBytes(this.#entries[0]!)) return stored;
    return stored.concat(this.#entries.slice(0, fittingCount(this.#entries, 0, to - offset, room)));
  }

  /** Entries up to here are durable. */
  get durable(): number {
    return this.#offset - 1;
  }

  // What a Ready hands out.

  /** Whether entries wait to be written or are being written. */
  get hasUnstableEntries(): boolean {
    return this.#entries.length > 0;
  }

  get hasNextUnstable(): boolean {
    return this.#offsetInProgress - this.#offset < this.#entries.length;
  }

  nextUnstable(): readonly Entry[] {
    return this.hasNextUnstable ? this.#entries.slice(this.#offsetInProgress - this.#offset) : NO_ENTRIES;
  }

  /** A received snapshot that no Ready has handed out yet. */
  get nextSnapshot(): Snapshot | undefined {
    return this.#snapshotInProgress ? undefined : this.#snapshot;
  }

  /** A snapshot received and not installed yet. */
  get pendingSnapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  acceptUnstable(): void {
    if (this.#entries.length > 0) this.#offsetInProgress = this.#offset + this.#entries.length;
    if (this.#snapshot !== undefined) this.#snapshotInProgress = true;
  }

  #maxAppliable(allowUnstable: boolean): number {
    return allowUnstable ? this.committed : Math.min(this.committed, this.#offset - 1);
  }

  hasNextCommitted(allowUnstable: boolean): boolean {
    return !this.#applyingPaused && this.#snapshot === undefined && this.applying < this.#maxAppliable(allowUnstable);
  }

  nextCommitted(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommitted(allowUnstable)) return NO_ENTRIES;
    const to = this.#maxAppliable(allowUnstable) + 1;
    const entries = this.slice(this.applying + 1, to, this.#applyingBytesMax - this.#applyingBytes);
    if (entries === undefined)
      throw corrupt(`committed entry ${this.applying + 1} was compacted before it was applied`);
    return entries;
  }

  acceptApplying(entries: readonly Entry[], allowUnstable: boolean): void {
    this.applying = entries[entries.length - 1]!.index;
    this.#applyingBytes += entriesBytes(entries);
    // What did not fit waits until something has been applied.
    this.#applyingPaused =
      this.#applyingBytes >= this.#applyingBytesMax || this.applying < this.#maxAppliable(allowUnstable);
  }

  // What has been done with it.

  appliedTo(index: number, bytes: number): void {
    this.applied = index;
    if (this.applying < index) this.applying = index;
    this.#applyingBytes = Math.max(0, this.#applyingBytes - bytes);
    this.#applyingPaused = this.#applyingBytes >= this.#applyingBytesMax;
  }

  /**
   * Entries up to `index` are durable, if the one there still is of `term`: else they were replaced meanwhile, and the
   * report is of entries that are gone.
   */
  stableTo(index: number, term: number): void {
    const count = index + 1 - this.#offset;
    if (count <= 0 || count > this.#entries.length) return;
    if (this.#entries[count - 1]!.term !== term) return;
    this.#entries = count === this.#entries.length ? [] : this.#entries.slice(count);
    this.#offset = index + 1;
    if (this.#offsetInProgress < this.#offset) this.#offsetInProgress = this.#offset;
  }

  /** The snapshot at `index` is installed and durable. */
  stableSnapshotTo(index: number): void {
    if (this.#snapshot?.index !== index) return;
    this.#snapshot = undefined;
    this.#snapshotInProgress = false;
  }

  /** Starts anew behind a snapshot. */
  restore(snapshot: Snapshot): void {
    this.committed = snapshot.index;
    this.#offset = snapshot.index + 1;
    this.#offsetInProgress = this.#offset;
    this.#entries = [];
    this.#last = snapshot.index;
    this.#snapshot = snapshot;
    this.#snapshotInProgress = false;
  }

  /** Whether a configuration change is committed and not applied: until then this replica does not know who votes. */
  hasUnappliedConfChange(): boolean {
    return this.hasConfChange(this.applied + 1, this.committed);
  }

  /** Whether there is a configuration change among the entries from `first` to `to`, both included. */
  hasConfChange(first: number, to: number): boolean {
    let from = first;
    while (from <= to) {
      const entries = this.slice(from, to + 1, this.#applyingBytesMax);
      // Compacted: it waits to be applied by way of a snapshot.
      if (entries === undefined) return true;
      for (let i = 0; i < entries.length; i++) if (entries[i]!.type === 'conf-change') return true;
      from += entries.length;
    }
    return false;
  }
}

function corrupt(what: string): RaftError {
  return new RaftError(
    'RAFT_CORRUPT_STATE',
    `The log contradicts itself: ${what}. Stop this replica; restore it from another one.`,
  );
}
