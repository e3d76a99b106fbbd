// Reads the records of the log. What they claim is checked against the record's own bytes; whether records fit each other is the
// business of recovery.ts.
//
// The data of a group's entries in a record is copied into a buffer of its own: the record lies in a chunk of the file that it
// shares with others, and an entry that is kept for long must not keep all of that in memory.
import { readVarint, VarintCursor } from 'nori-io';
import { RaftError } from '../errors.js';
import { NO_ENTRIES } from '../message.js';
import type { Entry, EntryId, HardState } from '../types.js';
import {
  CHECKPOINT_CARRIED,
  CHECKPOINT_FORMAT,
  CHECKPOINT_REMOVED,
  type GroupChange,
  type GroupCheckpoint,
  HAS_HARD_STATE,
  HAS_START,
  INCARNATION_BYTES,
  IS_CREATED,
  IS_REMOVED,
  KIND_CHECKPOINT,
  KIND_LOCAL_ENTRIES,
  KIND_WRITE,
  type LogIdentity,
} from './record-format.js';
import { corrupt } from './storage-error.js';

/** A record, decoded. */
export type LogRecord =
  | { readonly kind: 'write'; readonly groups: readonly GroupChange[] }
  | { readonly kind: 'checkpoint'; readonly identity: LogIdentity; readonly groups: readonly GroupCheckpoint[] };

/**
 * Decodes a record.
 * @param position of the record, for errors
 * @throws RaftError `RAFT_CORRUPT_STATE`, `RAFT_UNSUPPORTED_FORMAT`
 */
export function decodeRecord(bytes: Uint8Array, position: number): LogRecord {
  const kind = bytes[0];
  if (kind !== KIND_WRITE && kind !== KIND_CHECKPOINT) throw unsupported(kind, position);
  if (kind === KIND_CHECKPOINT && bytes[1] !== CHECKPOINT_FORMAT) {
    throw new RaftError(
      'RAFT_UNSUPPORTED_FORMAT',
      `The raft log's checkpoint at position ${position} is of format ${bytes[1]}, which this version does not know. Use a newer one.`,
    );
  }
  const reader = new RecordReader(bytes, position);
  return kind === KIND_WRITE ? reader.write() : reader.checkpoint();
}

function unsupported(kind: number | undefined, position: number): RaftError {
  const message =
    kind === KIND_LOCAL_ENTRIES
      ? `The log at position ${position} was written by a node that does not replicate. Open it with that, or choose another directory.`
      : `The log at position ${position} holds a record of kind ${kind}, which this version does not know. Use a newer one.`;
  return new RaftError('RAFT_UNSUPPORTED_FORMAT', message);
}

/** Entries whose data has not been reached yet. */
interface EntryList {
  readonly entries: Entry[];
  readonly lengths: number[];
  bytes: number;
}

const NO_DATA = new Uint8Array(0);
const NO_HARD_STATE: HardState = { term: 0, vote: 0, commit: 0 };
const NO_ENTRY: EntryId = { term: 0, index: 0 };
const decoder = new TextDecoder('utf-8', { fatal: true });

class RecordReader {
  readonly #bytes: Uint8Array;
  readonly #position: number;
  readonly #cursor = new VarintCursor();
  readonly #lists: EntryList[] = [];
  #at = 1;

  constructor(bytes: Uint8Array, position: number) {
    this.#bytes = bytes;
    this.#position = position;
  }

  write(): LogRecord {
    const count = this.#varint();
    const groups: GroupChange[] = [];
    for (let i = 0; i < count; i++) groups.push(this.#change());
    this.#bodies();
    return { kind: 'write', groups };
  }

  checkpoint(): LogRecord {
    this.#at = 2;
    const identity = { nodeId: this.#text(), clusterId: this.#text(), incarnation: this.#incarnation() };
    const count = this.#varint();
    const groups: GroupCheckpoint[] = [];
    for (let i = 0; i < count; i++) groups.push(this.#checkpointGroup());
    this.#bodies();
    return { kind: 'checkpoint', identity, groups };
  }

  #change(): GroupChange {
    const flags = this.#u8();
    const life = flags & (IS_CREATED | IS_REMOVED);
    const known =
      life === 0 ? flags <= (HAS_HARD_STATE | HAS_START) : flags === IS_REMOVED || flags === (IS_CREATED | 3);
    if (!known) throw this.#damaged(`a group has the unknown flags ${flags}`);
    const groupId = this.#varint();
    const replicaId = life === 0 ? 0 : this.#varint();
    const start = flags & HAS_START ? this.#entryId() : undefined;
    const hardState = flags & HAS_HARD_STATE ? this.#hardState() : undefined;
    const count = this.#varint();
    const entries = count === 0 ? NO_ENTRIES : this.#entries(count, this.#varint());
    return {
      groupId,
      replicaId,
      created: life === IS_CREATED,
      removed: life === IS_REMOVED,
      start,
      hardState,
      entries,
    };
  }

  #checkpointGroup(): GroupCheckpoint {
    const flags = this.#u8();
    if (flags > CHECKPOINT_CARRIED) throw this.#damaged(`a group has the unknown flags ${flags}`);
    const groupId = this.#varint();
    const replicaId = this.#varint();
    if (flags === CHECKPOINT_REMOVED) {
      const [hardState, start] = [NO_HARD_STATE, NO_ENTRY];
      return { groupId, replicaId, removed: true, hardState, start, lastIndex: 0, carried: undefined };
    }
    const hardState = this.#hardState();
    const start = this.#entryId();
    const length = this.#varint();
    const lastIndex = start.index + length;
    const carried = flags === CHECKPOINT_CARRIED ? this.#entries(length, start.index + 1) : undefined;
    return { groupId, replicaId, removed: false, hardState, start, lastIndex, carried };
  }

  /** The terms and lengths of entries; their data follows behind all heads. */
  #entries(count: number, firstIndex: number): Entry[] {
    // Each takes two bytes at least: a count that lies must not take memory.
    if (count > this.#bytes.length - this.#at) throw this.#damaged(`${count} entries do not fit`);
    const list: EntryList = { entries: [], lengths: [], bytes: 0 };
    let term = 0;
    for (let i = 0; i < count; i++) {
      term += this.#varint();
      const typeAndLength = this.#varint();
      const length = Math.floor(typeAndLength / 2);
      const type = typeAndLength % 2 === 1 ? 'conf-change' : 'normal';
      list.entries.push({ term, index: firstIndex + i, type, data: NO_DATA });
      list.lengths.push(length);
      list.bytes += length;
    }
    this.#lists.push(list);
    return list.entries;
  }

  #bodies(): void {
    for (const { entries, lengths, bytes } of this.#lists) {
      if (bytes > this.#bytes.length - this.#at) throw this.#damaged('its entries are larger than the record');
      if (bytes === 0) continue;
      const own = this.#bytes.slice(this.#at, this.#at + bytes);
      this.#at += bytes;
      let at = 0;
      for (let i = 0; i < entries.length; i++) {
        const length = lengths[i]!;
        if (length === 0) continue;
        (entries[i] as { data: Uint8Array }).data = own.subarray(at, at + length);
        at += length;
      }
    }
    if (this.#at !== this.#bytes.length) throw this.#damaged('it goes on behind its entries');
  }

  #hardState(): HardState {
    return { term: this.#varint(), vote: this.#varint(), commit: this.#varint() };
  }

  #entryId(): EntryId {
    return { term: this.#varint(), index: this.#varint() };
  }

  #incarnation(): string {
    let text = '';
    for (let i = 0; i < INCARNATION_BYTES; i++) text += this.#u8().toString(16).padStart(2, '0');
    return text;
  }

  #text(): string {
    const length = this.#varint();
    if (length > this.#bytes.length - this.#at) throw this.#damaged('a name is larger than the record');
    this.#at += length;
    try {
      return decoder.decode(this.#bytes.subarray(this.#at - length, this.#at));
    } catch {
      throw this.#damaged('a name is not UTF-8');
    }
  }

  #u8(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw this.#damaged('it ends too soon');
    return value;
  }

  #varint(): number {
    const next = readVarint(this.#bytes, this.#at, this.#cursor);
    if (next < 0) throw this.#damaged(`a number is ${this.#cursor.problem}`);
    this.#at = next;
    return this.#cursor.value;
  }

  #damaged(what: string): RaftError {
    return corrupt(`the record checks out, but ${what}`, this.#position);
  }
}
