// Records of the simulated log as bytes, little endian:
//
//   length u32 | checksum u32 | previous checksum u32 | sequence u32 | durable up to u32 | payload
//
// `length` counts the payload; the checksum covers everything behind itself. Each record names the checksum of the one
// before it, so that what is left of an older log behind a torn tail can never continue a newer one. `durable up to` is
// the offset up to which the file was known to be synced when the record was written: a record that is damaged below the
// offset that a later one names was not torn by a crash, but corrupted.
import type { ConfState, Entry, HardState, Snapshot } from '../../src/index.js';
import { LogImage, type LogRecord } from './log-image.js';

/** A log that must not be used: something that was durable is gone. */
export class LogCorruptError extends Error {
  override readonly name = 'LogCorruptError';
  readonly code = 'LOG_CORRUPT';
  readonly offset: number;

  constructor(offset: number, why: string) {
    super(`The log is corrupt at offset ${offset}: ${why}. This replica must be replaced.`);
    this.offset = offset;
  }
}

const HEADER_BYTES = 20;

let scratch = new Uint8Array(64 * 1024);
let view = new DataView(scratch.buffer);

/** Where a record goes. */
export interface RecordPlace {
  readonly previousChecksum: number;
  readonly sequence: number;
  readonly durableTo: number;
}

/** A record as bytes, and its checksum for the record after it. */
export function encodeRecord(record: LogRecord, place: RecordPlace): { bytes: Uint8Array; checksum: number } {
  reserve(HEADER_BYTES + payloadBytesMax(record));
  const end = writePayload(record, HEADER_BYTES);
  view.setUint32(0, end - HEADER_BYTES, true);
  view.setUint32(8, place.previousChecksum, true);
  view.setUint32(12, place.sequence, true);
  view.setUint32(16, place.durableTo, true);
  const checksum = checksumOf(scratch, 8, end);
  view.setUint32(4, checksum, true);
  return { bytes: scratch.slice(0, end), checksum };
}

/** What a log file says. */
export interface RecoveredLog {
  readonly image: LogImage;
  /** Sequence of its last record; 0: there is none. */
  readonly sequence: number;
  /** Bytes behind the last whole record. */
  readonly tornBytes: number;
}

/** Replays a log. A torn tail is left out. @throws LogCorruptError */
export function recoverLog(bytes: Uint8Array): RecoveredLog {
  const image = new LogImage();
  let at = 0;
  let checksum = 0;
  let sequence = 0;
  for (;;) {
    const header = readHeader(bytes, at);
    if (header === undefined || header.previousChecksum !== checksum || (at > 0 && header.sequence !== sequence + 1))
      break;
    image.apply(readPayload(bytes, at + HEADER_BYTES));
    at = header.end;
    checksum = header.checksum;
    sequence = header.sequence;
  }
  refuseLostRecords(bytes, at);
  return { image, sequence, tornBytes: bytes.length - at };
}

/** A later record tells what was durable: if that is more than can be read, the end of the log is no torn tail. */
function refuseLostRecords(bytes: Uint8Array, end: number): void {
  for (let at = end + 1; at + HEADER_BYTES <= bytes.length; at++) {
    const header = readHeader(bytes, at);
    if (header !== undefined && header.durableTo > end) {
      throw new LogCorruptError(end, `a record at ${at} says that everything up to ${header.durableTo} was durable`);
    }
  }
}

interface Header {
  readonly checksum: number;
  readonly previousChecksum: number;
  readonly sequence: number;
  readonly durableTo: number;
  readonly end: number;
}

/** The header of a whole, undamaged record at `at`. */
function readHeader(bytes: Uint8Array, at: number): Header | undefined {
  if (at + HEADER_BYTES > bytes.length) return undefined;
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = at + HEADER_BYTES + data.getUint32(at, true);
  const checksum = data.getUint32(at + 4, true);
  if (end > bytes.length || checksum === 0 || checksumOf(bytes, at + 8, end) !== checksum) return undefined;
  return {
    checksum,
    previousChecksum: data.getUint32(at + 8, true),
    sequence: data.getUint32(at + 12, true),
    durableTo: data.getUint32(at + 16, true),
    end,
  };
}

/** FNV-1a with a final mix; never 0, which is what comes before the first record. */
function checksumOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return ((hash ^ (hash >>> 13)) | 1) >>> 0;
}

function reserve(bytes: number): void {
  if (scratch.length >= bytes) return;
  scratch = new Uint8Array(2 * bytes);
  view = new DataView(scratch.buffer);
}

function payloadBytesMax({ entries, snapshot }: LogRecord): number {
  let bytes = 64;
  for (let i = 0; i < entries.length; i++) bytes += 16 + entries[i]!.data.length;
  return bytes + (snapshot === undefined ? 0 : 64 + snapshot.data.length + 4 * countIds(snapshot.config));
}

function countIds({ voters, votersOutgoing, learners, learnersNext }: ConfState): number {
  return voters.length + votersOutgoing.length + learners.length + learnersNext.length;
}

const HAS_HARD_STATE = 1;
const HAS_SNAPSHOT = 2;
const HAS_BASE = 4;

function writePayload({ hardState, entries, snapshot, base }: LogRecord, offset: number): number {
  let at = offset;
  const put = (n: number) => {
    view.setUint32(at, n, true);
    at += 4;
  };
  scratch[at++] =
    (hardState === undefined ? 0 : HAS_HARD_STATE) |
    (snapshot === undefined ? 0 : HAS_SNAPSHOT) |
    (base === undefined ? 0 : HAS_BASE);
  if (hardState !== undefined) {
    put(hardState.term);
    put(hardState.vote);
    put(hardState.commit);
  }
  if (base !== undefined) {
    put(base.index);
    put(base.term);
  }
  if (snapshot !== undefined) {
    const { index, term, config, data } = snapshot;
    put(index);
    put(term);
    for (const ids of [config.voters, config.votersOutgoing, config.learners, config.learnersNext]) {
      put(ids.length);
      for (const id of ids) put(id);
    }
    scratch[at++] = config.autoLeave ? 1 : 0;
    put(data.length);
    scratch.set(data, at);
    at += data.length;
  }
  put(entries.length);
  for (let i = 0; i < entries.length; i++) {
    const { index, term, type, data } = entries[i]!;
    put(index);
    put(term);
    scratch[at++] = type === 'normal' ? 0 : 1;
    put(data.length);
    scratch.set(data, at);
    at += data.length;
  }
  return at;
}

function readPayload(bytes: Uint8Array, offset: number): LogRecord {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = offset;
  const take = (): number => {
    at += 4;
    return data.getUint32(at - 4, true);
  };
  const takeBytes = (): Uint8Array => {
    const length = take();
    at += length;
    return bytes.slice(at - length, at);
  };
  const flags = bytes[at++]!;
  let hardState: HardState | undefined;
  if ((flags & HAS_HARD_STATE) !== 0) hardState = { term: take(), vote: take(), commit: take() };
  const base = (flags & HAS_BASE) === 0 ? undefined : { index: take(), term: take() };
  let snapshot: Snapshot | undefined;
  if ((flags & HAS_SNAPSHOT) !== 0) {
    const index = take();
    const term = take();
    const takeIds = () => Array.from({ length: take() }, take);
    const ids = { voters: takeIds(), votersOutgoing: takeIds(), learners: takeIds(), learnersNext: takeIds() };
    const config: ConfState = { ...ids, autoLeave: bytes[at++] === 1 };
    snapshot = { index, term, config, data: takeBytes() };
  }
  const entries: Entry[] = [];
  for (let left = take(); left > 0; left--) {
    const index = take();
    const term = take();
    const type = bytes[at++] === 0 ? 'normal' : 'conf-change';
    entries.push({ index, term, type, data: takeBytes() });
  }
  return { hardState, entries, snapshot, base };
}
