// When checkpoints are written, which entries they carry, and what of the log they let go.
//
// A checkpoint begins a new *span* of the log. Groups know in which span their oldest entry is. When a checkpoint is durable,
// everything before it is needed for nothing but the entries behind the starts that it states: the log is truncated below the
// oldest span that holds any of them.
//
//   span 3              4                    5             6
//   |··a·b··············|c··c·c··c·····c·····|··c·····c····|···        c is hot and compacted, a and b are cold:
//    └ pinned by a and b                                    └ the checkpoint that begins span 6 carries them
//
// Carrying costs writes, so it has a budget: half of what was written since the last checkpoint. What does not fit, as the long
// log of a group whose state machine does not become durable, is left where it is; disk space is then bounded by that.
import type { Wal } from 'nori-wal';
import type { Entry } from '../types.js';
import type { AppendQueue } from './append-queue.js';
import type { GroupMemory, Step } from './group-memory.js';
import type { ResolvedOptions } from './options.js';
import { type HeadWriter, type LogIdentity, recordParts } from './record-format.js';
import type { FoundSpan } from './recovery.js';

/** A checkpoint is no larger than this part of what is written between two, whatever the size of segments. */
const CHECKPOINT_SHARE = 1 / 4;

/** What checkpoints are made of, and where they go. */
export interface CheckpointSource {
  readonly identity: LogIdentity;
  readonly spans: readonly FoundSpan[];
  readonly options: ResolvedOptions;
  readonly wal: Wal;
  readonly queue: AppendQueue;
  readonly writer: HeadWriter;
  readonly groups: ReadonlyMap<number, GroupMemory>;
  readonly tombstones: ReadonlyMap<number, number>;
}

/** See the top of this file. */
export class Checkpoints {
  readonly #source: CheckpointSource;
  /** Spans whose beginning is durable, ascending; the first one is the oldest that is needed. */
  #spans: FoundSpan[];
  /** The span that is written now. */
  #span: number;
  #spansMade: number;
  #bytesSince = 0;
  /** Bytes of the last checkpoint, without what it carried. */
  #checkpointBytes = 0;
  /** Below here, the log was let go by a checkpoint. */
  #neededFrom: number;
  /** Something is compacted that no checkpoint says. */
  #isCompacted = false;
  #isReviewing = false;
  #closing = false;
  #written = 0;
  #entriesCarried = 0;

  constructor(source: CheckpointSource) {
    this.#source = source;
    this.#spans = [...source.spans];
    this.#span = this.#spans.at(-1)?.span ?? 0;
    this.#spansMade = this.#span;
    this.#neededFrom = source.wal.start;
  }

  get identity(): LogIdentity {
    return this.#source.identity;
  }

  /** Number of the span that is written now. */
  get span(): number {
    return this.#span;
  }

  get written(): number {
    return this.#written;
  }

  get entriesCarried(): number {
    return this.#entriesCarried;
  }

  /** So many bytes were queued. It may be time for a checkpoint. */
  wrote(bytes: number): void {
    this.#bytesSince += bytes;
    const { segmentBytesMax } = this.#source.options;
    if (this.#bytesSince < Math.max(segmentBytesMax / 4, this.#checkpointBytes / CHECKPOINT_SHARE)) return;
    void this.write(this.#carried()).catch(() => undefined);
  }

  /** Something was compacted or removed: at the end of the turn, see whether that frees a segment. */
  review(): void {
    this.#isCompacted = true;
    if (this.#isReviewing || this.#closing) return;
    this.#isReviewing = true;
    this.#source.options.clock.nextTurn(() => {
      this.#isReviewing = false;
      if (this.#closing || this.#source.queue.failure) return;
      const span = this.#oldestNeeded();
      const needed = span === undefined ? this.#source.wal.end : this.#positionOf(span);
      if (needed === undefined || needed - this.#neededFrom < this.#source.options.segmentBytesMax) return;
      void this.write().catch(() => undefined);
    });
  }

  /** Writes the last one, if anything has happened since the one before, and waits for everything. Does not fail. */
  async close(): Promise<void> {
    this.#closing = true;
    const { queue } = this.#source;
    if ((this.#bytesSince > 0 || this.#isCompacted) && !queue.failure) void this.write().catch(() => undefined);
    await queue.last().catch(() => undefined);
  }

  /** Queues a checkpoint of what memory holds now, with all entries of the groups in `carried`. */
  write(carried: ReadonlySet<GroupMemory> = new Set()): Promise<void> {
    const { writer, queue, identity } = this.#source;
    const spanBefore = this.#span;
    const bytesBefore = this.#bytesSince;
    const checkpointBytesBefore = this.#checkpointBytes;
    const span = ++this.#spansMade;
    const lists: (readonly Entry[])[] = [];
    const steps: Step[] = [];
    let bodyBytes = 0;
    let entries = 0;
    const all = this.#sortedGroups();
    writer.beginCheckpoint(identity, all.length);
    for (const { groupId, replicaId, group } of all) {
      if (!group) {
        writer.removed(groupId, replicaId);
        continue;
      }
      let list: readonly Entry[] | undefined;
      if (carried.has(group)) {
        steps.push(group.carry(span));
        list = group.allEntries();
        lists.push(list);
        entries += list.length;
        for (const { data } of list) bodyBytes += data.length;
      }
      writer.checkpoint(groupId, replicaId, group.hardState, group.start, group.lastIndex(), list);
    }
    const head = writer.take();
    this.#span = span;
    this.#bytesSince = 0;
    this.#isCompacted = false;
    this.#checkpointBytes = head.length;
    const needed = this.#oldestNeeded() ?? span;
    steps.push({
      settle: (position) => {
        this.#written += 1;
        this.#entriesCarried += entries;
        this.#spans.push({ span, position });
        this.#letGo(needed);
      },
      undo: () => {
        this.#span = spanBefore;
        this.#bytesSince += bytesBefore;
        this.#isCompacted = true;
        this.#checkpointBytes = checkpointBytesBefore;
      },
    });
    return queue.push(recordParts(head, lists, bodyBytes), head.length + bodyBytes, steps);
  }

  /** Groups that keep too much of the log, the oldest first, as many as the budget allows. */
  #carried(): ReadonlySet<GroupMemory> {
    const { groups, wal, options } = this.#source;
    const end = wal.end;
    const pinning: { readonly group: GroupMemory; readonly span: number }[] = [];
    for (const group of groups.values()) {
      const span = group.oldestSpan;
      if (span === undefined) continue;
      const position = this.#positionOf(span);
      if (position !== undefined && end - position > options.pinnedBytesMax) pinning.push({ group, span });
    }
    pinning.sort((a, b) => a.span - b.span);
    const carried = new Set<GroupMemory>();
    let budget = this.#bytesSince / 2;
    for (const { group } of pinning) {
      budget -= group.bytes;
      // Those behind it are kept by it anyway.
      if (budget < 0) break;
      carried.add(group);
    }
    return carried;
  }

  #letGo(needed: number): void {
    const { wal } = this.#source;
    let index = 0;
    while (index + 1 < this.#spans.length && this.#spans[index + 1]!.span <= needed) index += 1;
    this.#spans.splice(0, index);
    const { position } = this.#spans[0]!;
    this.#neededFrom = Math.max(this.#neededFrom, position);
    // Files that cannot be removed are tried again with the next checkpoint.
    void wal.truncateBefore(position).catch(() => undefined);
  }

  /** The span of the oldest entry of all groups; undefined if there are no entries. */
  #oldestNeeded(): number | undefined {
    let oldest: number | undefined;
    for (const group of this.#source.groups.values()) {
      const span = group.oldestSpan;
      if (span !== undefined && (oldest === undefined || span < oldest)) oldest = span;
    }
    return oldest;
  }

  /** Where a span begins, or, as long as it is not durable, the one before it; undefined if none is. */
  #positionOf(span: number): number | undefined {
    const spans = this.#spans;
    for (let i = spans.length - 1; i >= 0; i--) if (spans[i]!.span <= span) return spans[i]!.position;
    return spans[0]?.position;
  }

  #sortedGroups(): { groupId: number; replicaId: number; group: GroupMemory | undefined }[] {
    const { groups, tombstones } = this.#source;
    const all: { groupId: number; replicaId: number; group: GroupMemory | undefined }[] = [];
    for (const [groupId, group] of groups) all.push({ groupId, replicaId: group.replicaId, group });
    for (const [groupId, replicaId] of tombstones) all.push({ groupId, replicaId, group: undefined });
    return all.sort((a, b) => a.groupId - b.groupId);
  }
}
