// The segments on disk, and the file that is being written. Opening, writing, syncing and cutting are serialized by the caller;
// only `syncBehind` goes on beside them.
// What they throw tells how bad it is: a WalError left everything as it was, and writing may go on; anything else means that the
// state of the disk is unknown, and the log must not be written any more.
import { type File, type FileSystem, IoError, type OpenMode } from 'nori-io';
import { OpenSegment } from './open-segment.js';
import { inDirectory, type Segment, segmentEnd, segmentPath } from './segment.js';
import { encodeHeader, HEADER_BYTES, type SegmentHeader, spareName } from './segment-format.js';
import { SpareFiles } from './spare-files.js';
import { asWalError, isNoSpace } from './wal-error.js';

/** What a store needs to know of the log's options. */
export interface SegmentStoreOptions {
  readonly fs: FileSystem;
  readonly dir: string;
  readonly segmentBytesMax: number;
  /** Most zeros to write ahead; 0 for none. */
  readonly preallocateBytes: number;
  /** Most spare files to keep. */
  readonly spareSegmentsMax: number;
}

/** What a store tells whoever measures. */
export interface SegmentStoreObserver {
  began(segmentId: number, recycled: boolean): void;
  preallocated(bytes: number): void;
}

/** A reader, as the store sees it: told how far it may read. */
export interface ReaderLimit {
  /** Position of the lowest cut since the reader began. */
  limit: number;
}

/** Where the log is cut: in this segment, at this file offset. */
interface Cut {
  readonly index: number;
  readonly offset: number;
}

/** See the top of this file. */
export class SegmentStore {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #options: SegmentStoreOptions;
  readonly #segments: Segment[];
  readonly #spares: SpareFiles;
  /** Segments that were dropped and whose files could not be removed. They mean nothing, but have to go some time. */
  readonly #leftovers: Segment[] = [];
  /** Open for the last segment; undefined until it is first written. */
  #file: OpenSegment | undefined;
  /** The last segment is complete; writing goes on in a new one. */
  #complete: boolean;
  /** The data sync that is under way. One at a time: the kernel tells of lost pages once, and to only one of two. */
  #syncing: Promise<void> | undefined;
  /** A data sync failed: no later one is believed, since the kernel takes the pages that it lost for clean. */
  #syncFailure: { readonly error: unknown } | undefined;
  /** Position up to which everything is durable. */
  synced: number;
  observer: SegmentStoreObserver | undefined;
  /** Those who read at the moment. */
  readonly readers = new Set<ReaderLimit>();

  constructor(options: SegmentStoreOptions, segments: Segment[], appendable: boolean) {
    this.#fs = options.fs;
    this.#dir = options.dir;
    this.#options = options;
    this.#segments = segments;
    this.#spares = new SpareFiles(options.fs, options.dir, options.spareSegmentsMax, options.segmentBytesMax / 2);
    this.#complete = !appendable;
    this.synced = this.end;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Bytes that are allocated behind the end of the last segment. */
  get preallocatedBytes(): number {
    const last = this.#segments.at(-1);
    return this.#file && last ? Math.max(0, this.#file.allocatedEnd - last.endOffset) : 0;
  }

  get spares(): { readonly count: number; readonly bytes: number } {
    return this.#spares;
  }

  /** Id of the segment to write to next. */
  get writableId(): number {
    const last = this.#segments.at(-1);
    if (!last) return 1;
    return this.#complete ? last.id + 1 : last.id;
  }

  /** File offset at which the next group goes. */
  get writeOffset(): number {
    return this.#complete ? HEADER_BYTES : this.#segments.at(-1)!.endOffset;
  }

  /** Position of the log's beginning. */
  get start(): number {
    return this.#segments[0]?.base ?? 0;
  }

  /** Position behind everything written. */
  get end(): number {
    const last = this.#segments.at(-1);
    return last ? segmentEnd(last) : 0;
  }

  /**
   * Makes `id` the segment that is written, beginning new ones as needed.
   * @throws WalError if a file could not be created or opened
   */
  async open(id: number, createdMs: number): Promise<void> {
    while (this.#complete || this.#segments.at(-1)!.id < id) await this.#begin(createdMs);
    if (this.#file) return;
    const { path, endOffset } = this.#segments.at(-1)!;
    this.#file = new OpenSegment(await openFile(this.#fs, path, 'write'), endOffset);
  }

  /** Whether `open` has nothing to do. */
  isOpen(id: number): boolean {
    return this.#file !== undefined && !this.#complete && this.#segments.at(-1)!.id === id;
  }

  /**
   * Writes at the end of the open segment.
   * @throws WalError `WAL_NO_SPACE`
   */
  async write(pieces: readonly Uint8Array[], bytes: number): Promise<void> {
    const segment = this.#segments.at(-1)!;
    const file = this.#file!;
    try {
      await file.write(pieces, segment.endOffset, bytes);
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      await this.#withdraw(segment, file);
      if (!(await this.#freeSpares())) throw asWalError(error);
      return this.write(pieces, bytes);
    }
    segment.endOffset += bytes;
  }

  /** Makes everything written durable. */
  sync(): Promise<void> {
    return this.#syncAlone(() => this.#syncFile());
  }

  /** Begins to make everything written so far durable, beside what is written next; joins a data sync that is under way. */
  syncBehind(): Promise<void> {
    return this.#syncing ?? this.#beginSync(() => this.#syncFile());
  }

  async #syncAlone(work: () => Promise<void>): Promise<void> {
    while (this.#syncing) await this.#syncing;
    await this.#beginSync(work);
  }

  #beginSync(work: () => Promise<void>): Promise<void> {
    const done = work().finally(() => {
      this.#syncing = undefined;
    });
    this.#syncing = done;
    return done;
  }

  async #syncFile(): Promise<void> {
    const end = this.end;
    if (this.#file && (this.synced !== end || this.#syncFailure)) await this.#datasync(this.#file);
    if (this.#file) this.synced = Math.max(this.synced, end);
  }

  async #datasync(file: OpenSegment): Promise<void> {
    if (this.#syncFailure) throw this.#syncFailure.error;
    try {
      await file.datasync();
    } catch (error) {
      this.#syncFailure = { error };
      throw error;
    }
  }

  /** Begins to make room behind the end of the open segment. Nobody waits for it, and it does not fail. */
  preallocate(): void {
    const { preallocateBytes, segmentBytesMax } = this.#options;
    if (preallocateBytes === 0 || !this.#file) return;
    const bytesBefore = this.preallocatedBytes;
    const zeroed = this.#file.preallocate(this.#segments.at(-1)!.endOffset, segmentBytesMax, preallocateBytes);
    void zeroed?.then(() => this.observer?.preallocated(Math.max(0, this.preallocatedBytes - bytesBefore)));
  }

  /** Gives up what is allocated behind the end of the open segment; durable after the next data sync. */
  async trim(): Promise<void> {
    const end = this.#segments.at(-1)?.endOffset ?? 0;
    if (this.#file && this.#file.allocatedEnd > end) await this.#file.trim(end);
    else await this.#file?.settle();
  }

  /**
   * Takes segments that lie wholly below `position` out of the log, oldest first and durably one by one, so that no gap can
   * arise. Returns how many.
   */
  async removeBefore(position: number): Promise<number> {
    await this.#removeLeftovers();
    let removed = 0;
    while (this.#segments.length > 1 && segmentEnd(this.#segments[0]!) <= position) {
      await this.#spares.retire(this.#segments[0]!);
      this.#segments.shift();
      removed += 1;
      await this.#fs.syncDir(this.#dir);
      this.#spares.settle();
    }
    return removed;
  }

  /**
   * Drops everything from file offset `offset` of the segment with index `index` on, by beginning a new segment that says so: its
   * header under its name is the cut. What the dropped bytes are found in afterwards means nothing, and is removed.
   * @throws WalError if the new file could not be created; then nothing was cut
   */
  async cut(index: number, offset: number, createdMs: number): Promise<void> {
    const dropped = this.#segments.slice(index + 1);
    await this.#begin(createdMs, { index, offset });
    this.#leftovers.push(...dropped);
    const before = this.#segments[index]!;
    try {
      await this.#removeLeftovers();
      const file = await this.#fs.open(before.path, 'write');
      await file.truncate(offset).finally(() => file.close());
    } catch (error) {
      // The log is cut; only space is not free yet. But after a failed sync nothing is certain.
      if (error instanceof IoError && error.path === this.#dir) throw error;
    }
  }

  /** Gives up spare files and closes the file. */
  async close(): Promise<void> {
    await this.#syncing?.catch(() => undefined);
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
    await this.#spares.clear();
  }

  /**
   * Begins the next segment: what is before is made durable first, and the new one before anything is written to it.
   * With `cut`, it continues that place rather than the end.
   */
  async #begin(createdMs: number, cut?: Cut): Promise<void> {
    await this.sync();
    await this.#file?.settle();
    const last = this.#segments.at(-1);
    const before = cut ? this.#segments[cut.index] : last;
    const id = last ? last.id + 1 : 1;
    const base = last ? segmentEnd(last) : 0;
    const previousEnd = cut ? before!.base + cut.offset : base;
    const header = { id, base, previousEnd, createdMs, previousId: before?.id ?? id - 1, recycled: false };
    const { file, recycled } = await this.#create(header, cut !== undefined);
    await this.#fs.syncDir(this.#dir);
    const old = this.#file;
    this.#file = file;
    if (cut) this.#dropFrom(cut);
    this.#segments.push({
      id,
      path: segmentPath(this.#dir, id),
      base,
      previousEnd,
      endOffset: HEADER_BYTES,
      readers: 0,
      leaving: false,
    });
    this.#complete = false;
    this.synced = this.end;
    this.observer?.began(id, recycled);
    // What is behind the end of the old one means nothing, whether it goes or not.
    if (old && last && !cut && old.allocatedEnd > last.endOffset) await old.trim(last.endOffset).catch(() => undefined);
    await old?.close();
  }

  #dropFrom({ index, offset }: Cut): void {
    const segment = this.#segments[index]!;
    this.#segments.length = index + 1;
    segment.endOffset = offset;
    const position = segmentEnd(segment);
    for (const reader of this.readers) reader.limit = Math.min(reader.limit, position);
  }

  /** The file of a new segment with its header, durable but for its name. */
  async #create(header: SegmentHeader, atCut: boolean): Promise<{ file: OpenSegment; recycled: boolean }> {
    const path = segmentPath(this.#dir, header.id);
    const spare = this.#spares.take();
    const recycled = spare && (await this.#recycle(spare.path, encodeHeader({ ...header, recycled: true })));
    if (recycled) {
      await recycled.datasync();
      await this.#fs.rename(spare.path, path);
      return { file: new OpenSegment(recycled, spare.bytes), recycled: true };
    }
    // A cut takes effect with the name, so that the file gets it last.
    const created = atCut ? inDirectory(this.#dir, spareName(header.id)) : path;
    const file = await this.#createFile(created, encodeHeader(header));
    await file.datasync();
    if (atCut) await this.#fs.rename(created, path);
    return { file: new OpenSegment(file, HEADER_BYTES), recycled: false };
  }

  /** A spare file with a new header; undefined if it is not to be had, or (on file systems that copy on write) has no space. */
  async #recycle(path: string, header: Uint8Array): Promise<File | undefined> {
    const file = await this.#fs.open(path, 'write').catch(() => undefined);
    try {
      await file?.write([header], 0);
      return file;
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      await file?.close();
      await this.#fs.unlink(path);
      return undefined;
    }
  }

  /** @throws WalError if there is no space for it, or it cannot be created */
  async #createFile(path: string, header: Uint8Array): Promise<File> {
    for (let attempt = 0; ; attempt++) {
      try {
        const file = await this.#fs.open(path, 'create');
        try {
          await file.write([header], 0);
          return file;
        } catch (error) {
          await file.close();
          await this.#fs.unlink(path).catch((failure) => {
            throw new CreationFailed(failure);
          });
          throw isNoSpace(error) ? error : new CreationFailed(error);
        }
      } catch (error) {
        if (error instanceof CreationFailed) throw error.cause;
        if (!isNoSpace(error) || attempt > 0) throw asWalError(error);
        await this.trim();
      }
    }
  }

  /** Takes back what was written of a group: it must not come back after a crash behind what is written in its place. */
  #withdraw(segment: Segment, file: OpenSegment): Promise<void> {
    return this.#syncAlone(async () => {
      await file.trim(segment.endOffset);
      await this.#datasync(file);
      this.synced = segmentEnd(segment);
    });
  }

  async #freeSpares(): Promise<boolean> {
    try {
      return await this.#spares.clear();
    } catch {
      return false;
    }
  }

  async #removeLeftovers(): Promise<void> {
    if (this.#leftovers.length === 0) return;
    for (let oldest = this.#leftovers[0]; oldest; oldest = this.#leftovers[0]) {
      await this.#spares.retire(oldest);
      this.#leftovers.shift();
    }
    await this.#fs.syncDir(this.#dir);
    this.#spares.settle();
  }
}

/** A failure between creating a file and having its header written, after which nothing is certain. */
class CreationFailed {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

async function openFile(fs: FileSystem, path: string, mode: OpenMode): Promise<File> {
  try {
    return await fs.open(path, mode);
  } catch (error) {
    throw asWalError(error);
  }
}
