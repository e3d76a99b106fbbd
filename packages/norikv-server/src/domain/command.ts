// What a log entry of a shard says, and its bytes (docs/formats/log-entry.md). An entry holds any number of requests
// that are independent of each other and touch different keys; none at all is a *time entry*, which only moves the
// shard's time on. Decisions (conditions, duplicates, expiry) are made when the entry is applied, never before.

import type { ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import { hexToBytes, toHex } from './hex.js';
import type { WriteIdentity, WriteOperation } from './operation.js';

/** A request as the log carries it: of {@link WriteRequest} what matters to the outcome. */
export interface Command {
  readonly operations: readonly WriteOperation[];
  readonly identity: WriteIdentity | undefined;
}

const FORMAT = 1;
const HAS_IDENTITY = 1;
const KIND_PUT = 1;
const KIND_DELETE = 2;
const KIND_MASK = 0x03;
const HAS_TTL = 0x04;
const IF_ABSENT = 0x08;
const IF_VERSION = 0x10;
const NO_VALUE = new Uint8Array(0);

/** Appends the body of an entry. */
export const encodeCommands = (commands: readonly Command[], to: ByteWriter): void => {
  to.u8(FORMAT);
  to.varint(commands.length);
  for (const command of commands) {
    const { identity, operations } = command;
    to.u8(identity === undefined ? 0 : HAS_IDENTITY);
    if (identity !== undefined) {
      to.bytes(clientIdBytes(identity.clientId));
      to.varint(identity.sequence);
      to.varint(identity.floor);
      to.varint(identity.ageMs);
    }
    to.varint(operations.length);
    for (const operation of operations) encodeOperation(operation, to);
  }
};

let lastClientId = '';
let lastClientIdBytes = hexToBytes(lastClientId);

/** The writes of a turn come from few clients: mostly from the one before. */
const clientIdBytes = (clientId: string): Uint8Array => {
  if (clientId !== lastClientId) {
    lastClientId = clientId;
    lastClientIdBytes = hexToBytes(clientId);
  }
  return lastClientIdBytes;
};

const encodeOperation = (operation: WriteOperation, to: ByteWriter): void => {
  const { ifVersion } = operation;
  to.u8(
    (operation.kind === 'put' ? KIND_PUT : KIND_DELETE) |
      (operation.ttlMs > 0 ? HAS_TTL : 0) |
      (operation.ifAbsent ? IF_ABSENT : 0) |
      (ifVersion === undefined ? 0 : IF_VERSION),
  );
  to.blob(operation.key);
  if (operation.ttlMs > 0) to.varint(operation.ttlMs);
  if (ifVersion !== undefined) {
    to.varint(ifVersion.term);
    to.varint(ifVersion.index);
  }
  if (operation.kind === 'put') to.blob(operation.value);
};

/**
 * Reads the body of an entry. Keys and values are views of the reader's bytes.
 * @throws RangeError if the bytes are not what {@link encodeCommands} writes.
 */
export const decodeCommands = (from: ByteReader): Command[] => {
  const format = from.u8();
  if (format !== FORMAT) throw new RangeError(`log entry format ${format} is not known`);
  const count = from.varint();
  if (count > from.remaining) throw new RangeError('an entry claims more requests than it has bytes');
  const commands: Command[] = [];
  for (let i = 0; i < count; i++) {
    const flags = from.u8();
    if ((flags & ~HAS_IDENTITY) !== 0) throw new RangeError(`request flags ${flags} are not known`);
    const identity = (flags & HAS_IDENTITY) === 0 ? undefined : decodeIdentity(from);
    const operationCount = from.varint();
    if (operationCount > from.remaining) throw new RangeError('a request claims more operations than it has bytes');
    const operations: WriteOperation[] = [];
    for (let j = 0; j < operationCount; j++) operations.push(decodeOperation(from));
    commands.push({ identity, operations });
  }
  return commands;
};

let lastDecoded = new Uint8Array(16);
let lastDecodedId = toHex(lastDecoded);

/** As {@link clientIdBytes}: mostly the id of the request before, and then the same string. */
const decodeClientId = (from: ByteReader): string => {
  const bytes = from.bytes(16);
  let i = 0;
  while (i < 16 && bytes[i] === lastDecoded[i]) i++;
  if (i < 16) {
    lastDecoded = bytes.slice();
    lastDecodedId = toHex(bytes);
  }
  return lastDecodedId;
};

const decodeIdentity = (from: ByteReader): WriteIdentity => ({
  clientId: decodeClientId(from),
  sequence: from.varint(),
  floor: from.varint(),
  ageMs: from.varint(),
});

const decodeOperation = (from: ByteReader): WriteOperation => {
  const flags = from.u8();
  const kind = flags & KIND_MASK;
  if ((kind !== KIND_PUT && kind !== KIND_DELETE) || flags > 0x1f) {
    throw new RangeError(`operation flags ${flags} are not known`);
  }
  const key = from.blob();
  const ttlMs = (flags & HAS_TTL) === 0 ? 0 : from.varint();
  const ifVersion = (flags & IF_VERSION) === 0 ? undefined : { term: from.varint(), index: from.varint() };
  const value = kind === KIND_PUT ? from.blob() : NO_VALUE;
  return {
    kind: kind === KIND_PUT ? 'put' : 'delete',
    key,
    value,
    ttlMs,
    ifAbsent: (flags & IF_ABSENT) !== 0,
    ifVersion,
    tag: 0,
  };
};
