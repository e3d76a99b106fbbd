// Files kept to become segments: those of segments that were dropped. Their blocks are allocated, so that data syncs over them
// are cheap. What is in them means nothing, since checksums are salted with the segment's id. A spare becomes a segment only
// with its new header written and synced, so that a file under a segment's name always has a header of its own.
//
//   segment ─► dropped ─► rename to NNN.spare ─► new header ─► data sync ─► rename to the new segment's name ─► directory sync
import type { FileSystem } from 'nori-io';
import { inDirectory, type Segment } from './segment.js';
import { spareName } from './segment-format.js';

interface Spare {
  readonly path: string;
  readonly bytes: number;
}

/** See the top of this file. The caller makes names durable, and then says so with {@link SpareFiles.settle}. */
export class SpareFiles {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #filesMax: number;
  readonly #bytesMin: number;
  readonly #spares: Spare[] = [];
  /** Renamed, but their names are not durable yet: until then they are not overwritten. */
  readonly #retired: Spare[] = [];

  /** Keeps at most `filesMax` files, of at least `bytesMin` each. */
  constructor(fs: FileSystem, dir: string, filesMax: number, bytesMin: number) {
    this.#fs = fs;
    this.#dir = dir;
    this.#filesMax = filesMax;
    this.#bytesMin = bytesMin;
  }

  get count(): number {
    return this.#spares.length;
  }

  get bytes(): number {
    let bytes = 0;
    for (const spare of this.#spares) bytes += spare.bytes;
    return bytes;
  }

  /** Takes the file of a dropped segment out of the log: keeps it, or removes it. */
  async retire(segment: Segment): Promise<void> {
    segment.leaving = true;
    try {
      await this.#removeOrKeep(segment);
    } catch (error) {
      segment.leaving = false;
      throw error;
    }
  }

  /** The directory was synced: what was retired may be used. */
  settle(): void {
    this.#spares.push(...this.#retired.splice(0));
  }

  /** Takes a spare, which is the caller's from now on; undefined if there is none. */
  take(): Spare | undefined {
    return this.#spares.pop();
  }

  /** Removes all spares. True if there were any. */
  async clear(): Promise<boolean> {
    let any = false;
    for (let spare = this.take(); spare; spare = this.take()) {
      any = true;
      await this.#fs.unlink(spare.path);
    }
    return any;
  }

  async #removeOrKeep(segment: Segment): Promise<void> {
    const { id, path, endOffset, readers } = segment;
    const kept = this.#spares.length + this.#retired.length;
    if (readers > 0 || endOffset < this.#bytesMin || kept >= this.#filesMax) {
      await this.#fs.unlink(path);
      return;
    }
    const spare = { path: inDirectory(this.#dir, spareName(id)), bytes: endOffset };
    await this.#fs.rename(path, spare.path);
    this.#retired.push(spare);
  }
}
