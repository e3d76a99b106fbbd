// The durable logs of all groups of a node, in one nori-wal. The format is in docs/formats/raft-log.md.
//
//   write ─► check ─► memory shows it ─► AppendQueue ─► one record, one fdatasync for all groups ─► durable
//                         │                                  │
//                         └──────── taken back ◄─────────────┴─ no space
//
// Who reads a log (GroupMemory) sees a write at once. What must reach the disk in order goes through the queue in the order in which
// memory was changed, checkpoints too: a checkpoint states memory as it is when it is queued, and is right where it lands.
import { readLog, Wal, WalError } from 'nori-wal';
import { RaftError } from '../errors.js';
import { NO_ENTRIES } from '../message.js';
import type { GroupLog, GroupWrite, NewGroup, RaftStorage, StoredGroup } from '../multi/ports.js';
import type { Entry } from '../types.js';
import { AppendQueue, finalError } from './append-queue.js';
import { Checkpoints } from './checkpoints.js';
import { GroupMemory, type Step } from './group-memory.js';
import { type ResolvedOptions, resolveOptions, type WalStorageOptions } from './options.js';
import { HeadWriter, INCARNATION_BYTES, IS_CREATED, IS_REMOVED, recordParts } from './record-format.js';
import { type FoundLog, Recovery } from './recovery.js';
import { asRaftError, misuse, unknownGroup } from './storage-error.js';

/** Largest record: more than a turn ever holds, since every group limits what it has uncommitted. */
const RECORD_BYTES_MAX = 2 ** 30;
/** How often `verify` begins anew when the log is truncated under it. */
const VERIFY_ATTEMPTS_MAX = 5;

/** State of a log. */
export interface WalStorageStats {
  readonly segments: number;
  /** Bytes of the segments. */
  readonly bytes: number;
  /** Bytes on disk beside them: room ahead, and files kept for new segments. */
  readonly spareBytes: number;
  /** Groups, without those that were removed. */
  readonly groups: number;
  readonly entriesInMemory: number;
  /** Bytes of these entries, by `entryBytes`. */
  readonly bytesInMemory: number;
  /** Checkpoints written since the log was opened. */
  readonly checkpoints: number;
  /** Entries that were written once more, since the log was opened, because they kept old segments. */
  readonly entriesCarried: number;
  /** A write failed for good. */
  readonly failed: boolean;
}

/** What {@link WalStorage.verify} read. */
export interface WalStorageVerification {
  readonly segments: number;
  readonly records: number;
  readonly bytes: number;
  readonly groups: number;
  readonly entries: number;
}

/** See the top of this file. */
export class WalStorage implements RaftStorage {
  readonly nodeId: string;
  /** Tells this log from one that was begun anew under the same node id: 32 hexadecimal digits, made with the log. */
  readonly incarnation: string;
  readonly storedGroups: readonly StoredGroup[];
  readonly #options: ResolvedOptions;
  readonly #wal: Wal;
  readonly #queue: AppendQueue;
  readonly #checkpoints: Checkpoints;
  readonly #writer = new HeadWriter();
  readonly #groups = new Map<number, GroupMemory>();
  /** Replica ids of removed groups. */
  readonly #tombstones = new Map<number, number>();
  #writes = 0;
  #closing: Promise<void> | undefined;

  private constructor(options: ResolvedOptions, wal: Wal, found: FoundLog) {
    this.#options = options;
    this.#wal = wal;
    this.nodeId = found.identity.nodeId;
    this.incarnation = found.identity.incarnation;
    this.storedGroups = found.groups.map(({ groupId, replicaId, content }) => {
      if (content) this.#groups.set(groupId, new GroupMemory(groupId, replicaId, content));
      else this.#tombstones.set(groupId, replicaId);
      return { groupId, replicaId, removed: content === undefined };
    });
    this.#queue = new AppendQueue(wal, options.clock, options.durability);
    this.#checkpoints = new Checkpoints({
      identity: found.identity,
      spans: found.spans,
      options,
      wal,
      queue: this.#queue,
      writer: this.#writer,
      groups: this.#groups,
      tombstones: this.#tombstones,
    });
  }

  /**
   * Opens the log in `options.dir`, reading it once, or makes one. A torn tail, which was never acknowledged, is cut off.
   * @throws RaftError `RAFT_WRONG_NODE`, `RAFT_CORRUPT_STATE`, `RAFT_STORAGE_LOCKED`, `RAFT_UNSUPPORTED_FORMAT`, `RAFT_NO_SPACE` (a
   * new log only), `RAFT_INVALID_OPTION`, `RAFT_STORAGE_FAILED`
   */
  static async open(options: WalStorageOptions): Promise<WalStorage> {
    const resolved = resolveOptions(options);
    const { dir, fs, clock, meter, segmentBytesMax, lock, nodeId, clusterId } = resolved;
    const recovery = new Recovery({ nodeId, clusterId });
    try {
      const wal = await Wal.open({
        dir,
        fs,
        clock,
        meter,
        segmentBytesMax,
        recordBytesMax: RECORD_BYTES_MAX,
        lock,
        onRecords: (records) => recovery.read(records),
      });
      try {
        const found = recovery.finish() ?? newLog(resolved);
        const isIdentityNew = found.identity.clusterId === '' && clusterId !== '';
        const identity = isIdentityNew ? { ...found.identity, clusterId } : found.identity;
        const storage = new WalStorage(resolved, wal, { ...found, identity });
        await storage.#begin(found, isIdentityNew);
        return storage;
      } catch (error) {
        await wal.close();
        throw error;
      }
    } catch (error) {
      throw asRaftError(error);
    }
  }

  /** The torn tail that was cut off when the log was opened, which nobody had been told was stored; undefined: there was none. */
  get cut(): { readonly file: string; readonly offset: number; readonly bytes: number } | undefined {
    return this.#wal.recovery.cut;
  }

  /** The cluster that the log belongs to; empty if it has not been told. */
  get clusterId(): string {
    return this.#checkpoints.identity.clusterId;
  }

  /** @throws RaftError `RAFT_UNKNOWN_GROUP` */
  log(groupId: number): GroupLog {
    return this.#group(groupId);
  }

  /**
   * See {@link RaftStorage.write}. When a write finds no space, those that were waiting behind it fail with it, since they were
   * made upon it; logs read as they did before.
   * @throws RaftError (by the promise) `RAFT_NO_SPACE`, `RAFT_STORAGE_FAILED`, `RAFT_CLOSED`; `RAFT_MISUSE` and `RAFT_UNKNOWN_GROUP`,
   * which change nothing
   */
  write(writes: readonly GroupWrite[]): Promise<void> {
    try {
      this.#checkOpen();
      const bodyBytes = this.#check(writes);
      const count = writes.reduce((sum, write) => (isEmpty(write) ? sum : sum + 1), 0);
      if (count === 0) return this.#queue.last();
      this.#writer.beginWrite(count);
      const steps: Step[] = [];
      const lists: (readonly Entry[])[] = [];
      for (const write of writes) {
        if (isEmpty(write)) continue;
        const { groupId, hardState, snapshot, entries } = write;
        const group = this.#groups.get(groupId)!;
        this.#writer.change(groupId, snapshot, group.asStored(hardState), entries);
        steps.push(group.write(write, this.#checkpoints.span));
        if (entries.length > 0) lists.push(entries);
      }
      return this.#push(lists, bodyBytes, steps);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Makes a replica, durably.
   * @throws RaftError (by the promise) `RAFT_GROUP_EXISTS`, `RAFT_REPLICA_REMOVED` (a replica with this id or a higher one was here),
   * `RAFT_MISUSE`, and as {@link write}
   */
  async createGroup({ groupId, replicaId, bootstrap }: NewGroup): Promise<void> {
    this.#checkOpen();
    if (!isNumber(groupId, 0) || !isNumber(replicaId, 1)) {
      throw misuse(`Cannot create replica ${replicaId} of group ${groupId}: these are no ids.`);
    }
    const existing = this.#groups.get(groupId);
    if (existing) {
      const message = `This node has replica ${existing.replicaId} of group ${groupId} already. Remove it first.`;
      throw new RaftError('RAFT_GROUP_EXISTS', message);
    }
    const tombstone = this.#tombstones.get(groupId);
    if (tombstone !== undefined && replicaId <= tombstone) {
      const message = `Replica ${tombstone} of group ${groupId} was removed from this node. Use a replica id above it, not ${replicaId}.`;
      throw new RaftError('RAFT_REPLICA_REMOVED', message);
    }
    const first = bootstrap ? 1 : 0;
    const start = { term: first, index: first };
    const hardState = { term: first, vote: 0, commit: first };
    this.#writer.beginWrite(1);
    this.#writer.change(groupId, start, hardState, NO_ENTRIES, IS_CREATED, replicaId);
    this.#groups.set(groupId, new GroupMemory(groupId, replicaId, { hardState, start, entries: [], marks: [] }));
    this.#tombstones.delete(groupId);
    await this.#push([], 0, [
      {
        settle: () => undefined,
        undo: () => {
          this.#groups.delete(groupId);
          if (tombstone !== undefined) this.#tombstones.set(groupId, tombstone);
        },
      },
    ]);
  }

  /** See {@link RaftStorage.removeGroup}. Removing what is removed already is fine. @throws RaftError as {@link write} */
  async removeGroup(groupId: number): Promise<void> {
    this.#checkOpen();
    if (this.#tombstones.has(groupId)) return this.#queue.last();
    const group = this.#group(groupId);
    this.#writer.beginWrite(1);
    this.#writer.change(groupId, undefined, undefined, NO_ENTRIES, IS_REMOVED, group.replicaId);
    this.#groups.delete(groupId);
    this.#tombstones.set(groupId, group.replicaId);
    await this.#push([], 0, [
      {
        settle: () => this.#checkpoints.review(),
        undo: () => {
          this.#tombstones.delete(groupId);
          this.#groups.set(groupId, group);
        },
      },
    ]);
  }

  /**
   * See {@link RaftStorage.compact}. Drops what is durable here, too; an index beyond that drops all of it. Of a group that was removed
   * nothing is left to drop. @throws RaftError `RAFT_UNKNOWN_GROUP`
   */
  compact(groupId: number, index: number): void {
    if (this.#tombstones.has(groupId)) return;
    if (this.#group(groupId).compact(index)) this.#checkpoints.review();
  }

  stalledMs(): number {
    const startedMs = this.#queue.oldestStartedMs;
    return startedMs === undefined ? 0 : Math.max(0, this.#options.clock.monotonic() - startedMs);
  }

  stats(): WalStorageStats {
    const { segments, bytes, preallocatedBytes, spareBytes } = this.#wal.stats();
    let entriesInMemory = 0;
    let bytesInMemory = 0;
    for (const group of this.#groups.values()) {
      entriesInMemory += group.entryCount;
      bytesInMemory += group.bytes;
    }
    return {
      segments,
      bytes,
      spareBytes: preallocatedBytes + spareBytes,
      groups: this.#groups.size,
      entriesInMemory,
      bytesInMemory,
      checkpoints: this.#checkpoints.written,
      entriesCarried: this.#checkpoints.entriesCarried,
      failed: this.#queue.failure !== undefined,
    };
  }

  /**
   * Reads the whole log from disk and checks all of it, while it is written.
   * @throws RaftError `RAFT_CORRUPT_STATE`, `RAFT_STORAGE_FAILED`
   */
  async verify(): Promise<WalStorageVerification> {
    const { dir, fs, nodeId } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const recovery = new Recovery({ nodeId, clusterId: '' });
      try {
        const { segments, records, bytes } = await readLog({
          dir,
          fs,
          recordBytesMax: RECORD_BYTES_MAX,
          onRecords: (batch) => recovery.read(batch),
        });
        const contents = (recovery.finish()?.groups ?? []).flatMap(({ content }) => (content ? [content] : []));
        const entries = contents.reduce((sum, content) => sum + content.entries.length, 0);
        return { segments, records, bytes, groups: contents.length, entries };
      } catch (error) {
        const isMoved = error instanceof WalError && error.code === 'WAL_CHANGED';
        if (!isMoved || attempt === VERIFY_ATTEMPTS_MAX) throw asRaftError(error);
      }
    }
  }

  /** Makes everything durable, writes a checkpoint, closes the files and gives up the lock, in this order. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #begin(found: FoundLog, isIdentityNew: boolean): Promise<void> {
    const isNew = found.spans.length === 0;
    if (found.isCheckpointed && !isIdentityNew) return;
    const written = this.#checkpoints.write();
    // A log that exists can be opened on a full disk.
    await written.catch((error: RaftError) => {
      if (isNew || isIdentityNew || error.code !== 'RAFT_NO_SPACE') throw error;
    });
  }

  async #close(): Promise<void> {
    try {
      await this.#checkpoints.close();
    } finally {
      await this.#wal.close().catch((error: unknown) => {
        throw asRaftError(error);
      });
    }
  }

  #push(lists: readonly (readonly Entry[])[], bodyBytes: number, steps: readonly Step[]): Promise<void> {
    const head = this.#writer.take();
    const bytes = head.length + bodyBytes;
    const done = this.#queue.push(recordParts(head, lists, bodyBytes), bytes, steps);
    this.#checkpoints.wrote(bytes);
    return done;
  }

  /** Checks all writes, before any takes effect. Returns the bytes of their data. */
  #check(writes: readonly GroupWrite[]): number {
    const number = ++this.#writes;
    let bytes = 0;
    for (let i = 0; i < writes.length; i++) {
      const write = writes[i]!;
      const group = this.#group(write.groupId);
      if (group.lastWrite === number) throw misuse(`A write names group ${write.groupId} twice.`);
      group.lastWrite = number;
      bytes += group.check(write);
    }
    // Heads are a small part of it.
    if (bytes > RECORD_BYTES_MAX / 2) throw misuse(`A write has ${bytes} bytes, over ${RECORD_BYTES_MAX / 2}.`);
    return bytes;
  }

  #group(groupId: number): GroupMemory {
    const group = this.#groups.get(groupId);
    if (!group) throw unknownGroup(groupId);
    return group;
  }

  #checkOpen(): void {
    const { failure } = this.#queue;
    if (failure) throw finalError(failure.cause);
    if (this.#closing) throw new RaftError('RAFT_CLOSED', 'The raft log is closed. Open it again.');
  }
}

/** A write may name a group and have nothing to store for it. */
function isEmpty({ hardState, snapshot, entries }: GroupWrite): boolean {
  return hardState === undefined && snapshot === undefined && entries.length === 0;
}

function isNumber(value: number, min: number): boolean {
  return Number.isSafeInteger(value) && value >= min;
}

function newLog({ nodeId, clusterId, random }: ResolvedOptions): FoundLog {
  let incarnation = '';
  for (let i = 0; i < INCARNATION_BYTES; i++) {
    incarnation += Math.floor(random() * 256)
      .toString(16)
      .padStart(2, '0');
  }
  return { identity: { nodeId, clusterId, incarnation }, groups: [], spans: [], isCheckpointed: false };
}
