// Makes frames of messages; layout in docs/formats/raft-frame.md. Sizes are computed as messages are added, so that a
// frame is one allocation and entry data is copied once. One encoder serves for ever: `finish` empties it.
import { RaftError } from '../errors.js';
import type { Entry, Message, MessageType } from '../types.js';
import { ByteWriter, varintSize, zigzag } from './byte-writer.js';
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
  GROUP_ID_END,
  MESSAGE_FLAG,
  MESSAGES_HEADER_BYTES,
  type SnapshotAck,
  type SnapshotChunk,
} from './frame-format.js';
import { snapshotHeadSize, writeSnapshotHead } from './snapshot-head-codec.js';

const TYPE_CODES = new Map(FRAME_TYPES.map((type, code) => [type, code]));

/** More than a message takes besides its entries and configuration: type, flags, eleven numbers. */
const MESSAGE_BYTES_MAX = 2 + 11 * 8;
/** Flags and three numbers. */
const ENTRY_HEAD_BYTES_MAX = 25;

/** A heartbeat, or the answer to one, as far as it goes into the columns. */
export type HeartbeatColumns = Pick<Message, 'from' | 'to' | 'term' | 'commit' | 'context' | 'transfer'>;

/** Heartbeats or answers, their numbers one behind the other. */
class ColumnSection {
  /** The first `length` are in use; what is behind them is kept, so that nothing has to grow again. */
  readonly numbers: number[] = [];
  length = 0;
  lastGroupId = 0;

  get count(): number {
    return this.length / COLUMNS;
  }

  /** @returns how many bytes it takes */
  add(groupId: number, m: HeartbeatColumns): number {
    const bytes = columnsSize(groupId - this.lastGroupId, m);
    const { numbers } = this;
    let at = this.length;
    numbers[at++] = groupId;
    numbers[at++] = m.from;
    numbers[at++] = m.to;
    numbers[at++] = m.term;
    numbers[at++] = m.commit;
    numbers[at++] = m.context;
    numbers[at++] = m.transfer;
    this.length = at;
    this.lastGroupId = groupId;
    return bytes;
  }

  clear(): void {
    this.length = 0;
    this.lastGroupId = 0;
  }
}

/** Messages of one section, with the groups they are for. */
class Section {
  readonly groupIds: number[] = [];
  readonly messages: Message[] = [];

  add(groupId: number, message: Message): void {
    this.groupIds.push(groupId);
    this.messages.push(message);
  }

  clear(): void {
    this.groupIds.length = 0;
    this.messages.length = 0;
  }
}

/**
 * Gathers messages for one node and makes a frame of them. Messages and the data of their entries must not change until
 * {@link FrameEncoder.finish}.
 *
 * A message of type `snapshot` goes without the snapshot's data: that is sent with {@link encodeSnapshotChunk}.
 */
export class FrameEncoder {
  readonly #limits: FrameLimits;
  readonly #heartbeats = new ColumnSection();
  readonly #answers = new ColumnSection();
  readonly #others = new Section();
  #bytes = MESSAGES_HEADER_BYTES;
  #dataBytes = 0;
  #entries = 0;

  constructor(limits: Partial<FrameLimits> = {}) {
    this.#limits = { ...DEFAULT_FRAME_LIMITS, ...limits };
  }

  /** Bytes of the frame if it were finished now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Messages added since the last frame. */
  get messageCount(): number {
    return this.#heartbeats.count + this.#answers.count + this.#others.messages.length;
  }

  /** Whether the frame stays within the limits with this message. A message that does not even fit in an empty one never can be sent. */
  fits(message: Message): boolean {
    return this.#fits(message, dataSize(message.entries));
  }

  #fits(message: Message, dataBytes: number): boolean {
    const { frameBytesMax, messagesMax, entriesMax } = this.#limits;
    if (this.messageCount >= messagesMax || this.#entries + message.entries.length > entriesMax) return false;
    let bytes = this.#bytes + MESSAGE_BYTES_MAX + message.entries.length * ENTRY_HEAD_BYTES_MAX + dataBytes;
    if (message.snapshot !== undefined) bytes += snapshotHeadSize(message.snapshot);
    return bytes <= frameBytesMax;
  }

  /**
   * @throws RaftError RAFT_MISUSE when a number of the message is none, or the message does not fit (see
   * {@link FrameEncoder.fits}); then it is not added
   */
  add(groupId: number, message: Message): void {
    if (!this.offer(groupId, message)) {
      throw new RaftError('RAFT_MISUSE', 'A message does not fit in the frame; ask `fits` before.');
    }
  }

  /** As {@link FrameEncoder.add}. @returns false: it does not fit, and was not added */
  offer(groupId: number, message: Message): boolean {
    checkGroupId(groupId);
    const dataBytes = dataSize(message.entries);
    if (!this.#fits(message, dataBytes)) return false;
    if (isPlain(message)) {
      this.#bytes += (message.type === 'heartbeat' ? this.#heartbeats : this.#answers).add(groupId, message);
      return true;
    }
    this.#bytes += messageSize(groupId, message) + dataBytes;
    this.#dataBytes += dataBytes;
    this.#entries += message.entries.length;
    this.#others.add(groupId, message);
    return true;
  }

  /** Whether there is room for one more heartbeat, or answer to one. */
  get fitsHeartbeat(): boolean {
    const { frameBytesMax, messagesMax } = this.#limits;
    return this.messageCount < messagesMax && this.#bytes + MESSAGE_BYTES_MAX <= frameBytesMax;
  }

  /** As {@link FrameEncoder.add}, for a heartbeat or an answer to one; see {@link FrameEncoder.fitsHeartbeat}. */
  addHeartbeat(isAnswer: boolean, groupId: number, numbers: HeartbeatColumns): void {
    this.#bytes += (isAnswer ? this.#answers : this.#heartbeats).add(groupId, numbers);
  }

  /** The frame, in a buffer of its own. The encoder is empty afterwards. */
  finish(): Uint8Array {
    const out = new ByteWriter(this.#bytes);
    out.u8(FRAME_VERSION);
    out.u8(FRAME_KIND.messages);
    out.u32(this.#heartbeats.count);
    out.u32(this.#answers.count);
    out.u32(this.#others.messages.length);
    out.u32(this.#dataBytes);
    writeColumns(out, this.#heartbeats);
    writeColumns(out, this.#answers);
    const { groupIds, messages } = this.#others;
    for (let i = 0; i < messages.length; i++) writeMessage(out, groupIds[i]!, messages[i]!);
    for (let i = 0; i < messages.length; i++) {
      const { entries } = messages[i]!;
      for (let j = 0; j < entries.length; j++) out.raw(entries[j]!.data);
    }
    if (out.at !== this.#bytes)
      throw new RaftError('RAFT_MISUSE', 'A message was changed after it was added to a frame.');
    this.clear();
    return out.bytes;
  }

  /** Forgets what was added. */
  clear(): void {
    this.#heartbeats.clear();
    this.#answers.clear();
    this.#others.clear();
    this.#bytes = MESSAGES_HEADER_BYTES;
    this.#dataBytes = 0;
    this.#entries = 0;
  }
}

/** @throws RaftError RAFT_MISUSE when a number or the configuration is none */
export function encodeSnapshotChunk(chunk: SnapshotChunk): Uint8Array {
  const { groupId, from, to, term, snapshot, streamId, offset, last, bytes } = chunk;
  checkGroupId(groupId);
  let size = 3 + varintSize(groupId) + varintSize(from) + varintSize(to) + varintSize(term);
  size += snapshotHeadSize(snapshot) + varintSize(streamId) + varintSize(offset) + bytes.length;
  const out = new ByteWriter(size);
  out.u8(FRAME_VERSION);
  out.u8(FRAME_KIND.snapshotChunk);
  out.u8(last ? 1 : 0);
  out.varint(groupId);
  out.varint(from);
  out.varint(to);
  out.varint(term);
  writeSnapshotHead(out, snapshot);
  out.varint(streamId);
  out.varint(offset);
  out.raw(bytes);
  return out.bytes;
}

/** @throws RaftError RAFT_MISUSE when a number or the status is none */
export function encodeSnapshotAck(ack: SnapshotAck): Uint8Array {
  const status = ACK_STATUSES.indexOf(ack.status);
  if (status < 1) throw new RaftError('RAFT_MISUSE', `"${String(ack.status)}" is no status.`);
  checkGroupId(ack.groupId);
  const numbers = [ack.groupId, ack.from, ack.to, ack.streamId, ack.offset];
  const out = new ByteWriter(numbers.reduce((size, number) => size + varintSize(number), 3));
  out.u8(FRAME_VERSION);
  out.u8(FRAME_KIND.snapshotAck);
  out.u8(status);
  for (const number of numbers) out.varint(number);
  return out.bytes;
}

/** Whether it goes into the columns: a heartbeat, or an answer to one, that uses no other field. */
export function isPlain(m: Message): boolean {
  return (
    (m.type === 'heartbeat' || m.type === 'heartbeat-response') &&
    m.index === 0 &&
    m.logTerm === 0 &&
    m.rejectHint === 0 &&
    !m.reject &&
    m.entries.length === 0 &&
    m.snapshot === undefined
  );
}

function checkGroupId(groupId: number): void {
  if (!Number.isSafeInteger(groupId) || groupId < 0 || groupId >= GROUP_ID_END) {
    throw new RaftError('RAFT_MISUSE', `${groupId} is no group id.`);
  }
}

function columnsSize(difference: number, m: HeartbeatColumns): number {
  return (
    varintSize(zigzag(difference)) +
    varintSize(m.from) +
    varintSize(m.to) +
    varintSize(m.term) +
    varintSize(m.commit) +
    varintSize(m.context) +
    varintSize(m.transfer)
  );
}

function writeColumns(out: ByteWriter, { numbers, length }: ColumnSection): void {
  let before = 0;
  for (let i = 0; i < length; i += COLUMNS) {
    const groupId = numbers[i]!;
    out.varint(zigzag(groupId - before));
    before = groupId;
  }
  for (let column = 1; column < COLUMNS; column++) {
    for (let i = column; i < length; i += COLUMNS) out.varint(numbers[i]!);
  }
}

function typeCode(type: MessageType): number {
  const code = TYPE_CODES.get(type);
  if (code === undefined) throw new RaftError('RAFT_MISUSE', `"${String(type)}" is no type of message.`);
  return code;
}

function messageSize(groupId: number, m: Message): number {
  typeCode(m.type);
  let size = 2 + varintSize(groupId) + varintSize(m.from) + varintSize(m.to) + varintSize(m.term);
  size += varintSize(m.index) + varintSize(m.logTerm) + varintSize(m.commit) + varintSize(m.rejectHint);
  size += varintSize(m.context) + varintSize(m.transfer) + varintSize(m.entries.length);
  if (m.snapshot !== undefined) size += snapshotHeadSize(m.snapshot);
  const { entries } = m;
  let { index, term } = m;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    size += ENTRY_HEAD_BYTES_MIN - 1 + varintSize(entry.data.length);
    // Computed in any case: it refuses what is no number.
    const indexSize = varintSize(entry.index);
    if (entry.index !== index + 1) size += indexSize;
    if (entry.term !== term) size += varintSize(entry.term);
    index = entry.index;
    term = entry.term;
  }
  return size;
}

function writeMessage(out: ByteWriter, groupId: number, m: Message): void {
  out.u8(typeCode(m.type));
  out.u8((m.reject ? MESSAGE_FLAG.reject : 0) | (m.snapshot === undefined ? 0 : MESSAGE_FLAG.snapshot));
  out.varint(groupId);
  out.varint(m.from);
  out.varint(m.to);
  out.varint(m.term);
  out.varint(m.index);
  out.varint(m.logTerm);
  out.varint(m.commit);
  out.varint(m.rejectHint);
  out.varint(m.context);
  out.varint(m.transfer);
  out.varint(m.entries.length);
  if (m.snapshot !== undefined) writeSnapshotHead(out, m.snapshot);
  const { entries } = m;
  let { index, term } = m;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    const hasIndex = entry.index !== index + 1;
    const hasTerm = entry.term !== term;
    const type = entry.type === 'conf-change' ? ENTRY_FLAG.confChange : 0;
    out.u8(type | (hasIndex ? ENTRY_FLAG.index : 0) | (hasTerm ? ENTRY_FLAG.term : 0));
    if (hasIndex) out.varint(entry.index);
    if (hasTerm) out.varint(entry.term);
    out.varint(entry.data.length);
    index = entry.index;
    term = entry.term;
  }
}

function dataSize(entries: readonly Entry[]): number {
  let size = 0;
  for (let i = 0; i < entries.length; i++) size += entries[i]!.data.length;
  return size;
}
