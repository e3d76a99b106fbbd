// Reads frames; layout in docs/formats/raft-frame.md. What comes from the network is not trusted: every count is held against
// limits and against the bytes that are left before anything is allocated for it. Entry data stays where it is.
import { MessageRecord, NO_ENTRIES } from '../message.js';
import type { Entry, MessageType, Snapshot } from '../types.js';
import { ByteReader, badFrame, checkCount } from './byte-reader.js';
import { isPlain } from './frame-encoder.js';
import {
  ACK_STATUSES,
  COLUMNS,
  DEFAULT_FRAME_LIMITS,
  ENTRY_FLAG,
  ENTRY_HEAD_BYTES_MIN,
  FRAME_KIND,
  FRAME_TYPES,
  FRAME_VERSION,
  type FrameLimits,
  type FrameVisitor,
  GROUP_ID_END,
  MESSAGE_BYTES_MIN,
  MESSAGE_FLAG,
} from './frame-format.js';
import { readSnapshotHead } from './snapshot-head-codec.js';

const EMPTY = new Uint8Array(0);

/**
 * Tells `visitor` what is in a frame. Data of entries and chunks are views of the frame, which must not change any more.
 * Messages stand each for itself: some may have been visited when a later one turns out to be malformed.
 * @throws RaftError RAFT_BAD_FRAME; and whatever the visitor throws
 */
export function decodeFrame(frame: Uint8Array, visitor: FrameVisitor, limits: Partial<FrameLimits> = {}): void {
  const max: FrameLimits = { ...DEFAULT_FRAME_LIMITS, ...limits };
  if (frame.length > max.frameBytesMax)
    throw badFrame(0, `${frame.length} bytes are over the limit of ${max.frameBytesMax}`);
  const reader = new ByteReader(frame);
  const version = reader.u8();
  if (version !== FRAME_VERSION) throw badFrame(0, `version ${version} is unknown`);
  const kind = reader.u8();
  if (kind === FRAME_KIND.messages) readMessages(reader, visitor, max);
  else if (kind === FRAME_KIND.snapshotChunk) readSnapshotChunk(reader, visitor);
  else if (kind === FRAME_KIND.snapshotAck) readSnapshotAck(reader, visitor);
  else throw badFrame(1, `kind ${kind} is unknown`);
}

function readMessages(reader: ByteReader, visitor: FrameVisitor, max: FrameLimits): void {
  const heartbeats = reader.u32();
  const answers = reader.u32();
  const others = reader.u32();
  const dataBytes = reader.u32();
  checkCount(heartbeats + answers + others, max.messagesMax, Infinity, 2);
  checkCount(dataBytes, Infinity, reader.left, 14);
  reader.end -= dataBytes;
  const bytes = (heartbeats + answers) * COLUMNS + others * MESSAGE_BYTES_MIN;
  if (bytes > reader.left) throw badFrame(2, 'the messages do not fit in what follows');
  readColumns(reader, 'heartbeat', heartbeats, visitor);
  readColumns(reader, 'heartbeat-response', answers, visitor);
  const data: DataCursor = { bytes: reader.bytes, at: reader.end, entriesLeft: max.entriesMax };
  for (let i = 0; i < others; i++) readMessage(reader, data, visitor);
  if (reader.left > 0) throw badFrame(reader.at, 'bytes are left over');
  if (data.at !== data.bytes.length) throw badFrame(data.at, 'data is left over');
}

/** Where the data of the next entry begins, and how many entries may come. */
interface DataCursor {
  readonly bytes: Uint8Array;
  at: number;
  entriesLeft: number;
}

/** Numbers of the columns that are being read; used again and again. */
let scratch: number[] = [];

function readColumns(reader: ByteReader, type: MessageType, count: number, visitor: FrameVisitor): void {
  if (count === 0) return;
  // Not a Float64Array: small integers then stay what they are.
  const columns = scratch;
  scratch = [];
  let groupId = 0;
  for (let i = 0; i < count; i++) {
    const { at } = reader;
    const zigzagged = reader.varint();
    groupId += zigzagged % 2 === 0 ? zigzagged / 2 : -(zigzagged + 1) / 2;
    if (groupId < 0 || groupId >= GROUP_ID_END) throw badFrame(at, 'a group id is out of range');
    columns[i] = groupId;
  }
  for (let i = count; i < count * COLUMNS; i++) columns[i] = reader.varint();
  for (let i = 0; i < count; i++) {
    let at = i;
    const id = columns[at]!;
    const from = columns[(at += count)]!;
    const to = columns[(at += count)]!;
    const term = columns[(at += count)]!;
    const commit = columns[(at += count)]!;
    const context = columns[(at += count)]!;
    const transfer = columns[at + count]!;
    if (visitor.heartbeat?.(type !== 'heartbeat', id, from, to, term, commit, context, transfer) === true) continue;
    visitor.message(
      id,
      new MessageRecord(type, from, to, term, 0, 0, commit, NO_ENTRIES, false, 0, undefined, context, transfer),
    );
  }
  scratch = columns;
}

function readMessage(reader: ByteReader, data: DataCursor, visitor: FrameVisitor): void {
  const start = reader.at;
  const type = FRAME_TYPES[reader.u8()];
  if (type === undefined) throw badFrame(start, 'the type of a message is unknown');
  const flags = reader.flags(MESSAGE_FLAG.all);
  const groupId = readGroupId(reader);
  const from = reader.varint();
  const to = reader.varint();
  const term = reader.varint();
  const index = reader.varint();
  const logTerm = reader.varint();
  const commit = reader.varint();
  const rejectHint = reader.varint();
  const context = reader.varint();
  const transfer = reader.varint();
  const count = reader.count(data.entriesLeft, ENTRY_HEAD_BYTES_MIN);
  data.entriesLeft -= count;
  const snapshot: Snapshot | undefined =
    (flags & MESSAGE_FLAG.snapshot) === 0 ? undefined : withoutData(readSnapshotHead(reader));
  const entries = count === 0 ? NO_ENTRIES : readEntries(reader, data, count, index, term);
  const reject = (flags & MESSAGE_FLAG.reject) !== 0;
  const message = new MessageRecord(
    type,
    from,
    to,
    term,
    index,
    logTerm,
    commit,
    entries,
    reject,
    rejectHint,
    snapshot,
    context,
    transfer,
  );
  if (isPlain(message)) throw badFrame(start, 'a plain heartbeat is not in the columns');
  visitor.message(groupId, message);
}

function readEntries(
  reader: ByteReader,
  data: DataCursor,
  count: number,
  before: number,
  messageTerm: number,
): Entry[] {
  const entries: Entry[] = [];
  let index = before;
  let term = messageTerm;
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    const flags = reader.flags(ENTRY_FLAG.all);
    const expected = index + 1;
    index = (flags & ENTRY_FLAG.index) === 0 ? expected : reader.varint();
    const ownTerm = (flags & ENTRY_FLAG.term) === 0 ? term : reader.varint();
    if ((flags & ENTRY_FLAG.index) !== 0 && index === expected) throw badFrame(start, 'an index is given without need');
    if ((flags & ENTRY_FLAG.term) !== 0 && ownTerm === term) throw badFrame(start, 'a term is given without need');
    if (index > Number.MAX_SAFE_INTEGER) throw badFrame(start, 'an index is above 2^53 - 1');
    term = ownTerm;
    const length = checkCount(reader.varint(), Infinity, data.bytes.length - data.at, start);
    entries.push({
      term,
      index,
      type: (flags & ENTRY_FLAG.confChange) === 0 ? 'normal' : 'conf-change',
      data: length === 0 ? EMPTY : data.bytes.subarray(data.at, data.at + length),
    });
    data.at += length;
  }
  return entries;
}

function readSnapshotChunk(reader: ByteReader, visitor: FrameVisitor): void {
  const last = reader.flags(1) !== 0;
  const groupId = readGroupId(reader);
  const from = reader.varint();
  const to = reader.varint();
  const term = reader.varint();
  const snapshot = readSnapshotHead(reader);
  const streamId = reader.varint();
  const offset = reader.varint();
  const bytes = reader.bytes.subarray(reader.at);
  visitor.snapshotChunk({ groupId, from, to, term, snapshot, streamId, offset, last, bytes });
}

function readSnapshotAck(reader: ByteReader, visitor: FrameVisitor): void {
  const status = ACK_STATUSES[reader.u8()];
  if (status === undefined) throw badFrame(2, 'the status is unknown');
  const groupId = readGroupId(reader);
  const from = reader.varint();
  const to = reader.varint();
  const streamId = reader.varint();
  const offset = reader.varint();
  if (reader.left > 0) throw badFrame(reader.at, 'bytes are left over');
  visitor.snapshotAck({ groupId, from, to, streamId, status, offset });
}

function readGroupId(reader: ByteReader): number {
  const { at } = reader;
  const groupId = reader.varint();
  if (groupId >= GROUP_ID_END) throw badFrame(at, 'a group id is out of range');
  return groupId;
}

function withoutData(head: Omit<Snapshot, 'data'>): Snapshot {
  return { ...head, data: EMPTY };
}
