// The log of one group in memory: what its core reads. It shows a write at once; a write that fails is taken back.
//
//   compacted | entries ...................... |
//             start (term, index)              lastIndex
//
// Entries lie in one array. Compaction moves a head through it and clears what it passes; the array is cut when half of it is
// empty, so that it costs a constant per entry. A group at rest has a handful of fields and no entries: there are a thousand.
//
// *Marks* say where in the log on disk the entries are, by the span (checkpoint to checkpoint) they were written in: pairs of the
// first index and the number of the span, both ascending. Looked up by the position of the oldest entry only.
import { entryBytes, fittingCount } from '../entry-size.js';
import { NO_ENTRIES } from '../message.js';
import type { GroupLog, GroupWrite } from '../multi/ports.js';
import type { Entry, EntryId, HardState } from '../types.js';
import { misuse } from './storage-error.js';

/** Something that was changed in memory ahead of the disk. */
export interface Step {
  /** It is durable, in a record at this position. */
  settle(position: number): void;
  /** It failed. Steps are undone from the last one back. */
  undo(): void;
}

/** What a group's memory is made of, as recovery hands it over. */
export interface GroupContent {
  readonly hardState: HardState;
  readonly start: EntryId;
  readonly entries: Entry[];
  readonly marks: number[];
}

/** Stands where an entry was. */
const DROPPED: Entry = Object.freeze({ term: 0, index: 0, type: 'normal', data: new Uint8Array(0) });
const NO_MARKS: number[] = [];
/** Below so many empty places an array is not cut. */
const EMPTY_PLACES_MIN = 32;

function committedTo({ term, vote }: HardState, commit: number): HardState {
  return { term, vote, commit };
}

/** See the top of this file. */
export class GroupMemory implements GroupLog {
  readonly groupId: number;
  readonly replicaId: number;
  hardState: HardState;
  /** Number of the last write that named this group: one write names a group once. */
  lastWrite = 0;
  #start: EntryId;
  #entries: Entry[];
  /** Place of the first entry in the array. */
  #head = 0;
  #bytes = 0;
  #marks: number[];
  /** Entries up to here are durable, and part of the log as it is now. */
  #durableLast: number;
  /** Grows when the log is cut or begun anew: what was under way then says nothing of what is durable. */
  #version = 0;

  constructor(groupId: number, replicaId: number, { hardState, start, entries, marks }: GroupContent) {
    this.groupId = groupId;
    this.replicaId = replicaId;
    this.hardState = hardState;
    this.#start = start;
    this.#entries = entries;
    this.#marks = entries.length === 0 ? NO_MARKS : marks;
    this.#durableLast = start.index + entries.length;
    for (let i = 0; i < entries.length; i++) this.#bytes += entryBytes(entries[i]!);
  }

  // What a core reads.

  firstIndex(): number {
    return this.#start.index + 1;
  }

  lastIndex(): number {
    return this.#start.index + this.#entries.length - this.#head;
  }

  term(index: number): number | undefined {
    const i = index - this.#start.index;
    if (i <= 0) return i === 0 ? this.#start.term : undefined;
    return this.#entries[this.#head + i - 1]?.term;
  }

  entries(from: number, to: number, bytesMax: number): readonly Entry[] | undefined {
    const offset = this.#head - this.#start.index - 1;
    const first = from + offset;
    if (first < this.#head) return undefined;
    const end = Math.min(to + offset, this.#entries.length);
    if (first >= end) return NO_ENTRIES;
    return this.#entries.slice(first, first + fittingCount(this.#entries, first, end, bytesMax));
  }

  // What the storage reads.

  get start(): EntryId {
    return this.#start;
  }

  get entryCount(): number {
    return this.#entries.length - this.#head;
  }

  /** Bytes of all entries, by `entryBytes`. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Span of the oldest entry; undefined if there is none. */
  get oldestSpan(): number | undefined {
    return this.#marks[1];
  }

  allEntries(): readonly Entry[] {
    return this.#entries.slice(this.#head);
  }

  // What changes it.

  /**
   * Says whether a write can follow what is there, before anything of it takes effect. Returns the bytes of its data.
   * @throws RaftError `RAFT_MISUSE`
   */
  check({ hardState, snapshot, entries }: GroupWrite): number {
    const old = this.hardState;
    const { term, vote, commit } = this.asStored(hardState) ?? old;
    if (term < old.term) throw this.#refuse(`its term would go back from ${old.term} to ${term}`);
    if (term === old.term && vote !== old.vote && old.vote !== 0) {
      throw this.#refuse(`its vote in term ${term} would change from ${old.vote} to ${vote}`);
    }
    const start = snapshot ?? this.#start;
    const bytes = this.#checkEntries(entries, start, snapshot !== undefined, term);
    const last = entries.at(-1)?.index ?? (snapshot ? start.index : this.lastIndex());
    // Without a hard state of its own, the write raises the commit to the start.
    const commitNew = hardState ? commit : Math.max(commit, start.index);
    if (commitNew < Math.max(old.commit, start.index) || commitNew > last) {
      throw this.#refuse(
        `its commit would go from ${old.commit} to ${commitNew}, in a log from ${start.index} to ${last}`,
      );
    }
    return bytes;
  }

  /** A hard state as it is stored. What is compacted is committed, though a write that waited for its turn did not know. */
  asStored(hardState: HardState | undefined): HardState | undefined {
    const { index } = this.#start;
    return hardState === undefined || hardState.commit >= index ? hardState : committedTo(hardState, index);
  }

  /** Carries out a write that was checked. */
  write({ hardState, snapshot, entries }: GroupWrite, span: number): Step {
    const step = new WriteStep(this, this.hardState, this.lastIndex());
    if (snapshot !== undefined) this.#restart(snapshot, step);
    if (hardState !== undefined) this.hardState = this.asStored(hardState)!;
    if (entries.length > 0) this.#append(entries, span, step);
    step.lastAfter = this.lastIndex();
    step.version = this.#version;
    return step;
  }

  /**
   * Drops entries up to `index`, as far as they are durable. Whoever says that they are durable in the state machine also says
   * that they are committed. Returns whether there were any.
   */
  compact(index: number): boolean {
    const to = Math.min(index, this.#durableLast);
    const count = to - this.#start.index;
    if (count <= 0) return false;
    const entries = this.#entries;
    const end = this.#head + count;
    this.#start = { term: entries[end - 1]!.term, index: to };
    for (let i = this.#head; i < end; i++) {
      this.#bytes -= entryBytes(entries[i]!);
      entries[i] = DROPPED;
    }
    this.#head = end;
    if (end === entries.length || (end >= EMPTY_PLACES_MIN && end * 2 >= entries.length)) {
      this.#entries = end === entries.length ? [] : entries.slice(end);
      this.#head = 0;
    }
    if (this.hardState.commit < to) this.hardState = committedTo(this.hardState, to);
    this.#dropMarks();
    return true;
  }

  /** All entries are written once more, in `span`. Each gets memory of its own, since it is to stay for long. */
  carry(span: number): Step {
    const entries = this.#entries;
    for (let i = this.#head; i < entries.length; i++) {
      const entry = entries[i]!;
      const { data } = entry;
      if (data.buffer.byteLength > 2 * data.length) entries[i] = { ...entry, data: data.slice() };
    }
    const marks = this.#marks;
    this.#marks = [this.firstIndex(), span];
    return {
      settle: () => undefined,
      undo: () => {
        this.#marks = marks.slice();
        this.#dropMarks();
      },
    };
  }

  /** Called by the step of a write. */
  settled({ version, lastAfter }: WriteStep): void {
    if (version === this.#version) this.#durableLast = lastAfter;
  }

  /** Called by the step of a write. */
  undone({ hardState, lastBefore, before, cutFrom, cut, marks }: WriteStep): void {
    // What was committed stays so.
    const commit = Math.max(hardState.commit, this.#start.index);
    this.hardState = before || commit === hardState.commit ? hardState : committedTo(hardState, commit);
    this.#version += 1;
    if (before) {
      this.#start = before.start;
      this.#entries = before.entries;
      this.#head = before.head;
      this.#bytes = before.bytes;
    } else {
      this.#cutAt(cutFrom ?? lastBefore + 1);
      for (const entry of cut) this.#push(entry);
    }
    // All that was under way is undone, the oldest last.
    this.#durableLast = this.lastIndex();
    if (marks) this.#marks = marks;
    this.#cutMarks(this.lastIndex() + 1);
    this.#dropMarks();
  }

  #checkEntries(entries: readonly Entry[], start: EntryId, isNew: boolean, termMax: number): number {
    if (entries.length === 0) return 0;
    let index = entries[0]!.index;
    const last = isNew ? start.index : this.lastIndex();
    if (index <= start.index || index > last + 1) {
      throw this.#refuse(`entry ${index} cannot follow a log from ${start.index + 1} to ${last}`);
    }
    let term = isNew || index === start.index + 1 ? start.term : this.term(index - 1)!;
    let bytes = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      if (entry.index !== index || entry.term < term || entry.term > termMax) {
        throw this.#refuse(
          `entry ${entry.index} of term ${entry.term} stands where ${index} of terms ${term} to ${termMax} must`,
        );
      }
      term = entry.term;
      bytes += entry.data.length;
      index += 1;
    }
    return bytes;
  }

  #restart(start: EntryId, step: WriteStep): void {
    const [entries, head, bytes] = [this.#entries, this.#head, this.#bytes];
    step.before = { start: this.#start, entries, head, bytes };
    step.marks = this.#marks;
    this.#start = { term: start.term, index: start.index };
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#marks = NO_MARKS;
    this.#durableLast = start.index;
    this.#version += 1;
    if (this.hardState.commit < start.index) this.hardState = committedTo(this.hardState, start.index);
  }

  #append(entries: readonly Entry[], span: number, step: WriteStep): void {
    const first = entries[0]!.index;
    if (first <= this.lastIndex()) {
      step.cutFrom = first;
      step.cut = this.#entries.slice(this.#head + first - this.#start.index - 1);
      step.marks ??= this.#marks.slice();
      this.#cutAt(first);
      this.#cutMarks(first);
      this.#durableLast = Math.min(this.#durableLast, first - 1);
      this.#version += 1;
    }
    for (let i = 0; i < entries.length; i++) this.#push(entries[i]!);
    if (this.#marks.at(-1) === span) return;
    if (this.#marks === NO_MARKS) this.#marks = [first, span];
    else this.#marks.push(first, span);
  }

  #push(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += entryBytes(entry);
  }

  /** Drops the entries from `index` on. */
  #cutAt(index: number): void {
    const length = this.#head + index - this.#start.index - 1;
    for (let i = length; i < this.#entries.length; i++) this.#bytes -= entryBytes(this.#entries[i]!);
    this.#entries.length = length;
  }

  #cutMarks(index: number): void {
    const marks = this.#marks;
    while (marks.length > 0 && marks[marks.length - 2]! >= index) marks.length -= 2;
  }

  /** Drops marks of spans that hold nothing of the log any more. */
  #dropMarks(): void {
    const first = this.firstIndex();
    let count = 0;
    while (count + 2 < this.#marks.length && this.#marks[count + 2]! <= first) count += 2;
    if (this.entryCount === 0) this.#marks = NO_MARKS;
    else if (count > 0) this.#marks.splice(0, count);
  }

  #refuse(why: string): Error {
    return misuse(`The log of group ${this.groupId} cannot take this write: ${why}.`);
  }
}

/** A write as one group sees it: what there was before. */
class WriteStep implements Step {
  readonly #group: GroupMemory;
  readonly hardState: HardState;
  readonly lastBefore: number;
  lastAfter = 0;
  version = 0;
  /** The whole log, when it was begun anew. */
  before: { start: EntryId; entries: Entry[]; head: number; bytes: number } | undefined = undefined;
  /** Where entries were replaced, and those that were. */
  cutFrom: number | undefined = undefined;
  cut: readonly Entry[] = NO_ENTRIES;
  marks: number[] | undefined = undefined;

  constructor(group: GroupMemory, hardState: HardState, lastBefore: number) {
    this.#group = group;
    this.hardState = hardState;
    this.lastBefore = lastBefore;
  }

  settle(): void {
    this.#group.settled(this);
  }

  undo(): void {
    this.#group.undone(this);
  }
}
