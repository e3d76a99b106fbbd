// Reads records in order, segment by segment, in chunks. What it yields stays valid: each chunk is a fresh one.
import type { FileSystem } from 'nori-io';
import { segmentSalt } from './record-format.js';
import { RecordScanner } from './record-scanner.js';
import { type Segment, segmentEnd } from './segment.js';
import { HEADER_BYTES } from './segment-format.js';
import { asWalError, corruptRecord, WalError } from './wal-error.js';

const CHUNK_BYTES = 256 * 1024;

/** A record as read from the log. */
export interface WalRecord {
  readonly position: number;
  /** Position from which to read on. */
  readonly next: number;
  /** The reader's own to keep; do not change it, its neighbours share the memory. */
  readonly data: Uint8Array;
}

/** Yields the records from `position` up to `end`. `segments` is the live list: it may lose its head meanwhile. */
export async function* readRecords(
  fs: FileSystem,
  segments: readonly Segment[],
  position: number,
  end: number,
): AsyncGenerator<WalRecord, void, undefined> {
  let at = position;
  while (at < end) {
    const segment = segments.find((candidate) => segmentEnd(candidate) > at);
    if (!segment) return;
    if (segment.base > at && at !== position) throw removed(at);
    at = Math.max(at, segment.base + HEADER_BYTES);
    const to = Math.min(segmentEnd(segment), end);
    if (at < to) yield* readSegment(fs, segment, at - segment.base, to - segment.base, at === position);
    at = to;
  }
}

async function* readSegment(
  fs: FileSystem,
  segment: Segment,
  from: number,
  to: number,
  fromCaller: boolean,
): AsyncGenerator<WalRecord, void, undefined> {
  const { base, id, path } = segment;
  const file = await fs.open(path, 'read').catch(rethrow);
  try {
    const scanner = new RecordScanner({
      file,
      salt: segmentSalt(id),
      base,
      from,
      to,
      chunkBytes: CHUNK_BYTES,
      keepPayloads: true,
    });
    for (;;) {
      const step = scanner.step();
      if (step === 'record') {
        if (scanner.isMarker) continue;
        yield { position: base + scanner.offset, next: base + scanner.nextOffset, data: scanner.payload() };
      } else if (step === 'more') {
        await scanner.fill().catch(rethrow);
      } else if (step === 'end') {
        return;
      } else if (fromCaller && scanner.offset === from && from > HEADER_BYTES) {
        throw invalidPosition(base + from, `no sound record begins there: ${scanner.problem}`);
      } else {
        throw corruptRecord(path, scanner.offset, scanner.problem);
      }
    }
  } finally {
    await file.close();
  }
}

/** No record begins where a caller wants to read. */
export function invalidPosition(position: number, why: string): WalError {
  return new WalError('WAL_INVALID_POSITION', `Cannot read the log from position ${position}: ${why}`);
}

function rethrow(error: unknown): never {
  throw asWalError(error);
}

function removed(position: number): WalError {
  return invalidPosition(position, 'the segment was removed while it was read');
}
