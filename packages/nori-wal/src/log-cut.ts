// Finds the place at which a log is to be cut back: the segment and the offset in its file.
import type { FileSystem } from 'nori-io';
import { segmentSalt } from './record-format.js';
import { RecordScanner } from './record-scanner.js';
import { type Segment, segmentEnd } from './segment.js';
import { HEADER_BYTES } from './segment-format.js';
import { asWalError, invalidPosition, truncated } from './wal-error.js';

const CHUNK_BYTES = 64 * 1024;

/** The place that `position` stands for; undefined if there is nothing behind it. */
export interface CutPlace {
  readonly index: number;
  readonly offset: number;
}

/**
 * Where to cut so that everything from `position` on is gone. A position before the log's beginning means the beginning.
 * @throws WalError `WAL_INVALID_POSITION`, `WAL_TRUNCATED`
 */
export async function cutPlace(
  fs: FileSystem,
  segments: readonly Segment[],
  position: number,
  recordBytesMax: number,
): Promise<CutPlace | undefined> {
  const last = segments.at(-1);
  const end = last ? segmentEnd(last) : 0;
  if (!(position >= 0 && position <= end)) throw invalidPosition(position, `the log ends at ${end}`);
  const index = Math.max(
    0,
    segments.findLastIndex(({ base }) => base <= position),
  );
  const segment = segments[index];
  if (!segment || (segment === last && position <= end && isEmptyBehind(segment, position))) return undefined;
  const offset = Math.max(position - segment.base, HEADER_BYTES);
  if (offset > segment.endOffset) throw truncated(position);
  if (offset > HEADER_BYTES && offset < segment.endOffset) {
    await checkRecord(fs, segment, offset, recordBytesMax).catch((error) => {
      throw asWalError(error);
    });
  }
  return { index, offset };
}

const isEmptyBehind = ({ base, endOffset }: Segment, position: number): boolean =>
  Math.max(position - base, HEADER_BYTES) >= endOffset;

/** Refuses an offset at which no sound record begins. */
async function checkRecord(fs: FileSystem, segment: Segment, offset: number, recordBytesMax: number): Promise<void> {
  const { base, endOffset } = segment;
  const file = await fs.open(segment.path, 'read');
  try {
    const scanner = new RecordScanner({
      file,
      salt: segmentSalt(segment.id),
      base,
      from: offset,
      to: endOffset,
      chunkBytes: CHUNK_BYTES,
      keepPayloads: false,
      recordBytesMax,
    });
    let step = scanner.step();
    for (; step === 'more'; step = scanner.step()) await scanner.fill();
    if (step === 'bad') throw invalidPosition(base + offset, `no sound record begins there: ${scanner.problem}`);
  } finally {
    await file.close();
  }
}
