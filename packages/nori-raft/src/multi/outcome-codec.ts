// The outcomes that a group remembers as bytes, for marks and snapshots (docs/formats/raft-outcomes.md). Strict: what is
// decoded obeys the bounds, contradicts itself nowhere, and encodes to the same bytes again.
import { RaftError } from '../errors.js';
import { ByteReader, badFrame } from './byte-reader.js';
import { ByteWriter, varintSize } from './byte-writer.js';
import {
  CLOCK_MARGIN_MS,
  type ClientRecord,
  type OutcomeLimits,
  type OutcomeSlot,
  type OutcomeState,
} from './outcome-table.js';
import { CLIENT_ID_BYTES, readClient, TIME_MAX_MS, writeClient } from './request-codec.js';

const FORMAT = 1;
/** A client: its id, five numbers and a count, one byte each at least. */
const CLIENT_BYTES_MIN = CLIENT_ID_BYTES + 6;
const VARINT_BYTES_MAX = 8;

/** A state, and the index of the entry up to which it stands. */
export interface IndexedOutcomes {
  readonly index: number;
  readonly state: OutcomeState;
}

export function encodeOutcomes({ index, state }: IndexedOutcomes): Uint8Array {
  const { timeMs, watermarkMs, clients } = state;
  let size = 1 + varintSize(index) + varintSize(timeMs) + varintSize(watermarkMs) + varintSize(clients.size);
  for (const record of clients.values()) size += clientSize(record);
  const out = new ByteWriter(size);
  out.u8(FORMAT);
  for (const number of [index, timeMs, watermarkMs, clients.size]) out.varint(number);
  for (const [client, record] of clients) {
    writeClient(out, client);
    for (const number of numbersOf(record)) out.varint(number);
    for (const [sequence, { result }] of record.outcomes) {
      out.varint(sequence);
      out.varint(result === undefined ? 0 : result.length + 1);
      if (result !== undefined) out.raw(result);
    }
  }
  return out.bytes;
}

/** No encoded state is longer. */
export function outcomeBytesMax({ clientsMax, outcomesMax, resultBytesMax }: OutcomeLimits): number {
  const client = CLIENT_ID_BYTES + 6 * VARINT_BYTES_MAX;
  return 1 + 4 * VARINT_BYTES_MAX + clientsMax * client + outcomesMax * (2 * VARINT_BYTES_MAX + resultBytesMax);
}

/** @throws RaftError RAFT_CORRUPT_STATE, RAFT_UNSUPPORTED_FORMAT */
export function decodeOutcomes(bytes: Uint8Array, limits: OutcomeLimits): IndexedOutcomes {
  if (bytes.length > 0 && bytes[0] !== FORMAT) {
    throw new RaftError(
      'RAFT_UNSUPPORTED_FORMAT',
      `Client outcomes have format ${bytes[0]}, which this version does not know. Update this node.`,
    );
  }
  try {
    return readOutcomes(new ByteReader(bytes), limits);
  } catch (error) {
    if (!(error instanceof RaftError)) throw error;
    throw corruptOutcomes('The outcomes of clients do not decode. Replace this replica by a new one.', error);
  }
}

export function corruptOutcomes(message: string, cause?: unknown): RaftError {
  return new RaftError('RAFT_CORRUPT_STATE', message, 0, cause);
}

function clientSize(record: ClientRecord): number {
  let size = CLIENT_ID_BYTES;
  for (const number of numbersOf(record)) size += varintSize(number);
  for (const [sequence, { result }] of record.outcomes) {
    size += varintSize(sequence) + (result === undefined ? 1 : varintSize(result.length + 1) + result.length);
  }
  return size;
}

function numbersOf({ floor, lastIndex, lastTimeMs, evictedSequence, watermarkMs, outcomes }: ClientRecord): number[] {
  return [floor, lastIndex, lastTimeMs, evictedSequence, watermarkMs, outcomes.size];
}

function readOutcomes(reader: ByteReader, limits: OutcomeLimits): IndexedOutcomes {
  reader.u8();
  const index = reader.varint();
  const timeMs = reader.varint();
  const watermarkMs = reader.varint();
  if (timeMs > TIME_MAX_MS) throw badFrame(reader.at, 'a time is out of range');
  if (watermarkMs > timeMs + CLOCK_MARGIN_MS) throw badFrame(reader.at, 'a watermark is too far ahead');
  const count = reader.count(limits.clientsMax, CLIENT_BYTES_MIN);
  const clients = new Map<string, ClientRecord>();
  let lastIndex = 0;
  let outcomesLeft = limits.outcomesMax;
  for (let i = 0; i < count; i++) {
    const client = readClient(reader);
    const record = readRecord(reader, limits, outcomesLeft);
    if (clients.has(client)) throw badFrame(reader.at, 'a client is there twice');
    if (record.lastIndex <= lastIndex) throw badFrame(reader.at, 'clients are out of order');
    if (record.lastTimeMs > timeMs || record.watermarkMs > watermarkMs) throw badFrame(reader.at, 'a time is too late');
    lastIndex = record.lastIndex;
    outcomesLeft -= record.outcomes.size;
    clients.set(client, record);
  }
  if (lastIndex > index) throw badFrame(reader.at, 'an index is too high');
  if (reader.left > 0) throw badFrame(reader.at, 'bytes are left over');
  return { index, state: { timeMs, watermarkMs, clients } };
}

function readRecord(reader: ByteReader, limits: OutcomeLimits, outcomesLeft: number): ClientRecord {
  const floor = reader.varint();
  const lastIndex = reader.varint();
  const lastTimeMs = reader.varint();
  const evictedSequence = reader.varint();
  const watermarkMs = reader.varint();
  if (floor === 0) throw badFrame(reader.at, 'a floor is below 1');
  const count = reader.count(Math.min(limits.outcomesPerClientMax, outcomesLeft), 2);
  const outcomes = new Map<number, OutcomeSlot>();
  for (let i = 0; i < count; i++) {
    const sequence = reader.varint();
    if (sequence < floor || outcomes.has(sequence)) throw badFrame(reader.at, `sequence ${sequence} cannot be here`);
    outcomes.set(sequence, { result: readResult(reader, limits) });
  }
  return { floor, lastIndex, lastTimeMs, evictedSequence, watermarkMs, outcomes };
}

function readResult(reader: ByteReader, { resultBytesMax }: OutcomeLimits): Uint8Array | undefined {
  const length = reader.varint() - 1;
  if (length < 0) return undefined;
  if (length > resultBytesMax) throw badFrame(reader.at, 'a result is too long');
  if (length > reader.left) throw badFrame(reader.at, 'a result ends too soon');
  const { at } = reader;
  reader.at += length;
  // A copy: the bytes around it are not to be kept for its sake.
  return reader.bytes.slice(at, reader.at);
}
