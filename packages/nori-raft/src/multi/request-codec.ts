// Requests as the data of log entries, for state machines that `exactlyOnce` wraps (docs/formats/raft-outcomes.md):
//
//   0xe1 | flags u8 | client id (16) | sequence | sequence - floor | age | time | payload to the end
//
// Without identity, what lies between flags and payload is missing. Every request has exactly one encoding.
import { RaftError } from '../errors.js';
import { ByteReader, badFrame } from './byte-reader.js';
import { ByteWriter, varintSize } from './byte-writer.js';

/** Which request of which client this is. */
export interface RequestIdentity {
  /** 16 random bytes, never used by another client, nor by this one after it has lost its count of sequences. */
  readonly clientId: Uint8Array;
  /** Counts the client's requests, from 1. All attempts of a request have the same. */
  readonly sequence: number;
  /** The client will never again attempt requests below; from 1 to `sequence`. */
  readonly floor: number;
  /** Milliseconds since the request was first attempted; 0: this is the first attempt. */
  readonly ageMs: number;
}

/** {@link RequestIdentity}, and when it is proposed. */
export interface TimedIdentity extends RequestIdentity {
  /** The wall clock of the leader, or of whoever proposes: milliseconds since the epoch. */
  readonly timeMs: number;
}

/** A request as it is applied. */
export interface DecodedRequest {
  readonly identity: (Omit<TimedIdentity, 'clientId'> & { readonly client: string }) | undefined;
  readonly payload: Uint8Array;
}

export const CLIENT_ID_BYTES = 16;
/** Times and ages end in the year 10889: sums of them stay exact. */
export const TIME_MAX_MS = 2 ** 48;
const MARKER = 0xe0;
const VERSION = 1;
const HAS_IDENTITY = 1;

/**
 * The data of an entry that asks a state machine wrapped by `exactlyOnce` to apply `payload`, once.
 * @param identity undefined: nobody will attempt it again, so nothing is remembered
 * @throws RaftError RAFT_MISUSE when a field is out of range, or the payload empty
 */
export function encodeRequest(identity: TimedIdentity | undefined, payload: Uint8Array): Uint8Array {
  if (payload.length === 0) throw misuse('its payload is empty');
  if (identity === undefined) {
    const out = new ByteWriter(2 + payload.length);
    out.u8(MARKER | VERSION);
    out.u8(0);
    out.raw(payload);
    return out.bytes;
  }
  const { clientId, sequence, floor, ageMs, timeMs } = identity;
  if (clientId.length !== CLIENT_ID_BYTES) throw misuse(`a client id of ${clientId.length} bytes is none`);
  if (!(Number.isSafeInteger(sequence) && Number.isSafeInteger(floor) && floor >= 1 && floor <= sequence)) {
    throw misuse(`sequence ${sequence} with floor ${floor} is none`);
  }
  for (const time of [ageMs, timeMs]) {
    if (!(Number.isSafeInteger(time) && time >= 0 && time <= TIME_MAX_MS)) throw misuse(`${time} ms is no time or age`);
  }
  let size = 2 + CLIENT_ID_BYTES + payload.length;
  const numbers = [sequence, sequence - floor, ageMs, timeMs];
  for (const number of numbers) size += varintSize(number);
  const out = new ByteWriter(size);
  out.u8(MARKER | VERSION);
  out.u8(HAS_IDENTITY);
  out.raw(clientId);
  for (const number of numbers) out.varint(number);
  out.raw(payload);
  return out.bytes;
}

/**
 * Undefined when the bytes are no request, and never will be in any version: all replicas agree on that.
 * @throws RaftError RAFT_UNSUPPORTED_FORMAT for a later version's: replicas that know it apply it, so this one must stop
 */
export function decodeRequest(data: Uint8Array): DecodedRequest | undefined {
  const first = data[0] ?? 0;
  if ((first & 0xf0) !== MARKER || first === MARKER) return undefined;
  if (first !== (MARKER | VERSION)) {
    throw new RaftError(
      'RAFT_UNSUPPORTED_FORMAT',
      `A request in the log has format ${first & 0x0f}, which this version does not know. Update this node.`,
    );
  }
  try {
    return readRequest(new ByteReader(data));
  } catch (error) {
    if (error instanceof RaftError) return undefined;
    throw error;
  }
}

function readRequest(reader: ByteReader): DecodedRequest {
  reader.u8();
  let identity: DecodedRequest['identity'];
  if (reader.flags(HAS_IDENTITY) !== 0) {
    const client = readClient(reader);
    const sequence = reader.varint();
    const aboveFloor = reader.varint();
    const ageMs = reader.varint();
    const timeMs = reader.varint();
    if (aboveFloor >= sequence) throw badFrame(reader.at, 'a floor is below 1');
    if (ageMs > TIME_MAX_MS || timeMs > TIME_MAX_MS) throw badFrame(reader.at, 'a time is out of range');
    identity = { client, sequence, floor: sequence - aboveFloor, ageMs, timeMs };
  }
  if (reader.left === 0) throw badFrame(reader.at, 'its payload is empty');
  return { identity, payload: reader.bytes.subarray(reader.at, reader.end) };
}

/** A client id as a key of maps: one character a byte. */
export function readClient(reader: ByteReader): string {
  if (reader.left < CLIENT_ID_BYTES) throw badFrame(reader.at, 'it ends too soon');
  const id = reader.bytes.subarray(reader.at, reader.at + CLIENT_ID_BYTES);
  reader.at += CLIENT_ID_BYTES;
  return String.fromCharCode(...id);
}

export function writeClient(out: ByteWriter, client: string): void {
  for (let i = 0; i < CLIENT_ID_BYTES; i++) out.u8(client.charCodeAt(i));
}

function misuse(why: string): RaftError {
  return new RaftError('RAFT_MISUSE', `A request cannot be encoded: ${why}.`);
}
