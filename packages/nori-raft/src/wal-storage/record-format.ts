// The records of the log, and how they are written. The layout is in docs/formats/raft-log.md.
//
// A record is given to nori-wal in parts, a head and the data of the entries where it is, so that data is copied once at most:
// by nori-wal when the record is small, here when it is large and its entries are small (a large record's parts are written one by
// one, and checksummed one by one), and not at all when entries are large.
import { VARINT_BYTES_MAX, writeVarint } from 'nori-io';
import type { Entry, EntryId, HardState } from '../types.js';

/** Entries of a node that does not replicate; not ours. */
export const KIND_LOCAL_ENTRIES = 1;
export const KIND_WRITE = 2;
export const KIND_CHECKPOINT = 3;
export const CHECKPOINT_FORMAT = 1;

// Flags of a group in a write.
export const HAS_HARD_STATE = 1;
export const HAS_START = 2;
export const IS_CREATED = 4;
export const IS_REMOVED = 8;

// Flags of a group in a checkpoint.
export const CHECKPOINT_REMOVED = 1;
export const CHECKPOINT_CARRIED = 2;

export const INCARNATION_BYTES = 16;

/** nori-wal copies records up to this size, and writes the parts of larger ones from where they are. */
const COPIED_RECORD_BYTES_MAX = 64 * 1024;
/** In large records, entries from this size on are written from where they are. */
const OWN_PART_BYTES_MIN = 16 * 1024;

/** Whose log it is. */
export interface LogIdentity {
  readonly nodeId: string;
  /** Empty: not known yet. */
  readonly clusterId: string;
  /** 32 hexadecimal digits. */
  readonly incarnation: string;
}

/** What a write says of one group. */
export interface GroupChange {
  readonly groupId: number;
  /** 0 unless it is created or removed. */
  readonly replicaId: number;
  readonly created: boolean;
  readonly removed: boolean;
  readonly start: EntryId | undefined;
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
}

/** What a checkpoint says of one group. */
export interface GroupCheckpoint {
  readonly groupId: number;
  readonly replicaId: number;
  readonly removed: boolean;
  readonly hardState: HardState;
  readonly start: EntryId;
  readonly lastIndex: number;
  /** All entries of the log, if it is carried. */
  readonly carried: readonly Entry[] | undefined;
}

const encoder = new TextEncoder();

/** Writes the head of one record after the other. */
export class HeadWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  /** A copy of what was written, and begins anew. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  /** Begins a write that says something of so many groups. */
  beginWrite(groupCount: number): void {
    this.#length = 0;
    this.#reserve(1 + VARINT_BYTES_MAX);
    this.#u8(KIND_WRITE);
    this.#varint(groupCount);
  }

  /** What it says of one group; `lifeFlag` and `replicaId` if the group is created or removed. */
  change(
    groupId: number,
    start: EntryId | undefined,
    hardState: HardState | undefined,
    entries: readonly Entry[],
    lifeFlag = 0,
    replicaId = 0,
  ): void {
    this.#reserve(1 + 9 * VARINT_BYTES_MAX);
    this.#u8((hardState ? HAS_HARD_STATE : 0) | (start ? HAS_START : 0) | lifeFlag);
    this.#varint(groupId);
    if (lifeFlag !== 0) this.#varint(replicaId);
    if (start) this.#entryId(start);
    if (hardState) this.#hardState(hardState);
    this.#varint(entries.length);
    if (entries.length === 0) return;
    this.#varint(entries[0]!.index);
    this.#entries(entries);
  }

  /** Begins a checkpoint of so many groups, removed ones included. */
  beginCheckpoint({ nodeId, clusterId, incarnation }: LogIdentity, groupCount: number): void {
    this.#length = 0;
    const node = encoder.encode(nodeId);
    const cluster = encoder.encode(clusterId);
    this.#reserve(2 + 3 * VARINT_BYTES_MAX + node.length + cluster.length + INCARNATION_BYTES);
    this.#u8(KIND_CHECKPOINT);
    this.#u8(CHECKPOINT_FORMAT);
    this.#blob(node);
    this.#blob(cluster);
    for (let i = 0; i < INCARNATION_BYTES; i++) this.#u8(Number.parseInt(incarnation.slice(2 * i, 2 * i + 2), 16));
    this.#varint(groupCount);
  }

  checkpoint(
    groupId: number,
    replicaId: number,
    hardState: HardState,
    start: EntryId,
    lastIndex: number,
    carried: readonly Entry[] | undefined,
  ): void {
    this.#reserve(1 + 8 * VARINT_BYTES_MAX);
    this.#u8(carried ? CHECKPOINT_CARRIED : 0);
    this.#varint(groupId);
    this.#varint(replicaId);
    this.#hardState(hardState);
    this.#entryId(start);
    this.#varint(lastIndex - start.index);
    if (carried) this.#entries(carried);
  }

  /** A removed group in a checkpoint. */
  removed(groupId: number, replicaId: number): void {
    this.#reserve(1 + 2 * VARINT_BYTES_MAX);
    this.#u8(CHECKPOINT_REMOVED);
    this.#varint(groupId);
    this.#varint(replicaId);
  }

  #entries(entries: readonly Entry[]): void {
    this.#reserve(entries.length * 2 * VARINT_BYTES_MAX);
    let term = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      this.#varint(entry.term - term);
      this.#varint(entry.data.length * 2 + (entry.type === 'conf-change' ? 1 : 0));
      term = entry.term;
    }
  }

  #hardState({ term, vote, commit }: HardState): void {
    this.#varint(term);
    this.#varint(vote);
    this.#varint(commit);
  }

  #entryId({ term, index }: EntryId): void {
    this.#varint(term);
    this.#varint(index);
  }

  #blob(bytes: Uint8Array): void {
    this.#varint(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #u8(value: number): void {
    this.#bytes[this.#length++] = value;
  }

  #varint(value: number): void {
    this.#length = writeVarint(this.#bytes, this.#length, value);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + bytes));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** The parts of a record: its head, then the data of all entries of all lists, `bodyBytes` in all. */
export function recordParts(
  head: Uint8Array,
  lists: readonly (readonly Entry[])[],
  bodyBytes: number,
): readonly Uint8Array[] {
  if (bodyBytes === 0) return [head];
  return head.length + bodyBytes <= COPIED_RECORD_BYTES_MAX ? partsAsTheyAre(head, lists) : partsGathered(head, lists);
}

/** Data that lies side by side in one buffer, as that of entries received together does, becomes one part. */
function partsAsTheyAre(head: Uint8Array, lists: readonly (readonly Entry[])[]): Uint8Array[] {
  const parts = [head];
  let run: Uint8Array = head;
  let end = -1;
  let count = 0;
  const flush = (): void => {
    if (count === 1) parts.push(run);
    else if (count > 1) parts.push(new Uint8Array(run.buffer, run.byteOffset, end - run.byteOffset));
  };
  for (let i = 0; i < lists.length; i++) {
    const entries = lists[i]!;
    for (let j = 0; j < entries.length; j++) {
      const { data } = entries[j]!;
      if (data.length === 0) continue;
      if (count > 0 && data.buffer === run.buffer && data.byteOffset === end) {
        count += 1;
      } else {
        flush();
        run = data;
        count = 1;
      }
      end = data.byteOffset + data.length;
    }
  }
  flush();
  return parts;
}

/** The head and small data are gathered in one buffer; large data stays where it is. */
function partsGathered(head: Uint8Array, lists: readonly (readonly Entry[])[]): Uint8Array[] {
  let gatheredBytes = head.length;
  for (const entries of lists) {
    for (const { data } of entries) if (data.length < OWN_PART_BYTES_MIN) gatheredBytes += data.length;
  }
  const gathered = new Uint8Array(gatheredBytes);
  gathered.set(head);
  const parts: Uint8Array[] = [];
  let from = 0;
  let at = head.length;
  for (const entries of lists) {
    for (const { data } of entries) {
      if (data.length < OWN_PART_BYTES_MIN) {
        gathered.set(data, at);
        at += data.length;
        continue;
      }
      if (at > from) parts.push(gathered.subarray(from, at));
      from = at;
      parts.push(data);
    }
  }
  if (at > from) parts.push(gathered.subarray(from, at));
  return parts;
}
