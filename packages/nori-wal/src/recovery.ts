// Finds out what a log holds. `inspect` only reads: it verifies every record of every segment and either refuses, or says
// what there is to repair. `repair` then changes the disk, so that a refusal never does.
//
// Only the last segment may end badly, because a segment is synced in full before the next one is begun:
//
//   dropped segment lies between a segment that was begun by a cut and the one it continues: means nothing, is removed
//   older segment   must have a sound header that fits its neighbour, and sound records up to the end its successor states
//   last segment    no header yet            → nothing in it was ever acknowledged: it is removed
//                   a bad record, and a sound marker behind it that says "synced" beyond it → acknowledged data is lost: refuse
//                   a bad record otherwise, or a batch without its end                      → a torn tail, or room: cut
//
// What was written but never provably synced is written once more in place and synced before it counts as recovered: after a
// failed sync the kernel takes such pages for clean, and a sync alone would not write them.
import type { File, FileSystem } from 'nori-io';
import { inDirectory, type Segment, segmentPath } from './segment.js';
import {
  beginsAtCut,
  decodeHeader,
  HEADER_BYTES,
  type HeaderVerdict,
  isSpareName,
  parseSegmentName,
  type SegmentHeader,
  segmentName,
} from './segment-format.js';
import { type RecoveryCut, type ScanOptions, SegmentScan } from './segment-scan.js';
import { WalError } from './wal-error.js';

const CHUNK_BYTES = 1024 * 1024;

/** What a log was found to hold. */
export interface Inspection {
  /** In order; the last one may be written on. */
  readonly segments: Segment[];
  readonly records: number;
  /** Bytes of these records, uncompressed. */
  readonly bytes: number;
  readonly cut: RecoveryCut | undefined;
  /** Files to be removed: a last one without a header, segments dropped by a cut, spares. */
  readonly useless: readonly string[];
  /** A last file without a header is among them. */
  readonly unwritten: boolean;
  /** Segments whose files go on behind their end. */
  readonly overlong: readonly Segment[];
  /** File offset in the last segment up to which everything was provably synced. */
  readonly syncedOffset: number;
}

/** Reads and verifies a log. @throws WalError */
export async function inspect(fs: FileSystem, dir: string, options: ScanOptions): Promise<Inspection> {
  const names = await fs.readdir(dir);
  const found = await readHeaders(fs, dir, segmentIds(names));
  const { headers, unwritten } = found;
  checkNeighbours(dir, headers);
  const segments: Segment[] = [];
  const overlong: Segment[] = [];
  let records = 0;
  let bytes = 0;
  let cut: RecoveryCut | undefined;
  let syncedOffset = HEADER_BYTES;
  for (const [index, header] of headers.entries()) {
    const path = segmentPath(dir, header.id);
    const file = await fs.open(path, 'read');
    try {
      const next = headers[index + 1];
      const scan = new SegmentScan(file, header, options);
      if (next) await scan.whole(next.previousEnd - header.base, beginsAtCut(next));
      else await scan.tail();
      const { id, base, previousEnd } = header;
      const segment = { id, path, base, previousEnd, endOffset: scan.endOffset, readers: 0, leaving: false };
      segments.push(segment);
      if (scan.hasTail) overlong.push(segment);
      records += scan.records;
      bytes += scan.bytes;
      cut = scan.cut;
      syncedOffset = scan.syncedOffset;
    } finally {
      await file.close();
    }
  }
  if (unwritten) cut ??= unwritten.bytes > 0 ? { file: unwritten.path, offset: 0, bytes: unwritten.bytes } : undefined;
  const useless = [...found.dropped, ...names.filter(isSpareName).map((name) => inDirectory(dir, name))];
  if (unwritten) useless.push(unwritten.path);
  return { segments, records, bytes, cut, useless, unwritten: unwritten !== undefined, overlong, syncedOffset };
}

/** Carries out what an inspection found necessary, and makes all that is kept durable. Says if the last segment may be written on. */
export async function repair(
  fs: FileSystem,
  dir: string,
  found: Inspection,
): Promise<{ readonly appendable: boolean }> {
  const { segments, overlong, syncedOffset } = found;
  const last = segments.at(-1);
  for (const segment of overlong) if (segment !== last) await trim(fs, segment);
  let appendable = last !== undefined && !found.unwritten;
  if (last) {
    const clean = !overlong.includes(last) && last.endOffset === syncedOffset;
    if (!clean || last.endOffset === HEADER_BYTES) {
      await makeDurable(fs, last, last.endOffset === HEADER_BYTES ? 0 : syncedOffset);
      appendable &&= last.endOffset === HEADER_BYTES;
    }
  }
  for (const path of found.useless) await fs.unlink(path);
  if (segments.length > 0 || found.useless.length > 0) await fs.syncDir(dir);
  return { appendable };
}

/** Ends the file of the last segment where its records end, and writes what may not be durable over itself. */
async function makeDurable(fs: FileSystem, segment: Segment, from: number): Promise<void> {
  const file = await fs.open(segment.path, 'write');
  try {
    if (file.sizeSync() > segment.endOffset) await file.truncate(segment.endOffset);
    await rewrite(file, from, segment.endOffset);
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function trim(fs: FileSystem, segment: Segment): Promise<void> {
  const file = await fs.open(segment.path, 'write');
  await file.truncate(segment.endOffset).finally(() => file.close());
}

/** Writes the bytes from `from` up to `to` over themselves. */
async function rewrite(file: File, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += CHUNK_BYTES) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, to - at));
    await file.read(chunk, at);
    await file.write([chunk], at);
  }
}

/** Ids of the segments among these names, ascending. */
export function segmentIds(names: readonly string[]): number[] {
  const ids: number[] = [];
  for (const name of names) {
    const id = parseSegmentName(name);
    if (id !== undefined) ids.push(id);
  }
  return ids.sort((a, b) => a - b);
}

interface Headers {
  /** In order of their ids; without those that were dropped. */
  readonly headers: SegmentHeader[];
  readonly unwritten: { readonly path: string; readonly bytes: number } | undefined;
  /** Paths of segments that were dropped by a cut. */
  readonly dropped: string[];
}

/** Reads headers from the last one back, since each says which one it continues. */
async function readHeaders(fs: FileSystem, dir: string, ids: readonly number[]): Promise<Headers> {
  const headers: SegmentHeader[] = [];
  const dropped: string[] = [];
  let unwritten: Headers['unwritten'];
  let expected: number | undefined;
  for (let index = ids.length - 1; index >= 0; index--) {
    const id = ids[index]!;
    const path = segmentPath(dir, id);
    if (expected !== undefined && id > expected) {
      dropped.push(path);
      continue;
    }
    if (expected !== undefined && id < expected) {
      const missing = segmentPath(dir, expected);
      throw new WalError('WAL_MISSING_SEGMENT', `The log file ${missing} is missing. Restore it from a copy`, {
        file: missing,
      });
    }
    const { verdict, sizeBytes } = await readHeader(fs, path);
    const header = checkHeader(verdict, path, id, index === ids.length - 1 && sizeBytes <= HEADER_BYTES);
    if (header) headers.unshift(header);
    else unwritten = { path, bytes: sizeBytes };
    expected = header ? header.previousId : id - 1;
  }
  return { headers, unwritten, dropped };
}

/** The header of a segment; undefined if it was never written, which only a last and empty one may be. */
function checkHeader(
  verdict: HeaderVerdict,
  path: string,
  id: number,
  mayBeUnwritten: boolean,
): SegmentHeader | undefined {
  if (typeof verdict === 'object') {
    if (verdict.id === id) return verdict;
    throw corruptHeader(path, 16, `it says that it is segment ${segmentName(verdict.id)}`);
  }
  if (verdict === 'foreign') {
    const message = `The file ${path} was not written by nori-wal. Move it out of the way`;
    throw new WalError('WAL_NOT_A_LOG', message, { file: path, offset: 0 });
  }
  // Records follow a header only once it is durable: a file that holds more than a header had a sound one.
  if (verdict === 'damaged' || !mayBeUnwritten) throw corruptHeader(path, 0, 'its header is damaged');
  return undefined;
}

/** A segment's header, or why there is none, and the size of its file. */
export interface ReadableHeader {
  readonly verdict: HeaderVerdict;
  readonly sizeBytes: number;
}

/** Reads the header of a segment. @throws WalError `WAL_UNSUPPORTED_VERSION` */
export async function readHeader(fs: FileSystem, path: string): Promise<ReadableHeader> {
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
    const { id, previousEnd } = headers[index]!;
    const before = headers[index - 1]!;
    if (previousEnd < before.base + HEADER_BYTES) {
      throw corruptHeader(segmentPath(dir, id), 24, 'it does not continue the segment before it');
    }
  }
}

function corruptHeader(file: string, offset: number, what: string): WalError {
  const message = `The log file ${file} is damaged at offset ${offset}: ${what}. Restore it from a copy`;
  return new WalError('WAL_CORRUPT_HEADER', message, { file, offset });
}
