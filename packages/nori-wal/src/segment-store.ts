// The segments on disk, and the file that is being written. Opening, writing and syncing are serialized by the caller.
// What they throw tells how bad it is: a WalError left everything as it was, and writing may go on; anything else means that the
// state of the disk is unknown, and the log must not be written any more.
import { type File, type FileSystem, IoError, type OpenMode } from 'nori-io';
import { type Segment, segmentEnd, segmentPath } from './segment.js';
import { encodeHeader, HEADER_BYTES } from './segment-format.js';
import { asWalError } from './wal-error.js';

/** See the top of this file. */
export class SegmentStore {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #segments: Segment[];
  /** Open for the last segment; undefined until it is first written. */
  #file: File | undefined;
  /** The last segment is complete; writing goes on in a new one. */
  #complete: boolean;
  /** Position up to which everything is durable. */
  synced: number;
  /** Called with the id of each segment that is begun. */
  onBegin: (id: number) => void = () => undefined;

  constructor(fs: FileSystem, dir: string, segments: Segment[], appendable: boolean) {
    this.#fs = fs;
    this.#dir = dir;
    this.#segments = segments;
    this.#complete = !appendable;
    this.synced = this.end;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
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
    this.#file ??= await openFile(this.#fs, this.#segments.at(-1)!.path, 'write');
  }

  /**
   * Writes at the end of the open segment.
   * @throws WalError `WAL_NO_SPACE`
   */
  async write(pieces: readonly Uint8Array[], bytes: number): Promise<void> {
    const segment = this.#segments.at(-1)!;
    const file = this.#file!;
    try {
      await file.write(pieces, segment.endOffset);
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      // What was written of the group must not come back after a crash behind what is written in its place.
      await file.truncate(segment.endOffset);
      await file.datasync();
      this.synced = segmentEnd(segment);
      throw asWalError(error);
    }
    segment.endOffset += bytes;
  }

  /** Makes everything written durable. */
  async sync(): Promise<void> {
    const end = this.end;
    if (this.synced === end || !this.#file) return;
    await this.#file.datasync();
    this.synced = end;
  }

  /** Removes segments that lie wholly below `position`, oldest first and durably one by one, so that no gap can arise. */
  async removeBefore(position: number): Promise<number> {
    let removed = 0;
    while (this.#segments.length > 1 && segmentEnd(this.#segments[0]!) <= position) {
      const oldest = this.#segments[0]!;
      await this.#fs.unlink(oldest.path);
      this.#segments.shift();
      removed += 1;
      await this.#fs.syncDir(this.#dir);
    }
    return removed;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /** Begins the next segment: the one before is made durable first, and the new one before anything is written to it. */
  async #begin(createdMs: number): Promise<void> {
    await this.sync();
    const before = this.#segments.at(-1);
    const base = before ? segmentEnd(before) : 0;
    const segment: Segment = {
      id: before ? before.id + 1 : 1,
      path: segmentPath(this.#dir, before ? before.id + 1 : 1),
      base,
      endOffset: HEADER_BYTES,
    };
    const header = encodeHeader({ id: segment.id, base, previousEnd: base, createdMs });
    const file = await openFile(this.#fs, segment.path, 'create');
    try {
      await file.write([header], 0);
    } catch (error) {
      await file.close();
      await this.#fs.unlink(segment.path);
      throw isNoSpace(error) ? asWalError(error) : error;
    }
    await file.datasync();
    await this.#fs.syncDir(this.#dir);
    await this.close();
    this.#file = file;
    this.#segments.push(segment);
    this.#complete = false;
    this.synced = segmentEnd(segment);
    this.onBegin(segment.id);
  }
}

async function openFile(fs: FileSystem, path: string, mode: OpenMode): Promise<File> {
  try {
    return await fs.open(path, mode);
  } catch (error) {
    throw asWalError(error);
  }
}

const isNoSpace = (error: unknown): boolean => error instanceof IoError && error.code === 'IO_NO_SPACE';
