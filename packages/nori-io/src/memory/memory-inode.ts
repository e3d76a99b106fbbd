// The bytes of one file, as programs see them now and as the disk has them. For every 4 KiB page that was changed since the last
// data sync, the durable bytes are kept aside; a crash then picks, page by page, what the disk got.
//
//   write / truncate ─► page is dirty: its durable bytes are in #durablePages
//   datasync         ─► pages become clean, the size durable
//   failed datasync  ─► pages are marked lost: programs still read them, no later sync writes them (as on Linux), unless they
//                       are written again
import { Fingerprint } from './fingerprint.js';

/** The unit in which unsynced bytes survive a crash or do not. */
export const MEMORY_PAGE_BYTES = 4096;
const SECTOR_BYTES = 512;

/** What a crash takes its decisions from: numbers in [0, 1). */
export interface RandomSource {
  next(): number;
}

interface DirtyPage {
  /** What the disk has. */
  readonly durable: Uint8Array;
  /** A sync of it failed; syncs skip it until it is written again. */
  lost: boolean;
}

const ZERO_PAGE = new Uint8Array(MEMORY_PAGE_BYTES);

/** A file's bytes without a name. */
export class MemoryInode {
  #data = new Uint8Array(0);
  #sizeBytes = 0;
  #durableSizeBytes = 0;
  readonly #durablePages = new Map<number, DirtyPage>();
  /** Of a file made by {@link crash}: stands for what survived. */
  #crashFingerprint = '';

  get crashFingerprint(): string {
    return this.#crashFingerprint;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Whole pages in use, in bytes. */
  get allocatedBytes(): number {
    return Math.ceil(this.#sizeBytes / MEMORY_PAGE_BYTES) * MEMORY_PAGE_BYTES;
  }

  read(buffer: Uint8Array, position: number): number {
    const end = Math.min(position + buffer.length, this.#sizeBytes);
    if (end <= position) return 0;
    buffer.set(this.#data.subarray(position, end));
    return end - position;
  }

  write(buffer: Uint8Array, position: number): void {
    if (buffer.length === 0) return;
    const end = position + buffer.length;
    this.#touch(position, end);
    this.#reserve(end);
    this.#data.set(buffer, position);
    this.#sizeBytes = Math.max(this.#sizeBytes, end);
  }

  truncate(sizeBytes: number): void {
    if (sizeBytes < this.#sizeBytes) {
      this.#touch(sizeBytes, this.#sizeBytes);
      this.#data.fill(0, sizeBytes, this.#sizeBytes);
    } else {
      this.#reserve(sizeBytes);
    }
    this.#sizeBytes = sizeBytes;
  }

  datasync(): void {
    for (const [page, dirty] of this.#durablePages) if (!dirty.lost) this.#durablePages.delete(page);
    this.#durableSizeBytes = this.#sizeBytes;
  }

  failDatasync(): void {
    for (const dirty of this.#durablePages.values()) dirty.lost = true;
  }

  /** The same file in the same state of durability. */
  clone(): MemoryInode {
    const copy = new MemoryInode();
    copy.#data = this.#data.slice();
    copy.#sizeBytes = this.#sizeBytes;
    copy.#durableSizeBytes = this.#durableSizeBytes;
    for (const [page, dirty] of this.#durablePages) copy.#durablePages.set(page, { ...dirty });
    return copy;
  }

  /** What is found after a power failure: all of it durable. `keep` is the chance of an unsynced page to survive. */
  crash(rng: RandomSource, keep: number): MemoryInode {
    const copy = new MemoryInode();
    const fingerprint = new Fingerprint();
    const sizeBytes = this.#crashedSize(rng, keep);
    fingerprint.number(sizeBytes);
    copy.#reserve(Math.max(sizeBytes, this.#sizeBytes, this.#durableSizeBytes));
    copy.#data.set(this.#data.subarray(0, this.#sizeBytes));
    for (const [page, dirty] of this.#durablePages) {
      const keptBytes = dirty.lost ? 0 : survivingBytes(rng, keep);
      const start = page * MEMORY_PAGE_BYTES;
      // Bytes beyond the size that survived cannot be read: they make no difference.
      fingerprint.number(Math.max(0, Math.min(keptBytes, sizeBytes - start)));
      if (keptBytes === MEMORY_PAGE_BYTES) continue;
      const room = copy.#data.length - start;
      if (room > keptBytes) {
        copy.#data.set(dirty.durable.subarray(keptBytes, Math.min(MEMORY_PAGE_BYTES, room)), start + keptBytes);
      }
    }
    copy.#data.fill(0, sizeBytes);
    copy.#sizeBytes = sizeBytes;
    copy.#durableSizeBytes = sizeBytes;
    copy.#crashFingerprint = fingerprint.toString();
    return copy;
  }

  /** The size is metadata of its own: the old one, the new one, or, of a file that grew, some page's end between. */
  #crashedSize(rng: RandomSource, keep: number): number {
    if (this.#sizeBytes === this.#durableSizeBytes || rng.next() < keep) return this.#sizeBytes;
    const grown = this.#sizeBytes - this.#durableSizeBytes;
    if (grown < MEMORY_PAGE_BYTES || rng.next() < 0.5) return this.#durableSizeBytes;
    const between = this.#durableSizeBytes + Math.floor(rng.next() * grown);
    return Math.max(this.#durableSizeBytes, between - (between % MEMORY_PAGE_BYTES));
  }

  /** Keeps aside the durable bytes of the pages from `start` up to `end`, which are about to change. */
  #touch(start: number, end: number): void {
    const last = Math.floor((end - 1) / MEMORY_PAGE_BYTES);
    for (let page = Math.floor(start / MEMORY_PAGE_BYTES); page <= last; page++) {
      const dirty = this.#durablePages.get(page);
      if (dirty) {
        dirty.lost = false;
        continue;
      }
      const from = page * MEMORY_PAGE_BYTES;
      let durable = ZERO_PAGE;
      if (from < this.#sizeBytes) {
        durable = new Uint8Array(MEMORY_PAGE_BYTES);
        durable.set(this.#data.subarray(from, Math.min(from + MEMORY_PAGE_BYTES, this.#data.length)));
      }
      this.#durablePages.set(page, { durable, lost: false });
    }
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#data.length) return;
    const grown = new Uint8Array(
      Math.max(bytes, Math.min(this.#data.length * 2, this.#data.length + 16_777_216), 1024),
    );
    grown.set(this.#data.subarray(0, this.#sizeBytes));
    this.#data = grown;
  }
}

/** How many leading bytes of a dirty page reached the disk: usually all or none, sometimes the sectors before a tear. */
function survivingBytes(rng: RandomSource, keep: number): number {
  const fate = rng.next();
  if (keep > 0 && keep < 1 && rng.next() < 0.125) {
    return Math.floor(fate * (MEMORY_PAGE_BYTES / SECTOR_BYTES)) * SECTOR_BYTES;
  }
  return fate < keep ? MEMORY_PAGE_BYTES : 0;
}
