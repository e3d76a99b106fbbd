// What a log says after some of its records: hard state, snapshot, entries. The storage keeps one of what the core may
// read and one of what is durable; recovery builds one from the disk.
import type { ConfState, Entry, HardState, Snapshot } from '../../src/index.js';

/** One record of the log: what one Ready asks to be stored, as a whole or not at all. */
export interface LogRecord {
  readonly hardState: HardState | undefined;
  /** Replace what is there from the first entry's index on. */
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | undefined;
  /** The log starts anew behind this entry, before `entries`. Else a snapshot leaves the entries alone. */
  readonly base: { readonly index: number; readonly term: number } | undefined;
}

export const NO_CONFIG: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

export class LogImage {
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  snapshot: Snapshot | undefined;
  /** The entry before the first that is kept. */
  baseIndex = 0;
  baseTerm = 0;
  entries: Entry[] = [];

  get lastIndex(): number {
    return this.baseIndex + this.entries.length;
  }

  get snapshotIndex(): number {
    return this.snapshot === undefined ? 0 : this.snapshot.index;
  }

  term(index: number): number | undefined {
    const i = index - this.baseIndex;
    return i === 0 ? this.baseTerm : this.entries[i - 1]?.term;
  }

  /** Whether the log holds this entry, or has it behind itself. */
  holds(index: number, term: number): boolean {
    return index <= this.snapshotIndex || this.term(index) === term;
  }

  apply(record: LogRecord): void {
    const { hardState, entries, snapshot, base } = record;
    if (base !== undefined) {
      this.baseIndex = base.index;
      this.baseTerm = base.term;
      this.entries = [];
      this.snapshot = snapshot;
    } else if (snapshot !== undefined && snapshot.index > this.snapshotIndex) {
      this.snapshot = snapshot;
    }
    if (entries.length > 0) {
      const at = entries[0]!.index - this.baseIndex - 1;
      if (at < 0 || at > this.entries.length) {
        throw new Error(`Entry ${entries[0]!.index} does not follow (${this.baseIndex}, ${this.lastIndex}].`);
      }
      this.entries.length = at;
      for (let i = 0; i < entries.length; i++) this.entries.push(entries[i]!);
    }
    if (hardState !== undefined) this.hardState = hardState;
  }

  /** Drops the entries up to and including `index`. */
  compactTo(index: number): void {
    const count = index - this.baseIndex;
    if (count <= 0) return;
    this.baseTerm = this.term(index)!;
    this.baseIndex = index;
    this.entries.splice(0, count);
  }

  /** All of it as one record. */
  toRecord(): LogRecord {
    return {
      hardState: this.hardState,
      entries: this.entries.slice(),
      snapshot: this.snapshot,
      base: { index: this.baseIndex, term: this.baseTerm },
    };
  }

  static from(record: LogRecord): LogImage {
    const image = new LogImage();
    image.apply(record);
    return image;
  }
}
