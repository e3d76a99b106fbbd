// Writes of all groups on their way to the log: one write is under way at a time, and all that comes meanwhile is the next one.
import { RaftError } from '../errors.js';
import type { GroupDriver } from './group.js';
import { dataBytes, mergeWrites } from './merge-writes.js';
import type { GroupWrite, RaftStorage } from './ports.js';

/** Bytes of data in one write, if it is of more than one turn: much may have gathered while the disk stood still. */
const WRITE_BYTES_MAX = 64 * 1024 * 1024;

/** What one turn, or one call, has to write. */
export interface PendingWrite {
  readonly writes: readonly GroupWrite[];
  /** Whose they are, one by one; undefined: of a group that is being created. */
  readonly groups: readonly (GroupDriver | undefined)[];
  readonly done: () => void;
  readonly failed: (error: RaftError) => void;
}

/** What the writer tells of. */
export interface LogWriterHost {
  readonly storage: RaftStorage;
  /** A write is durable, and those who wait for it have been told. */
  written(): void;
  /** There was no space for a write. Resolves when it is to be tried again. */
  waitForSpace(error: RaftError): Promise<void>;
  /** A write failed: nobody knows what is on disk. Must end the writer. */
  failed(cause: unknown): void;
}

interface Queued extends PendingWrite {
  /** Of data. */
  readonly bytes: number;
}

export class LogWriter {
  readonly #host: LogWriterHost;
  #pending: Queued[] = [];
  #writing = false;
  #end: RaftError | undefined;
  /** Bytes of data that wait to be durable. */
  bytes = 0;
  /** Writes that are durable. */
  writes = 0;

  constructor(host: LogWriterHost) {
    this.#host = host;
  }

  /** A write is under way, or is to be tried again. */
  get isWriting(): boolean {
    return this.#writing;
  }

  push(write: PendingWrite): void {
    if (this.#end !== undefined) {
      write.failed(this.#end);
      return;
    }
    const bytes = dataBytes(write.writes);
    this.#pending.push({ ...write, bytes });
    this.bytes += bytes;
    if (!this.#writing) void this.#writeAll();
  }

  /** Nothing is written from now on but what is under way; all that waits fails with `error`. */
  end(error: RaftError): void {
    this.#end ??= error;
    for (const { failed } of this.#pending.splice(0)) failed(this.#end);
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    while (this.#pending.length > 0 && this.#end === undefined) {
      const batch = this.#take();
      try {
        await this.#host.storage.write(mergeWrites(batch.map(writesOfLiving)));
      } catch (error) {
        await this.#notWritten(batch, error);
        continue;
      }
      this.writes++;
      for (const { bytes } of batch) this.bytes -= bytes;
      for (const { done } of batch) done();
      this.#host.written();
    }
    this.#writing = false;
  }

  async #notWritten(batch: readonly Queued[], error: unknown): Promise<void> {
    const isNoSpace = error instanceof RaftError && error.code === 'RAFT_NO_SPACE';
    if (this.#end === undefined && isNoSpace) {
      this.#pending = [...batch, ...this.#pending];
      await this.#host.waitForSpace(error);
      return;
    }
    // If the end has come meanwhile, nobody waits for it any more but who is told so.
    if (this.#end === undefined) this.#host.failed(error);
    for (const { failed } of batch) failed(this.#end!);
  }

  /** The oldest writes that wait, as many as make a write that is not too large. */
  #take(): Queued[] {
    const pending = this.#pending;
    if (pending.length > 1) {
      let count = 1;
      for (let { bytes } = pending[0]!; count < pending.length; count++) {
        bytes += pending[count]!.bytes;
        if (bytes > WRITE_BYTES_MAX) return pending.splice(0, count);
      }
    }
    this.#pending = [];
    return pending;
  }
}

/** A group that was removed, or has failed, while its writes waited for their turn has nothing to store any more. */
function writesOfLiving({ writes, groups }: PendingWrite): readonly GroupWrite[] {
  if (groups.every((group) => group?.failure === undefined)) return writes;
  return writes.filter((_, i) => groups[i]?.failure === undefined);
}
