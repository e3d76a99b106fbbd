// Rebuilds all groups from the records of the log, in one pass. What the log holds when it has been truncated from the front, and
// what a reader must refuse, is in docs/formats/raft-log.md, "What is kept".
import { RaftError } from '../errors.js';
import type { Entry, EntryId, HardState } from '../types.js';
import type { GroupContent } from './group-memory.js';
import type { GroupChange, GroupCheckpoint, LogIdentity } from './record-format.js';
import { decodeRecord } from './record-reader.js';
import { corrupt } from './storage-error.js';

/** Whose log it should be; undefined: anybody's. */
export type ExpectedOwner = Pick<LogIdentity, 'nodeId' | 'clusterId'> | undefined;

/** A group as it was found. */
export interface FoundGroup {
  readonly groupId: number;
  readonly replicaId: number;
  /** Undefined: it was removed. */
  readonly content: GroupContent | undefined;
}

/** A checkpoint and where it is: marks of groups name spans by number. */
export interface FoundSpan {
  readonly span: number;
  readonly position: number;
}

/** What a log was found to hold. */
export interface FoundLog {
  readonly identity: LogIdentity;
  readonly groups: readonly FoundGroup[];
  /** Ascending; the last one goes on. The first one begins with the log. */
  readonly spans: readonly FoundSpan[];
  /** It ends with a checkpoint. */
  readonly isCheckpointed: boolean;
}

/** See the top of this file. */
export class Recovery {
  readonly #owner: ExpectedOwner;
  readonly #groups = new Map<number, RecoveredGroup>();
  readonly #spans: FoundSpan[] = [];
  #identity: LogIdentity | undefined;
  #isCheckpointed = false;
  #position = 0;

  constructor(owner: ExpectedOwner) {
    this.#owner = owner;
  }

  /** Takes the records as they come. @throws RaftError `RAFT_CORRUPT_STATE`, `RAFT_UNSUPPORTED_FORMAT`, `RAFT_WRONG_NODE` */
  read(records: readonly { readonly position: number; readonly data: Uint8Array }[]): void {
    for (const { position, data } of records) {
      this.#position = position;
      const record = decodeRecord(data, position);
      const span = this.#spans.length;
      if (span === 0 || record.kind === 'checkpoint') this.#spans.push({ span, position });
      this.#isCheckpointed = record.kind === 'checkpoint';
      if (record.kind === 'write') this.#write(record.groups, position);
      else this.#checkpoint(record.identity, record.groups, position);
    }
  }

  /** What it amounts to; undefined if the log is new. @throws RaftError `RAFT_CORRUPT_STATE` */
  finish(): FoundLog | undefined {
    if (this.#spans.length === 0) return undefined;
    const position = this.#position;
    if (!this.#identity) throw corrupt('it holds writes, and no checkpoint', position);
    const groups: FoundGroup[] = [];
    for (const [groupId, group] of this.#groups) groups.push(group.finish(groupId, position));
    groups.sort((a, b) => a.groupId - b.groupId);
    return { identity: this.#identity, groups, spans: this.#spans, isCheckpointed: this.#isCheckpointed };
  }

  #write(changes: readonly GroupChange[], position: number): void {
    const span = this.#spans.length - 1;
    for (const change of changes) {
      let group = this.#groups.get(change.groupId);
      if (!group) {
        // Once a checkpoint was read, all groups are known.
        if (this.#identity && !change.created) {
          throw corrupt(`group ${change.groupId} is written and was never created`, position);
        }
        group = new RecoveredGroup();
        this.#groups.set(change.groupId, group);
      }
      const problem = group.write(change, span);
      if (problem !== undefined) throw corrupt(`group ${change.groupId}: ${problem}`, position);
    }
  }

  #checkpoint(identity: LogIdentity, groups: readonly GroupCheckpoint[], position: number): void {
    this.#identify(identity, position);
    const span = this.#spans.length - 1;
    const listed = new Set<number>();
    for (const checkpoint of groups) {
      const { groupId } = checkpoint;
      listed.add(groupId);
      let group = this.#groups.get(groupId);
      if (!group) {
        if (this.#identity) throw corrupt(`a checkpoint knows of group ${groupId}, which was never created`, position);
        group = new RecoveredGroup();
        this.#groups.set(groupId, group);
      }
      const problem = group.checkpoint(checkpoint, span);
      if (problem !== undefined) throw corrupt(`group ${groupId} and its checkpoint: ${problem}`, position);
    }
    for (const groupId of this.#groups.keys()) {
      if (!listed.has(groupId)) throw corrupt(`a checkpoint does not know of group ${groupId}`, position);
    }
    this.#identity = identity;
  }

  #identify(identity: LogIdentity, position: number): void {
    const known = this.#identity;
    if (known) {
      const same = identity.nodeId === known.nodeId && identity.incarnation === known.incarnation;
      if (!same || (known.clusterId !== '' && identity.clusterId !== known.clusterId)) {
        throw corrupt('its checkpoints name different nodes or clusters', position);
      }
    }
    const owner = this.#owner;
    if (!owner) return;
    if (identity.nodeId !== owner.nodeId) throw wrongNode('node', identity.nodeId, owner.nodeId);
    if (owner.clusterId !== '' && identity.clusterId !== '' && identity.clusterId !== owner.clusterId) {
      throw wrongNode('cluster', identity.clusterId, owner.clusterId);
    }
  }
}

function wrongNode(what: string, found: string, expected: string): RaftError {
  return new RaftError(
    'RAFT_WRONG_NODE',
    `The raft log belongs to ${what} "${found}", not to "${expected}". Open it there, or choose another directory.`,
  );
}

/** One group as far as it is known: of a truncated log the first records say what happened, and not yet to what. */
class RecoveredGroup {
  /** 0: not known yet. */
  #replicaId = 0;
  #isRemoved = false;
  #hardState: HardState | undefined;
  #start: EntryId | undefined;
  /** Index of the first of #entries, or of the entry to come next; undefined: any. */
  #from: number | undefined;
  #entries: Entry[] = [];
  #marks: number[] = [];

  /** Takes what a write says. Returns what is wrong with it. */
  write({ created, removed, replicaId, start, hardState, entries }: GroupChange, span: number): string | undefined {
    if (created) {
      if (this.#replicaId !== 0 && !this.#isRemoved) return `it is created, and has replica ${this.#replicaId}`;
      if (replicaId <= this.#replicaId) return `replica ${replicaId} is created after ${this.#replicaId} was removed`;
      this.#clear();
      this.#isRemoved = false;
      this.#replicaId = replicaId;
    } else if (removed) {
      if (this.#replicaId !== 0 && replicaId !== this.#replicaId) {
        return `replica ${replicaId} is removed, and it has ${this.#replicaId}`;
      }
      this.#clear();
      this.#isRemoved = true;
      this.#replicaId = replicaId;
      return undefined;
    } else if (this.#isRemoved) {
      return 'it is written after it was removed';
    }
    if (start) this.#restart(start);
    if (hardState) {
      const problem = this.#advance(hardState);
      if (problem !== undefined) return problem;
    }
    const problem = entries.length === 0 ? undefined : this.#append(entries, span);
    return problem ?? this.#checkCommit();
  }

  /** Holds a checkpoint against what is known, and takes from it what is not. Returns what is wrong with it. */
  checkpoint(checkpoint: GroupCheckpoint, span: number): string | undefined {
    const { replicaId, removed, hardState, start, lastIndex, carried } = checkpoint;
    const isKnown = this.#replicaId !== 0;
    if (isKnown && (replicaId !== this.#replicaId || removed !== this.#isRemoved)) {
      return `the log has replica ${this.#replicaId}${this.#isRemoved ? ', removed' : ''}`;
    }
    this.#replicaId = replicaId;
    if (removed) {
      if (!isKnown) this.#clear();
      this.#isRemoved = true;
      return undefined;
    }
    if (this.#isRemoved) return 'it was removed';
    const last = this.#last;
    if (last !== undefined && last !== lastIndex) return `the log ends at ${last}, not at ${lastIndex}`;
    const problem = this.#checkHardState(hardState, start) ?? this.#checkStart(start);
    if (problem !== undefined) return problem;
    this.#hardState = hardState;
    this.#start = start;
    if (carried) {
      this.#entries = carried.slice();
      this.#from = start.index + 1;
      this.#marks = carried.length === 0 ? [] : [this.#from, span];
    } else {
      this.#dropTo(start.index, lastIndex);
    }
    return this.#checkCommit();
  }

  /** @throws RaftError `RAFT_CORRUPT_STATE` */
  finish(groupId: number, position: number): FoundGroup {
    const replicaId = this.#replicaId;
    if (this.#isRemoved) return { groupId, replicaId, content: undefined };
    const [start, hardState, entries, marks] = [this.#start, this.#hardState, this.#entries, this.#marks];
    // Every group is in a checkpoint or was created since: these say all of it.
    if (!start || !hardState || this.#from === undefined) {
      throw corrupt(`group ${groupId} is in no checkpoint`, position);
    }
    if (this.#from > start.index + 1) {
      throw corrupt(`entries ${start.index + 1} to ${this.#from - 1} of group ${groupId} are missing`, position);
    }
    return { groupId, replicaId, content: { hardState, start, entries, marks } };
  }

  get #last(): number | undefined {
    return this.#from === undefined ? undefined : this.#from + this.#entries.length - 1;
  }

  #clear(): void {
    this.#hardState = undefined;
    this.#start = undefined;
    this.#from = undefined;
    this.#entries = [];
    this.#marks = [];
  }

  #restart(start: EntryId): void {
    this.#start = start;
    this.#from = start.index + 1;
    this.#entries = [];
    this.#marks = [];
    const hardState = this.#hardState;
    if (hardState && hardState.commit < start.index) this.#hardState = { ...hardState, commit: start.index };
  }

  #advance(hardState: HardState): string | undefined {
    const old = this.#hardState;
    this.#hardState = hardState;
    if (!old) return undefined;
    const { term, vote, commit } = hardState;
    if (term < old.term) return `its term goes back from ${old.term} to ${term}`;
    if (term === old.term && vote !== old.vote && old.vote !== 0) {
      return `its vote in term ${term} changes from ${old.vote} to ${vote}`;
    }
    return commit < old.commit ? `its commit goes back from ${old.commit} to ${commit}` : undefined;
  }

  #append(entries: readonly Entry[], span: number): string | undefined {
    const first = entries[0]!.index;
    const last = this.#last;
    if (last !== undefined && first > last + 1) return `entries ${last + 1} to ${first - 1} are missing`;
    const start = this.#start;
    if (start && first <= start.index) return `entry ${first} is written, and the log begins behind ${start.index}`;
    if (this.#from === undefined || first < this.#from) {
      this.#from = first;
      this.#entries = [];
    } else {
      this.#entries.length = first - this.#from;
    }
    const marks = this.#marks;
    while (marks.length > 0 && marks[marks.length - 2]! >= first) marks.length -= 2;
    if (marks.at(-1) !== span) marks.push(first, span);
    let term = this.#entries.at(-1)?.term ?? (start && first === start.index + 1 ? start.term : 0);
    for (const entry of entries) {
      if (entry.term < term) return `entry ${entry.index} is of term ${entry.term}, and the one before it of ${term}`;
      term = entry.term;
      this.#entries.push(entry);
    }
    const termMax = this.#hardState?.term ?? term;
    return term > termMax ? `entry ${this.#last} is of term ${term}, and the group in term ${termMax}` : undefined;
  }

  #checkCommit(): string | undefined {
    const [hardState, last] = [this.#hardState, this.#last];
    if (!hardState || last === undefined || hardState.commit <= last) return undefined;
    return `it is committed up to ${hardState.commit}, and ends at ${last}`;
  }

  #checkHardState({ term, vote, commit }: HardState, start: EntryId): string | undefined {
    const known = this.#hardState;
    if (!known) return undefined;
    if (term === known.term && vote === known.vote && commit === Math.max(known.commit, start.index)) return undefined;
    return `the log says term ${known.term}, vote ${known.vote}, commit ${known.commit}, and it ${term}, ${vote}, ${commit}`;
  }

  #checkStart({ term, index }: EntryId): string | undefined {
    const known = this.#start;
    if (known && known.index > index) return `the log begins behind ${known.index}, not behind ${index}`;
    const ours = known?.index === index ? known.term : this.#termAt(index);
    return ours === undefined || ours === term ? undefined : `entry ${index} is of term ${ours}, not ${term}`;
  }

  #termAt(index: number): number | undefined {
    return this.#from === undefined ? undefined : this.#entries[index - this.#from]?.term;
  }

  /** Drops what was compacted. What of the rest is not there may turn out not to be needed. */
  #dropTo(index: number, lastIndex: number): void {
    const from = this.#from;
    if (from === undefined || lastIndex === index) {
      this.#entries = [];
      this.#from = lastIndex + 1;
    } else if (from <= index) {
      this.#entries = this.#entries.slice(index + 1 - from);
      this.#from = index + 1;
    }
    const marks = this.#marks;
    let count = 0;
    while (count + 2 < marks.length && marks[count + 2]! <= this.#from!) count += 2;
    marks.splice(0, this.#entries.length === 0 ? marks.length : count);
  }
}
