// Finds out what a log holds. `inspect` only reads: it verifies every record of every segment and either refuses, or says
// what there is to repair. `repair` then changes the disk, so that a refusal never does.
//
// Only the last segment may end badly, because a segment is synced in full before the next one is begun:
//
//   older segment   must have a sound header that fits its neighbour, and sound records up to the end its successor states
//   last segment    no header yet            → nothing in it was ever acknowledged: it is removed
//                   a bad record, and a sound marker behind it that says "synced" beyond it → acknowledged data is lost: refuse
//                   a bad record otherwise, or a batch without its end                      → a torn tail: cut
//
// What was written but never provably synced is written once more in place and synced before it counts as recovered: after a
// failed sync the kernel takes such pages for clean, and a sync alone would not write them.
import type { File, FileSystem } from 'nori-io';
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
import { type Segment, segmentPath } from './segment.js';
import {
  decodeHeader,
  HEADER_BYTES,
  type HeaderVerdict,
  parseSegmentName,
  type SegmentHeader,
  segmentName,
} from './segment-format.js';
import { corruptRecord, WalError } from './wal-error.js';

const CHUNK_BYTES = 1024 * 1024;

/** What was cut off the end of the log when it was opened. */
export interface RecoveryCut {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
}

/** What a log was found to hold. */
export interface Inspection {
  /** In order; the last one may be written on. */
  readonly segments: Segment[];
  readonly records: number;
  /** Payload bytes of these records. */
  readonly bytes: number;
  readonly cut: RecoveryCut | undefined;
  /** A last file without a header, to be removed. */
  readonly unwritten: string | undefined;
  /** File offset in the last segment up to which everything was provably synced. */
  readonly syncedOffset: number;
}

/** Reads and verifies a log. @throws WalError */
export async function inspect(fs: FileSystem, dir: string): Promise<Inspection> {
  const ids: number[] = [];
  for (const name of await fs.readdir(dir)) {
    const id = parseSegmentName(name);
    if (id !== undefined) ids.push(id);
  }
  ids.sort((a, b) => a - b);
  const { headers, unwritten } = await readHeaders(fs, dir, ids);
  checkNeighbours(dir, headers);
  const segments: Segment[] = [];
  let records = 0;
  let bytes = 0;
  let cut: RecoveryCut | undefined;
  let syncedOffset = HEADER_BYTES;
  for (const [index, header] of headers.entries()) {
    const path = segmentPath(dir, header.id);
    const file = await fs.open(path, 'read');
    try {
      const next = headers[index + 1];
      const scan = new SegmentScan(file, header);
      if (next) await scan.whole(next.previousEnd - header.base);
      else await scan.tail();
      segments.push({ id: header.id, path, base: header.base, endOffset: scan.endOffset });
      records += scan.records;
      bytes += scan.bytes;
      cut = scan.cut;
      syncedOffset = scan.syncedOffset;
    } finally {
      await file.close();
    }
  }
  if (unwritten) cut ??= unwritten.bytes > 0 ? { file: unwritten.path, offset: 0, bytes: unwritten.bytes } : undefined;
  return { segments, records, bytes, cut, unwritten: unwritten?.path, syncedOffset };
}

/** Carries out what an inspection found necessary, and makes all that is kept durable. Says if the last segment may be written on. */
export async function repair(
  fs: FileSystem,
  dir: string,
  found: Inspection,
): Promise<{ readonly appendable: boolean }> {
  const { segments, cut, syncedOffset } = found;
  const last = segments.at(-1);
  let appendable = last !== undefined && found.unwritten === undefined;
  if (last) {
    const clean = cut?.file !== last.path && last.endOffset === syncedOffset;
    if (!clean || last.endOffset === HEADER_BYTES) {
      const file = await fs.open(last.path, 'write');
      try {
        if (file.sizeSync() > last.endOffset) await file.truncate(last.endOffset);
        await rewrite(file, last.endOffset === HEADER_BYTES ? 0 : syncedOffset, last.endOffset);
        await file.datasync();
      } finally {
        await file.close();
      }
      appendable &&= last.endOffset === HEADER_BYTES;
    }
  }
  if (found.unwritten !== undefined) await fs.unlink(found.unwritten);
  if (segments.length > 0 || found.unwritten !== undefined) await fs.syncDir(dir);
  return { appendable };
}

/** Writes the bytes from `from` up to `to` over themselves. */
async function rewrite(file: File, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += CHUNK_BYTES) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, to - at));
    await file.read(chunk, at);
    await file.write([chunk], at);
  }
}

interface Headers {
  readonly headers: SegmentHeader[];
  readonly unwritten: { readonly path: string; readonly bytes: number } | undefined;
}

async function readHeaders(fs: FileSystem, dir: string, ids: readonly number[]): Promise<Headers> {
  const headers: SegmentHeader[] = [];
  for (const [index, id] of ids.entries()) {
    const path = segmentPath(dir, id);
    const previous = ids[index - 1];
    if (previous !== undefined && previous !== id - 1) {
      const missing = segmentPath(dir, previous + 1);
      throw new WalError('WAL_MISSING_SEGMENT', `The log file ${missing} is missing. Restore it from a copy`, {
        file: missing,
      });
    }
    const { verdict, sizeBytes } = await readHeader(fs, path);
    if (typeof verdict === 'object') {
      if (verdict.id !== id) {
        throw corruptHeader(path, 16, `it says that it is segment ${segmentName(verdict.id)}`);
      }
      headers.push(verdict);
      continue;
    }
    if (verdict === 'foreign') {
      throw new WalError('WAL_NOT_A_LOG', `The file ${path} was not written by nori-wal. Move it out of the way`, {
        file: path,
        offset: 0,
      });
    }
    // Records follow a header only once it is durable: a file that holds more than a header had a sound one.
    if (verdict === 'damaged' || sizeBytes > HEADER_BYTES || index < ids.length - 1) {
      throw corruptHeader(path, 0, 'its header is damaged');
    }
    return { headers, unwritten: { path, bytes: sizeBytes } };
  }
  return { headers, unwritten: undefined };
}

async function readHeader(fs: FileSystem, path: string): Promise<{ verdict: HeaderVerdict; sizeBytes: number }> {
  const file = await fs.open(path, 'read');
  try {
    const bytes = new Uint8Array(HEADER_BYTES);
    const read = await file.read(bytes, 0);
    return { verdict: decodeHeader(bytes.subarray(0, read), path), sizeBytes: file.sizeSync() };
  } finally {
    await file.close();
  }
}

function checkNeighbours(dir: string, headers: readonly SegmentHeader[]): void {
  for (let index = 1; index < headers.length; index++) {
    const { id, base, previousEnd } = headers[index]!;
    const before = headers[index - 1]!;
    if (base < previousEnd || previousEnd < before.base + HEADER_BYTES) {
      throw corruptHeader(segmentPath(dir, id), 24, 'it does not continue the segment before it');
    }
  }
}

function corruptHeader(file: string, offset: number, what: string): WalError {
  return new WalError(
    'WAL_CORRUPT_HEADER',
    `The log file ${file} is damaged at offset ${offset}: ${what}. Restore it from a copy`,
    {
      file,
      offset,
    },
  );
}

/** Walks one segment, and counts. */
class SegmentScan {
  readonly #file: File;
  readonly #base: number;
  readonly #salt: number;
  records = 0;
  bytes = 0;
  endOffset = HEADER_BYTES;
  syncedOffset = HEADER_BYTES;
  cut: RecoveryCut | undefined;
  #problem = '';
  /** File offset of the bad record; `endOffset` may lie before it, where its batch began. */
  #badOffset = 0;

  constructor(file: File, header: SegmentHeader) {
    this.#file = file;
    this.#base = header.base;
    this.#salt = segmentSalt(header.id);
  }

  /** A segment that has a successor. Bytes beyond `endOffset` are of no concern (room for preallocation). */
  async whole(endOffset: number): Promise<void> {
    const path = this.#file.path;
    const sizeBytes = this.#file.sizeSync();
    if (sizeBytes < endOffset) {
      throw new WalError(
        'WAL_MISSING_SEGMENT',
        `The log file ${path} ends at offset ${sizeBytes} instead of ${endOffset}. Restore it from a copy`,
        { file: path, offset: sizeBytes },
      );
    }
    if (!(await this.#walk(endOffset))) throw corruptRecord(path, this.#badOffset, this.#problem);
  }

  /** The last segment: what follows the sound records is a torn tail, unless a marker in it proves otherwise. */
  async tail(): Promise<void> {
    const sizeBytes = this.#file.sizeSync();
    if (await this.#walk(sizeBytes)) {
      // A marker alone at the end is where the next group will write its own; it holds nothing.
      if (this.#bareMarker) this.endOffset -= MARKER_BYTES;
      return;
    }
    if (this.syncedOffset > this.endOffset || (await this.#findSynced(sizeBytes)) > this.#base + this.#badOffset) {
      throw corruptRecord(this.#file.path, this.#badOffset, `${this.#problem}, although it had been synced`);
    }
    this.cut = { file: this.#file.path, offset: this.endOffset, bytes: sizeBytes - this.endOffset };
  }

  #bareMarker = false;

  /** True if everything up to `to` is sound, and whole batches. */
  async #walk(to: number): Promise<boolean> {
    const scanner = new RecordScanner({
      file: this.#file,
      salt: this.#salt,
      base: this.#base,
      from: HEADER_BYTES,
      to,
      chunkBytes: CHUNK_BYTES,
      keepPayloads: false,
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
        batchBytes += scanner.payloadBytes;
        if ((flags & BATCH_CONTINUES) !== 0) continue;
        if (batchRecords > 1 && (flags & BATCH_ENDS) === 0) return this.#stop(scanner.offset, 'a batch is broken off');
        this.records += batchRecords;
        this.bytes += batchBytes;
        batchRecords = 0;
        batchBytes = 0;
        this.endOffset = scanner.nextOffset;
      } else if (step === 'more') {
        await scanner.fill();
      } else if (step === 'end') {
        return batchRecords === 0 || this.#stop(to, 'a batch is broken off');
      } else {
        return this.#stop(scanner.offset, scanner.problem);
      }
    }
  }

  #stop(offset: number, problem: string): false {
    this.#badOffset = offset;
    this.#problem = problem;
    return false;
  }

  /** The highest synced position that a sound marker behind the bad record states; 0 if there is none. */
  async #findSynced(sizeBytes: number): Promise<number> {
    let synced = 0;
    const chunk = new Uint8Array(CHUNK_BYTES);
    const view = Buffer.from(chunk.buffer);
    for (let from = this.#badOffset; from + MARKER_BYTES <= sizeBytes; from += CHUNK_BYTES - MARKER_BYTES + 1) {
      const filled = await this.#file.read(chunk, from);
      let at = view.indexOf(MARKER_MAGIC, MARKER_MAGIC_OFFSET);
      while (at >= 0 && at - MARKER_MAGIC_OFFSET + MARKER_BYTES <= filled) {
        const start = at - MARKER_MAGIC_OFFSET;
        synced = Math.max(synced, readMarker(chunk, start, this.#salt, this.#base + from + start));
        at = view.indexOf(MARKER_MAGIC, at + 1);
      }
    }
    return synced;
  }
}
