// Messages as MessagePack arrays, the type's number first. The layout is in docs/formats/swim.md.
import type {
  Alive,
  MemberRecord,
  Message,
  Refusal,
  RefusalReason,
  StreamReply,
  StreamRequest,
} from '../core/messages.js';
import type { MemberState } from '../member.js';
import { METADATA_BYTES_MAX } from '../protocol-options.js';
import {
  ACCUSERS_MAX,
  ADDRESS_BYTES_MAX,
  HELPER_WAIT_MAX_MS,
  ID_BYTES_MAX,
  RECORDS_MAX,
  ZONE_BYTES_MAX,
} from './limits.js';
import type { MsgpackReader } from './msgpack-reader.js';
import type { MsgpackWriter } from './msgpack-writer.js';

const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left'];
const REFUSALS: readonly RefusalReason[] = ['id-conflict', 'version'];

/** Anything that can be written. */
export type AnyMessage = Message | StreamRequest | StreamReply;

const TYPE = {
  ping: 0,
  ack: 1,
  nack: 2,
  'ping-request': 3,
  alive: 4,
  suspect: 5,
  dead: 6,
  left: 7,
  user: 8,
  conflict: 9,
  'push-pull': 16,
  'push-pull-reply': 17,
  refusal: 18,
} as const satisfies Record<AnyMessage['type'], number>;

/** Writes one message. */
export function writeMessage(w: MsgpackWriter, m: AnyMessage): void {
  switch (m.type) {
    case 'ping':
      head(w, 6, TYPE.ping);
      w.uint(m.seq);
      w.text(m.target);
      w.uint(m.boot);
      w.uint(m.incarnation);
      w.text(m.from);
      return;
    case 'ack':
      head(w, 6, TYPE.ack);
      w.uint(m.seq);
      w.text(m.from);
      w.uint(m.boot);
      w.uint(m.incarnation);
      w.text(m.via);
      return;
    case 'nack':
      head(w, 3, TYPE.nack);
      w.uint(m.seq);
      w.text(m.from);
      return;
    case 'ping-request':
      head(w, 8, TYPE['ping-request']);
      w.uint(m.seq);
      w.text(m.target);
      w.text(m.address);
      w.uint(m.boot);
      w.uint(m.incarnation);
      w.uint(m.waitMs);
      w.text(m.from);
      return;
    case 'alive':
      writeAlive(w, m);
      return;
    case 'suspect':
      head(w, 6, TYPE.suspect);
      w.text(m.id);
      w.uint(m.incarnation);
      w.text(m.from);
      w.uint(m.helpers);
      w.uint(m.nacks);
      return;
    case 'dead':
      head(w, 5, TYPE.dead);
      w.text(m.id);
      w.uint(m.incarnation);
      w.text(m.from);
      w.array(m.suspectedBy.length);
      for (const id of m.suspectedBy) w.text(id);
      return;
    case 'left':
      head(w, 3, TYPE.left);
      w.text(m.id);
      w.uint(m.incarnation);
      return;
    case 'user':
      head(w, 5, TYPE.user);
      w.text(m.from);
      w.uint(m.boot);
      w.uint(m.seq);
      w.binary(m.data);
      return;
    case 'conflict':
      head(w, 4, TYPE.conflict);
      w.text(m.id);
      w.uint(m.boot);
      w.text(m.address);
      return;
    case 'push-pull':
      head(w, 3, TYPE['push-pull']);
      w.uint(m.join ? 1 : 0);
      writeRecords(w, m.records);
      return;
    case 'push-pull-reply':
      head(w, 2, TYPE['push-pull-reply']);
      writeRecords(w, m.records);
      return;
    case 'refusal':
      head(w, 3, TYPE.refusal);
      w.uint(REFUSALS.indexOf(m.reason));
      w.text(m.address);
  }
}

function head(w: MsgpackWriter, fields: number, type: number): void {
  w.array(fields);
  w.uint(type);
}

function writeAlive(w: MsgpackWriter, m: Alive): void {
  head(w, 9, TYPE.alive);
  w.text(m.id);
  w.text(m.address);
  w.uint(m.boot);
  w.uint(m.incarnation);
  w.text(m.zone);
  w.binary(m.metadata);
  w.uint(m.versionMin);
  w.uint(m.versionMax);
}

function writeRecords(w: MsgpackWriter, records: readonly MemberRecord[]): void {
  w.array(records.length);
  for (const { alive, state, ageMs } of records) {
    w.array(3);
    w.uint(STATES.indexOf(state));
    w.uint(Math.max(0, Math.floor(ageMs)));
    writeAlive(w, alive);
  }
}

/** Reads one message of a packet. @throws SwimError SWIM_BAD_PACKET */
export function readMessage(r: MsgpackReader): Message {
  const message = readAny(r);
  if (message.type === 'push-pull' || message.type === 'push-pull-reply' || message.type === 'refusal') {
    throw r.bad('a message of a packet');
  }
  return message;
}

/** Reads a request of a stream. @throws SwimError SWIM_BAD_PACKET */
export function readRequest(r: MsgpackReader): StreamRequest {
  const message = readAny(r);
  if (message.type !== 'ping' && message.type !== 'push-pull') throw r.bad('a request');
  return message;
}

/** Reads the answer to a request. @throws SwimError SWIM_BAD_PACKET */
export function readReply(r: MsgpackReader): StreamReply {
  const message = readAny(r);
  if (message.type !== 'ack' && message.type !== 'push-pull-reply' && message.type !== 'refusal') {
    throw r.bad('a reply');
  }
  return message;
}

const READERS: { readonly [T in AnyMessage['type']]: (r: MsgpackReader) => AnyMessage & { readonly type: T } } = {
  ping: (r) => ({
    type: 'ping',
    seq: r.uint(),
    target: readId(r),
    boot: r.uint(),
    incarnation: r.uint(),
    from: readId(r),
  }),
  ack: (r) => ({
    type: 'ack',
    seq: r.uint(),
    from: readId(r),
    boot: r.uint(),
    incarnation: r.uint(),
    via: r.text(ID_BYTES_MAX),
  }),
  nack: (r) => ({ type: 'nack', seq: r.uint(), from: readId(r) }),
  'ping-request': (r) => ({
    type: 'ping-request',
    seq: r.uint(),
    target: readId(r),
    address: readAddress(r),
    boot: r.uint(),
    incarnation: r.uint(),
    waitMs: r.uint(HELPER_WAIT_MAX_MS),
    from: readId(r),
  }),
  alive: readAliveBody,
  suspect: (r) => ({
    type: 'suspect',
    id: readId(r),
    incarnation: r.uint(),
    from: readId(r),
    helpers: r.uint(0xff),
    nacks: r.uint(0xff),
  }),
  dead: (r) => ({
    type: 'dead',
    id: readId(r),
    incarnation: r.uint(),
    from: readId(r),
    suspectedBy: Array.from({ length: r.array(ACCUSERS_MAX) }, () => readId(r)),
  }),
  left: (r) => ({ type: 'left', id: readId(r), incarnation: r.uint() }),
  user: (r) => ({ type: 'user', from: readId(r), boot: r.uint(), seq: r.uint(), data: r.binary(0xffff) }),
  conflict: (r) => ({ type: 'conflict', id: readId(r), boot: r.uint(), address: readAddress(r) }),
  'push-pull': (r) => ({ type: 'push-pull', join: r.uint(1) === 1, records: readRecords(r) }),
  'push-pull-reply': (r) => ({ type: 'push-pull-reply', records: readRecords(r) }),
  refusal: (r): Refusal => ({
    type: 'refusal',
    reason: REFUSALS[r.uint(REFUSALS.length - 1)]!,
    address: r.text(ADDRESS_BYTES_MAX),
  }),
};

/** How many fields each type has, the type's number included. */
const FIELDS: { readonly [T in AnyMessage['type']]: number } = {
  ping: 6,
  ack: 6,
  nack: 3,
  'ping-request': 8,
  alive: 9,
  suspect: 6,
  dead: 5,
  left: 3,
  user: 5,
  conflict: 4,
  'push-pull': 3,
  'push-pull-reply': 2,
  refusal: 3,
};

const NAMES = new Map<number, AnyMessage['type']>(
  (Object.keys(TYPE) as AnyMessage['type'][]).map((name) => [TYPE[name], name]),
);

function readAny(r: MsgpackReader): AnyMessage {
  const fields = r.array(16);
  const type = NAMES.get(r.uint());
  if (type === undefined || fields !== FIELDS[type]) throw r.bad('a known type with its fields');
  return READERS[type](r);
}

function readAliveBody(r: MsgpackReader): Alive {
  return {
    type: 'alive',
    id: readId(r),
    address: readAddress(r),
    boot: r.uint(),
    incarnation: r.uint(),
    zone: r.text(ZONE_BYTES_MAX),
    metadata: r.binary(METADATA_BYTES_MAX),
    versionMin: r.uint(0xff),
    versionMax: r.uint(0xff),
  };
}

function readRecords(r: MsgpackReader): MemberRecord[] {
  const records: MemberRecord[] = [];
  for (let left = r.array(RECORDS_MAX); left > 0; left--) {
    if (r.array(3) !== 3) throw r.bad('a record');
    const state = STATES[r.uint(STATES.length - 1)]!;
    const ageMs = r.uint();
    const alive = readAny(r);
    if (alive.type !== 'alive') throw r.bad('a member');
    records.push({ state, ageMs, alive });
  }
  return records;
}

function readId(r: MsgpackReader): string {
  const id = r.text(ID_BYTES_MAX);
  if (!isValidId(id)) throw r.bad('an id');
  return id;
}

/** Whether a text can be the id of a node, its length aside. */
export function isValidId(id: string): boolean {
  if (id === '') return false;
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) return false;
  }
  return true;
}

/** An IP address and a port; not more than its form is looked at. */
const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+(?:%[\w.-]+)?\]):[1-9]\d{0,4}$/i;

function readAddress(r: MsgpackReader): string {
  const address = r.text(ADDRESS_BYTES_MAX);
  if (!ADDRESS.test(address) || Number(address.slice(address.lastIndexOf(':') + 1)) > 65_535) throw r.bad('an address');
  return address;
}
