// Reads records in order, segment by segment, in large chunks. What it yields stays valid: each chunk is a fresh one. Any number
// of readers may be under way while the log is written, rotated, truncated and cut. Each sees the records from its position
// up to the end as it was when it began; one whose place is dropped meanwhile gets what is before it, then `WAL_TRUNCATED`.
import type { File, FileSystem } from 'nori-io';
import { segmentSalt } from './record-format.js';
import { RecordScanner } from './record-scanner.js';
import { type Segment, segmentEnd } from './segment.js';
import { HEADER_BYTES } from './segment-format.js';
import type { ReaderLimit, SegmentStore } from './segment-store.js';
import { asWalError, corruptRecord, invalidPosition, truncated } from './wal-error.js';

const CHUNK_BYTES = 256 * 1024;

/** A record as read from the log. */
export interface WalRecord {
  readonly position: number;
  /** Position from which to read on. */
  readonly next: number;
  /** The reader's own to keep; do not change it, its neighbours share the memory. */
  readonly data: Uint8Array;
}

/** What reading needs of a log. */
export interface ReadSource {
  readonly fs: FileSystem;
  readonly store: SegmentStore;
  readonly recordBytesMax: number;
}

/** Yields the records from `position` up to `end`, one by one. */
export async function* readRecords(
  source: ReadSource,
  position: number,
  end: number,
): AsyncGenerator<WalRecord, void, undefined> {
  const reader: ReaderLimit = { limit: Number.POSITIVE_INFINITY };
  for await (const batch of readBatches(source, position, end, reader)) {
    for (const record of batch) {
      if (record.position >= reader.limit) throw truncated(record.position);
      yield record;
    }
  }
}

/** Yields the records from `position` up to `end`, a chunk's worth at a time. */
export async function* readBatches(
  source: ReadSource,
  position: number,
  end: number,
  reader: ReaderLimit = { limit: Number.POSITIVE_INFINITY },
): AsyncGenerator<WalRecord[], void, undefined> {
  const { store } = source;
  store.readers.add(reader);
  try {
    let at = Math.max(position, store.start);
    while (at < end) {
      if (at >= reader.limit) throw truncated(at);
      const segment = store.segments.find((candidate) => segmentEnd(candidate) > at);
      if (!segment) throw truncated(at);
      if (segment.base > at && segment.previousEnd !== at) throw truncated(at);
      const from = Math.max(at - segment.base, HEADER_BYTES);
      const to = Math.min(segmentEnd(segment), end);
      if (segment.base + from < to) {
        const fromCaller = at === position;
        yield* new SegmentReader(source, reader, segment).batches(from, to - segment.base, fromCaller);
      }
      at = to;
    }
  } finally {
    store.readers.delete(reader);
  }
}

/** Reads one segment for one reader. */
class SegmentReader {
  readonly #source: ReadSource;
  readonly #reader: ReaderLimit;
  readonly #segment: Segment;

  constructor(source: ReadSource, reader: ReaderLimit, segment: Segment) {
    this.#source = source;
    this.#reader = reader;
    this.#segment = segment;
  }

  async *batches(from: number, to: number, fromCaller: boolean): AsyncGenerator<WalRecord[], void, undefined> {
    const segment = this.#segment;
    segment.readers += 1;
    let file: File | undefined;
    try {
      file = await this.#source.fs.open(segment.path, 'read').catch((error) => this.#explain(from, error));
      const scanner = this.#scanner(file, from, to);
      for (;;) {
        const batch = this.#batch(scanner, fromCaller);
        const limit = this.#reader.limit - segment.base;
        if (scanner.offset > limit || scanner.nextOffset > limit) {
          const before = batch.filter(({ position }) => position < this.#reader.limit);
          if (before.length > 0) yield before;
          throw truncated(this.#reader.limit);
        }
        if (batch.length > 0) yield batch;
        if (scanner.nextOffset === to) return;
        await scanner.fill().catch((error) => this.#explain(scanner.nextOffset, error));
      }
    } finally {
      segment.readers -= 1;
      await file?.close();
    }
  }

  #scanner(file: File, from: number, to: number): RecordScanner {
    return new RecordScanner({
      file,
      salt: segmentSalt(this.#segment.id),
      base: this.#segment.base,
      from,
      to,
      chunkBytes: CHUNK_BYTES,
      keepPayloads: true,
      recordBytesMax: this.#source.recordBytesMax,
    });
  }

  /** The records of the chunk that is at hand. */
  #batch(scanner: RecordScanner, fromCaller: boolean): WalRecord[] {
    const { base, path } = this.#segment;
    const batch: WalRecord[] = [];
    for (let step = scanner.step(); step !== 'more' && step !== 'end'; step = scanner.step()) {
      if (step === 'record') {
        if (scanner.isMarker) continue;
        batch.push({ position: base + scanner.offset, next: base + scanner.nextOffset, data: scanner.data() });
      } else if (this.#segment.leaving) {
        // The file may be another segment's by now.
        throw truncated(base + scanner.offset);
      } else if (fromCaller && scanner.isFirst && scanner.offset > HEADER_BYTES) {
        throw invalidPosition(base + scanner.offset, `no sound record begins there: ${scanner.problem}`);
      } else {
        throw corruptRecord(path, scanner.offset, scanner.problem);
      }
    }
    return batch;
  }

  /** A file that cannot be read on is no damage if the log has been cut or truncated there. */
  #explain(offset: number, error: unknown): never {
    const position = this.#segment.base + offset;
    const dropped = this.#segment.leaving || segmentEnd(this.#segment) <= position || position >= this.#reader.limit;
    throw dropped ? truncated(position) : asWalError(error);
  }
}
