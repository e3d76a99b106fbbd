// What can be read of a damaged log, for repair tools: nothing here changes the disk. Where `readLog` refuses, `salvageLog` reads every
// sound record there is, also behind damage, and so gives up the promise that what is read is a prefix of what was written.
//
//   at damage: go on behind the record, if its length can be believed (a sound record begins there)
//              else at the next marker, which is found by its magic and believed by its checksum
//              else at the next segment
import { type File, type FileSystem, IoError, nodeFileSystem, readU64LE, readVarint, VarintCursor } from 'nori-io';
import type { WalRecord } from './log-reader.js';
import {
  FLAGS_AND_CRC_BYTES,
  MARKER_BYTES,
  MARKER_MAGIC,
  MARKER_MAGIC_OFFSET,
  RECORD_OVERHEAD_MAX,
  readMarker,
  segmentSalt,
} from './record-format.js';
import { RecordScanner } from './record-scanner.js';
import type { RecordSink } from './record-sink.js';
import { type ReadableHeader, readHeader, segmentIds } from './recovery.js';
import { segmentPath } from './segment.js';
import { HEADER_BYTES, type SegmentHeader } from './segment-format.js';
import { asWalError, corruptRecord, WalError } from './wal-error.js';

const CHUNK_BYTES = 1024 * 1024;
const RECORD_BYTES_MAX = 64 * 1024 * 1024;

/** Which log, and who wants its records. */
export interface LogSalvageOptions {
  readonly dir: string;
  /** Default: the real one. */
  readonly fs?: FileSystem;
  /** Largest record, as the log's owner has it. Default 64 MiB. */
  readonly recordBytesMax?: number;
  /** Gets the records in order, many at a time; what it returns is waited for. */
  readonly onRecords?: RecordSink;
}

/** What was read of a damaged log. */
export interface LogSalvage {
  readonly segments: number;
  readonly records: number;
  /** Position of the first byte of the first segment, if its header is sound; 0 if there are no segments. */
  readonly start: number | undefined;
  /** Each damage, with file and offset, in the order of the log. */
  readonly problems: readonly WalError[];
}

/**
 * Reads every sound record of a log, whatever else is damaged. A tail that was never acknowledged looks like damage here.
 * @throws WalError `WAL_UNSUPPORTED_VERSION`, `WAL_UNSUPPORTED_COMPRESSION`, `WAL_IO_FAILED` if a file cannot be opened
 */
export async function salvageLog(options: LogSalvageOptions): Promise<LogSalvage> {
  const { dir, fs = nodeFileSystem, recordBytesMax = RECORD_BYTES_MAX, onRecords } = options;
  try {
    const salvage = new Salvage(recordBytesMax, onRecords);
    const found = (await fs.stat(dir)) === undefined ? [] : await readSegments(fs, dir);
    for (const [index, segment] of found.entries()) await salvage.segment(fs, segment, found[index + 1]);
    const first = found[0];
    return {
      segments: found.length,
      records: salvage.records,
      start: first === undefined ? 0 : first.header?.base,
      problems: salvage.problems,
    };
  } catch (error) {
    throw error instanceof IoError ? asWalError(error) : error;
  }
}

interface FoundSegment {
  readonly id: number;
  readonly path: string;
  /** Undefined: it is not sound. */
  readonly header: SegmentHeader | undefined;
  readonly verdict: ReadableHeader['verdict'];
  readonly sizeBytes: number;
}

/** All segments in order, but for those that a cut has dropped. */
async function readSegments(fs: FileSystem, dir: string): Promise<FoundSegment[]> {
  const found: FoundSegment[] = [];
  for (const id of segmentIds(await fs.readdir(dir))) {
    const path = segmentPath(dir, id);
    const { verdict, sizeBytes } = await readHeader(fs, path);
    const header = typeof verdict === 'object' && verdict.id === id ? verdict : undefined;
    while (header !== undefined && found.length > 0 && found.at(-1)!.id > header.previousId) found.pop();
    found.push({ id, path, header, verdict, sizeBytes });
  }
  return found;
}

class Salvage {
  readonly problems: WalError[] = [];
  records = 0;
  readonly #recordBytesMax: number;
  readonly #sink: RecordSink | undefined;

  constructor(recordBytesMax: number, sink: RecordSink | undefined) {
    this.#recordBytesMax = recordBytesMax;
    this.#sink = sink;
  }

  async segment(fs: FileSystem, segment: FoundSegment, next: FoundSegment | undefined): Promise<void> {
    const { id, path, header, verdict, sizeBytes } = segment;
    if (verdict === 'foreign') {
      const message = `The file ${path} was not written by nori-wal, or its beginning is damaged`;
      this.problems.push(new WalError('WAL_NOT_A_LOG', message, { file: path, offset: 0 }));
    } else if (header === undefined && (next !== undefined || sizeBytes > HEADER_BYTES)) {
      const message = `The log file ${path} is damaged at offset 0: its header is not sound`;
      this.problems.push(new WalError('WAL_CORRUPT_HEADER', message, { file: path, offset: 0 }));
    }
    if (sizeBytes <= HEADER_BYTES && header === undefined) return;
    const file = await fs.open(path, 'read');
    try {
      const base = header?.base ?? (await baseFromMarker(file, segmentSalt(id)));
      const end = endOf(segment, next);
      if (end !== undefined && end > sizeBytes) {
        const message = `The log file ${path} ends at offset ${sizeBytes} instead of ${end}`;
        this.problems.push(new WalError('WAL_MISSING_SEGMENT', message, { file: path, offset: sizeBytes }));
      }
      checkGap(segment, next, this.problems);
      await this.#walk(file, segmentSalt(id), base, Math.min(end ?? sizeBytes, sizeBytes));
    } finally {
      await file.close();
    }
  }

  /** Reads from the header up to `to`, over all damage. */
  async #walk(file: File, salt: number, base: number, to: number): Promise<void> {
    let from = HEADER_BYTES;
    while (from < to) {
      const range = { file, salt, base, to, chunkBytes: CHUNK_BYTES, keepPayloads: true };
      const scanner = new RecordScanner({ ...range, from, recordBytesMax: this.#recordBytesMax });
      const problem = await this.#run(scanner, base);
      if (problem === undefined) return;
      const bad = scanner.offset;
      from = await this.#resume(file, salt, base, bad, to);
      if (from < to || !(await isAllZeros(file, bad, to))) this.problems.push(corruptRecord(file.path, bad, problem));
    }
  }

  /** Hands over records up to the end, or to damage; returns what is wrong there. */
  async #run(scanner: RecordScanner, base: number): Promise<string | undefined> {
    let batch: WalRecord[] = [];
    const handOver = async (): Promise<void> => {
      this.records += batch.length;
      if (batch.length > 0) await this.#sink?.(batch);
      batch = [];
    };
    for (;;) {
      try {
        const step = scanner.step();
        if (step === 'record' && !scanner.isMarker) {
          batch.push({ position: base + scanner.offset, next: base + scanner.nextOffset, data: scanner.data() });
        } else if (step === 'end' || step === 'bad') {
          await handOver();
          return step === 'end' ? undefined : scanner.problem;
        } else if (step === 'more') {
          await handOver();
          await scanner.fill();
        }
      } catch (error) {
        if (!isDamage(error)) throw error;
        await handOver();
        return (error as Error).message;
      }
    }
  }

  /** Where to read on after damage at `bad`; `to` if nothing sound is found. */
  async #resume(file: File, salt: number, base: number, bad: number, to: number): Promise<number> {
    const behind = await endByLength(file, bad);
    if (behind === to) return to;
    const marker = await findMarker(file, salt, base, bad + 1, to);
    if (behind === undefined || behind > Math.min(marker, to)) return marker;
    const range = { file, salt, base, from: behind, to, chunkBytes: RECORD_OVERHEAD_MAX, keepPayloads: false };
    const scanner = new RecordScanner({ ...range, recordBytesMax: this.#recordBytesMax });
    try {
      let step = scanner.step();
      for (; step === 'more'; step = scanner.step()) await scanner.fill();
      return step === 'record' ? behind : marker;
    } catch (error) {
      if (!isDamage(error)) throw error;
      return marker;
    }
  }
}

/** What is damage of a record rather than a reason to stop. A disk that cannot read a place has lost what was there. */
const isDamage = (error: unknown): boolean => {
  const { code } = error as { code?: string };
  return code === 'WAL_CORRUPT_RECORD' || (error instanceof IoError && code === 'IO_FAILED');
};

/** File offset at which a segment ends, if its successor says so. */
function endOf({ id, header }: FoundSegment, next: FoundSegment | undefined): number | undefined {
  if (header === undefined || next?.header?.previousId !== id) return undefined;
  const end = next.header.previousEnd - header.base;
  return end >= HEADER_BYTES ? end : undefined;
}

function checkGap({ id, path }: FoundSegment, next: FoundSegment | undefined, problems: WalError[]): void {
  const previous = next === undefined ? undefined : (next.header?.previousId ?? next.id - 1);
  if (previous === undefined || previous === id) return;
  const message = `At least one log file that followed ${path} is missing`;
  problems.push(new WalError('WAL_MISSING_SEGMENT', message, { file: path, offset: 0 }));
}

/** Where the record at `offset` ends if its length is not damaged. */
async function endByLength(file: File, offset: number): Promise<number | undefined> {
  const head = await readSome(file, offset, RECORD_OVERHEAD_MAX);
  const length = new VarintCursor();
  const at = readVarint(head, 0, length);
  return at < 0 ? undefined : offset + at + FLAGS_AND_CRC_BYTES + length.value;
}

/** File offset of the first sound marker from `from` on; `to` if there is none. */
async function findMarker(file: File, salt: number, base: number, from: number, to: number): Promise<number> {
  for (let start = from; start < to; start += CHUNK_BYTES - MARKER_BYTES + 1) {
    const chunk = Buffer.from(await readSome(file, start, Math.min(CHUNK_BYTES, to - start)));
    for (const at of magicsIn(chunk)) if (readMarker(chunk, at, salt, base + start + at) >= 0) return start + at;
  }
  return to;
}

/** Position of a file's first byte by what its first sound marker says of its own; 0 if there is none. */
async function baseFromMarker(file: File, salt: number): Promise<number> {
  const to = file.sizeSync();
  for (let start = HEADER_BYTES; start < to; start += CHUNK_BYTES - MARKER_BYTES + 1) {
    const chunk = Buffer.from(await readSome(file, start, Math.min(CHUNK_BYTES, to - start)));
    for (const at of magicsIn(chunk)) {
      const position = readU64LE(chunk, at + MARKER_MAGIC_OFFSET + MARKER_MAGIC.length);
      if (readMarker(chunk, at, salt, position) >= 0 && position >= start + at) return position - start - at;
    }
  }
  return 0;
}

/** Where markers may begin that lie wholly in a chunk. */
function* magicsIn(chunk: Buffer): Generator<number> {
  for (let at = chunk.indexOf(MARKER_MAGIC); at >= 0; at = chunk.indexOf(MARKER_MAGIC, at + 1)) {
    const start = at - MARKER_MAGIC_OFFSET;
    if (start >= 0 && start + MARKER_BYTES <= chunk.length) yield start;
  }
}

async function isAllZeros(file: File, from: number, to: number): Promise<boolean> {
  for (let start = from; start < to; start += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, to - start);
    const chunk = await readSome(file, start, length);
    if (chunk.length < length || chunk.some((byte) => byte !== 0)) return false;
  }
  return true;
}

/** The bytes of a range; none where the disk cannot read them. */
async function readSome(file: File, offset: number, length: number): Promise<Uint8Array> {
  try {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, await file.read(bytes, offset));
  } catch (error) {
    if (isDamage(error)) return new Uint8Array(0);
    throw error;
  }
}
