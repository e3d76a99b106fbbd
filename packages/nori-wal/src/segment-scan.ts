// Walks one segment when a log is opened: verifies every record, counts, finds out where the records end and how, and hands
// the records over if someone wants them.
import type { File } from 'nori-io';
import type { WalRecord } from './log-reader.js';
import {
  BATCH_CONTINUES,
  BATCH_ENDS,
  MARKER_BYTES,
  MARKER_MAGIC,
  MARKER_MAGIC_OFFSET,
  readMarker,
  segmentSalt,
} from './record-format.js';
import { RecordScanner } from './record-scanner.js';
import type { RecordSink } from './record-sink.js';
import { HEADER_BYTES, type SegmentHeader } from './segment-format.js';
import { corruptRecord, WalError } from './wal-error.js';

const CHUNK_BYTES = 1024 * 1024;
const PAGE_BYTES = 4096;
const zeroPage = new Uint8Array(PAGE_BYTES);
/** How often a segment may become shorter while it is read, before it is given up. */
const TRIMS_MAX = 100;

/** What is behind a bad record. */
interface Rest {
  readonly synced: number;
  readonly markersEnd: number;
  readonly usedEnd: number;
}

const NO_REST: Rest = { synced: 0, markersEnd: 0, usedEnd: 0 };

/** What was cut off the end of the log when it was opened. */
export interface RecoveryCut {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
}

/** How a scan is made. */
export interface ScanOptions {
  readonly recordBytesMax: number;
  /** Gets the records from `sinkFrom` on. */
  readonly sink?: RecordSink | undefined;
  readonly sinkFrom?: number | undefined;
  /** Whether a writer may be at work on the last segment meanwhile; see read-log.ts. */
  readonly besideWriter?: boolean;
}

/** See the top of this file. */
export class SegmentScan {
  readonly #file: File;
  readonly #base: number;
  readonly #salt: number;
  readonly #recycled: boolean;
  readonly #options: ScanOptions;
  /** Records to hand over, and how many of them are of complete batches. */
  #batch: WalRecord[] = [];
  #complete = 0;
  records = 0;
  /** Bytes of these records, uncompressed. */
  bytes = 0;
  endOffset = HEADER_BYTES;
  syncedOffset = HEADER_BYTES;
  /** The file goes on behind `endOffset`. */
  hasTail = false;
  cut: RecoveryCut | undefined;
  #problem = '';
  /** File offset of the bad record; `endOffset` may lie before it, where its batch began. */
  #badOffset = 0;
  #bareMarker = false;

  constructor(file: File, header: SegmentHeader, options: ScanOptions) {
    this.#file = file;
    this.#base = header.base;
    this.#salt = segmentSalt(header.id);
    this.#recycled = header.recycled;
    this.#options = options;
  }

  /** A segment that has a successor, and ends where that says; `cutThere` if the log was cut there, maybe inside a batch. */
  async whole(endOffset: number, cutThere: boolean): Promise<void> {
    const path = this.#file.path;
    const sizeBytes = this.#file.sizeSync();
    if (sizeBytes < endOffset) {
      throw new WalError(
        'WAL_MISSING_SEGMENT',
        `The log file ${path} ends at offset ${sizeBytes} instead of ${endOffset}. Restore it from a copy`,
        { file: path, offset: sizeBytes },
      );
    }
    if (!(await this.#walk(endOffset, cutThere))) throw corruptRecord(path, this.#badOffset, this.#problem);
    this.endOffset = endOffset;
    this.hasTail = sizeBytes > endOffset;
  }

  /** The last segment: what follows the sound records is room for more, or a torn tail, unless a marker in it proves a loss. */
  async tail(): Promise<void> {
    const { besideWriter = false } = this.#options;
    const { path } = this.#file;
    let isSound = await this.#walkToEnd(besideWriter);
    const rest = isSound ? NO_REST : await this.#searchRest(this.#file.sizeSync());
    const isProven = (): boolean => this.syncedOffset > this.endOffset || rest.synced > this.#base + this.#badOffset;
    // What a marker vouches for was written before it: if it was bad only because it was being written, it is sound by now.
    if (!isSound && besideWriter && isProven()) isSound = await this.#walkToEnd(true);
    if (isSound) {
      // A marker alone at the end is where the next group will write its own; it holds nothing.
      if (this.#bareMarker) this.endOffset -= MARKER_BYTES;
      return;
    }
    if (isProven()) throw corruptRecord(path, this.#badOffset, `${this.#problem}, although it had been synced`);
    this.hasTail = true;
    const tornEnd = Math.max(this.#badOffset, this.#recycled ? rest.markersEnd : rest.usedEnd);
    if (tornEnd > this.endOffset) this.cut = { file: path, offset: this.endOffset, bytes: tornEnd - this.endOffset };
  }

  /** Walks from `endOffset` to the end of the file, which a writer may draw nearer meanwhile. */
  async #walkToEnd(besideWriter: boolean): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      const sizeBytes = this.#file.sizeSync();
      try {
        return await this.#walk(sizeBytes, false);
      } catch (error) {
        const isShorter = besideWriter && error instanceof WalError && this.#file.sizeSync() < sizeBytes;
        if (!isShorter || attempt === TRIMS_MAX) throw error;
      }
    }
  }

  /** True if everything from `endOffset` up to `to` is sound, and whole batches. */
  async #walk(to: number, cutThere: boolean): Promise<boolean> {
    const { sink, recordBytesMax } = this.#options;
    this.#batch = [];
    this.#complete = 0;
    const scanner = new RecordScanner({
      file: this.#file,
      salt: this.#salt,
      base: this.#base,
      from: this.endOffset,
      to,
      chunkBytes: CHUNK_BYTES,
      keepPayloads: sink !== undefined,
      recordBytesMax,
    });
    let batchRecords = 0;
    let batchBytes = 0;
    for (;;) {
      const step = scanner.step();
      if (step === 'record') {
        const { flags } = scanner;
        if (scanner.isMarker) {
          if (batchRecords > 0) return this.#stop(scanner.offset, 'a batch is broken off');
          this.syncedOffset = Math.max(this.syncedOffset, scanner.synced - this.#base);
          this.endOffset = scanner.nextOffset;
          this.#bareMarker = scanner.synced === this.#base + scanner.offset;
          continue;
        }
        this.#bareMarker = false;
        batchRecords += 1;
        batchBytes += scanner.dataBytes;
        if (sink) this.#keep(scanner);
        if ((flags & BATCH_CONTINUES) !== 0) continue;
        if (batchRecords > 1 && (flags & BATCH_ENDS) === 0) return this.#stop(scanner.offset, 'a batch is broken off');
        this.#count(batchRecords, batchBytes, scanner.nextOffset);
        batchRecords = 0;
        batchBytes = 0;
      } else if (step === 'more') {
        await this.#handOver();
        await scanner.fill();
      } else if (step === 'end') {
        if (batchRecords > 0 && !cutThere) return this.#stop(to, 'a batch is broken off');
        if (batchRecords > 0) this.#count(batchRecords, batchBytes, to);
        await this.#handOver();
        return true;
      } else {
        await this.#handOver();
        return this.#stop(scanner.offset, scanner.problem);
      }
    }
  }

  #count(records: number, bytes: number, endOffset: number): void {
    this.records += records;
    this.bytes += bytes;
    this.endOffset = endOffset;
    this.#complete = this.#batch.length;
  }

  #keep(scanner: RecordScanner): void {
    const position = this.#base + scanner.offset;
    if (position < (this.#options.sinkFrom ?? 0)) return;
    this.#batch.push({ position, next: this.#base + scanner.nextOffset, data: scanner.data() });
  }

  /** Hands over the records that are certain to be kept. */
  async #handOver(): Promise<void> {
    if (this.#complete === 0) return;
    const complete = this.#batch;
    this.#batch = complete.splice(this.#complete);
    this.#complete = 0;
    await this.#options.sink!(complete);
  }

  #stop(offset: number, problem: string): false {
    this.#badOffset = offset;
    this.#problem = problem;
    return false;
  }

  /**
   * What is behind the bad record: the highest synced position that a sound marker states (0 if there is none), where the last
   * such marker ends, and where the last byte ends that is not zero.
   */
  async #searchRest(sizeBytes: number): Promise<Rest> {
    let synced = 0;
    let markersEnd = 0;
    let usedEnd = 0;
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(0, sizeBytes - this.#badOffset)));
    const view = Buffer.from(chunk.buffer);
    for (let from = this.#badOffset; from < sizeBytes; from += CHUNK_BYTES - MARKER_BYTES + 1) {
      const filled = await this.#file.read(chunk, from);
      const used = usedBytes(view, filled);
      if (used === 0) continue;
      usedEnd = from + used;
      let at = view.indexOf(MARKER_MAGIC, MARKER_MAGIC_OFFSET);
      while (at >= 0 && at - MARKER_MAGIC_OFFSET + MARKER_BYTES <= filled) {
        const start = at - MARKER_MAGIC_OFFSET;
        const stated = readMarker(chunk, start, this.#salt, this.#base + from + start);
        if (stated >= 0) markersEnd = from + start + MARKER_BYTES;
        synced = Math.max(synced, stated);
        at = view.indexOf(MARKER_MAGIC, at + 1);
      }
    }
    return { synced, markersEnd, usedEnd };
  }
}

/** How many bytes of the first `filled` there are up to the last one that is not zero. */
function usedBytes(chunk: Buffer, filled: number): number {
  let end = filled;
  while (end > 0) {
    const start = Math.max(0, end - PAGE_BYTES);
    if (chunk.compare(zeroPage, 0, end - start, start, end) !== 0) break;
    end = start;
  }
  while (end > 0 && chunk[end - 1] === 0) end -= 1;
  return end;
}
