// Bytes of manifest records, as docs/formats/manifest.md lays them down. An edit is a list of fields, each
// `id varint | length varint | bytes`. A reader skips an unknown field with an even id and refuses one with an odd id.

import type { Compression } from 'nori-io';
import { readVarint, VarintCursor, varintSize, writeVarint } from 'nori-io';
import { LsmError } from './errors.js';
import type { KeyspaceMeta } from './keyspaces.js';
import type { AddedTable, ManifestEdit, RemovedTable } from './manifest-edit.js';
import type { RangeTombstone } from './range-tombstones.js';
import type { TableMeta } from './table-meta.js';
import type { KeyspaceSettings } from './types.js';

/** Field ids. Reserved for later versions: 21 removed mark. Never used again: `unused`. */
const FIELD = {
  nextNumber: 1,
  flushedSeq: 3,
  logPosition: 5,
  ownLog: 7,
  added: 9,
  removed: 11,
  mark: 13,
  /** Where compaction of a level went last: was written, never needed. Skipped. */
  unused: 15,
  keyspace: 17,
  range: 19,
  usedSeq: 23,
  removedRange: 25,
  mappedKeys: 27,
  lastKeyspace: 29,
  removedKeyspace: 31,
} as const;

/** Ids of further fields of a table. */
const TABLE_FIELD = { sequence: 1, cleanSeq: 2 } as const;
/** Ids of the settings of a keyspace: a reader need not know them. */
const SETTING = { compression: 2, blockBytes: 4, bloomBitsPerKey: 6, ttlMs: 8 } as const;
const COMPRESSIONS: readonly Compression[] = ['none', 'lz4', 'deflate', 'zstd'];

/** The only keyspace of this version. */
const KEYSPACE_DEFAULT = 0;

/** Appends bytes to a buffer that grows. */
class Encoder {
  #buffer = new Uint8Array(256);
  #length = 0;

  varint(value: number): this {
    this.#reserve(8);
    this.#length = writeVarint(this.#buffer, this.#length, value);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  sized(bytes: Uint8Array): this {
    return this.varint(bytes.length).bytes(bytes);
  }

  number(id: number, value: number | undefined): this {
    return value === undefined ? this : this.varint(id).varint(varintSize(value)).varint(value);
  }

  field(id: number, content: Encoder): this {
    return this.varint(id).sized(content.taken());
  }

  taken(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(bytes: number): void {
    const need = this.#length + bytes;
    if (need <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(need, this.#buffer.length * 2));
    grown.set(this.taken());
    this.#buffer = grown;
  }
}

/** Payload of the record that holds `edit`. */
export const encodeEdit = (edit: ManifestEdit): Uint8Array => {
  const out = new Encoder();
  out.number(FIELD.nextNumber, edit.nextNumber);
  out.number(FIELD.flushedSeq, edit.flushedSeq);
  out.number(FIELD.usedSeq, edit.usedSeq);
  out.number(FIELD.logPosition, edit.logPosition);
  if (edit.ownLog !== undefined) out.number(FIELD.ownLog, edit.ownLog ? 1 : 0);
  if (edit.mappedKeys !== undefined) out.number(FIELD.mappedKeys, edit.mappedKeys ? 1 : 0);
  out.number(FIELD.lastKeyspace, edit.lastKeyspace);
  for (const id of edit.removedKeyspaces ?? []) out.number(FIELD.removedKeyspace, id);
  for (const keyspace of edit.keyspaces ?? []) out.field(FIELD.keyspace, encodeKeyspace(keyspace));
  for (const { level, number } of edit.removed ?? [])
    out.field(FIELD.removed, new Encoder().varint(level).varint(number));
  for (const { level, meta } of edit.added ?? []) out.field(FIELD.added, encodeTable(level, meta));
  for (const [id, mark] of edit.marks ?? []) out.field(FIELD.mark, new Encoder().varint(id).bytes(mark));
  for (const seq of edit.removedRanges ?? []) out.number(FIELD.removedRange, seq);
  for (const { seq, start, end } of edit.addedRanges ?? []) {
    out.field(FIELD.range, new Encoder().varint(KEYSPACE_DEFAULT).varint(seq).sized(start).sized(end));
  }
  return out.taken();
};

const encodeKeyspace = ({ id, name, settings }: KeyspaceMeta): Encoder => {
  const out = new Encoder().varint(id).sized(new TextEncoder().encode(name));
  const { compression, blockBytes, bloomBitsPerKey, ttlMs } = settings;
  if (compression !== undefined) out.number(SETTING.compression, COMPRESSIONS.indexOf(compression));
  out.number(SETTING.blockBytes, blockBytes);
  out.number(SETTING.bloomBitsPerKey, bloomBitsPerKey);
  out.number(SETTING.ttlMs, ttlMs);
  return out;
};

const encodeTable = (level: number, meta: TableMeta): Encoder => {
  const out = new Encoder()
    .varint(level)
    .varint(KEYSPACE_DEFAULT)
    .varint(meta.number)
    .varint(meta.fileBytes)
    .varint(meta.entries)
    .varint(meta.tombstones)
    .varint(meta.shadowed)
    .varint(meta.expiring)
    .varint(meta.earliestExpiryMs)
    .varint(meta.smallestSeq)
    .varint(meta.largestSeq)
    .sized(meta.smallestKey)
    .sized(meta.largestKey);
  if (meta.sequence !== 0) out.number(TABLE_FIELD.sequence, meta.sequence);
  // What is not newer than all entries says nothing.
  if (meta.cleanSeq > meta.smallestSeq) out.number(TABLE_FIELD.cleanSeq, meta.cleanSeq);
  return out;
};

/** Reads bytes front to back; what does not fit is corruption. */
class Decoder {
  readonly #bytes: Uint8Array;
  readonly #cursor = new VarintCursor();
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): number {
    const next = readVarint(this.#bytes, this.#at, this.#cursor);
    if (next < 0) throw malformed('a number is cut off or not minimal');
    this.#at = next;
    return this.#cursor.value;
  }

  sized(): Uint8Array {
    return this.#take(this.varint());
  }

  rest(): Uint8Array {
    return this.#take(this.#bytes.length - this.#at);
  }

  end(): void {
    if (!this.atEnd) throw malformed('a field is longer than its contents');
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw malformed('a length goes beyond the end');
    const taken = this.#bytes.slice(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }
}

/**
 * The edit in a record's payload.
 * @throws LsmError `LSM_CORRUPT_MANIFEST`, or `LSM_UNSUPPORTED_VERSION` for an unknown field that must be understood
 */
export const decodeEdit = (payload: Uint8Array): ManifestEdit => {
  const edit: { -readonly [Name in keyof ManifestEdit]: ManifestEdit[Name] } = {};
  const added: AddedTable[] = [];
  const removed: RemovedTable[] = [];
  const marks: [number, Uint8Array][] = [];
  const keyspaces: KeyspaceMeta[] = [];
  const removedKeyspaces: number[] = [];
  const addedRanges: RangeTombstone[] = [];
  const removedRanges: number[] = [];
  const input = new Decoder(payload);
  while (!input.atEnd) {
    const id = input.varint();
    const field = new Decoder(input.sized());
    if (id === FIELD.nextNumber) edit.nextNumber = only(field);
    else if (id === FIELD.flushedSeq) edit.flushedSeq = only(field);
    else if (id === FIELD.logPosition) edit.logPosition = only(field);
    else if (id === FIELD.ownLog) edit.ownLog = only(field) !== 0;
    else if (id === FIELD.added) added.push(decodeTable(field));
    else if (id === FIELD.removed) removed.push({ level: field.varint(), number: only(field) });
    else if (id === FIELD.mark) marks.push([field.varint(), field.rest()]);
    else if (id === FIELD.keyspace) keyspaces.push(decodeKeyspace(field));
    else if (id === FIELD.removedKeyspace) removedKeyspaces.push(only(field));
    else if (id === FIELD.mappedKeys) edit.mappedKeys = only(field) !== 0;
    else if (id === FIELD.lastKeyspace) edit.lastKeyspace = only(field);
    else if (id === FIELD.range) addedRanges.push(decodeRange(field));
    else if (id === FIELD.removedRange) removedRanges.push(only(field));
    else if (id === FIELD.usedSeq) edit.usedSeq = only(field);
    else if (id !== FIELD.unused) refuseIfRequired(id);
  }
  return { ...edit, added, removed, marks, addedRanges, removedRanges, keyspaces, removedKeyspaces };
};

const decodeKeyspace = (field: Decoder): KeyspaceMeta => {
  const id = field.varint();
  const name = new TextDecoder().decode(field.sized());
  const settings: { -readonly [Name in keyof KeyspaceSettings]: KeyspaceSettings[Name] } = {};
  while (!field.atEnd) {
    const setting = field.varint();
    const value = new Decoder(field.sized());
    if (setting === SETTING.compression) settings.compression = COMPRESSIONS[only(value)] ?? 'none';
    else if (setting === SETTING.blockBytes) settings.blockBytes = only(value);
    else if (setting === SETTING.bloomBitsPerKey) settings.bloomBitsPerKey = only(value);
    else if (setting === SETTING.ttlMs) settings.ttlMs = only(value);
    else refuseIfRequired(setting);
  }
  return { id, name, settings };
};

const decodeRange = (field: Decoder): RangeTombstone => {
  if (field.varint() !== KEYSPACE_DEFAULT) refuseIfRequired(FIELD.range);
  const range = { seq: field.varint(), start: field.sized(), end: field.sized() };
  field.end();
  return range;
};

const decodeTable = (field: Decoder): AddedTable => {
  const level = field.varint();
  const keyspace = field.varint();
  if (keyspace !== KEYSPACE_DEFAULT) refuseIfRequired(17);
  const meta = {
    number: field.varint(),
    fileBytes: field.varint(),
    entries: field.varint(),
    tombstones: field.varint(),
    shadowed: field.varint(),
    expiring: field.varint(),
    earliestExpiryMs: field.varint(),
    smallestSeq: field.varint(),
    largestSeq: field.varint(),
    smallestKey: field.sized(),
    largestKey: field.sized(),
    sequence: 0,
    cleanSeq: 0,
  };
  // Later versions may append more fields, under the same rule.
  while (!field.atEnd) {
    const id = field.varint();
    const further = new Decoder(field.sized());
    if (id === TABLE_FIELD.sequence) meta.sequence = only(further);
    else if (id === TABLE_FIELD.cleanSeq) meta.cleanSeq = only(further);
    else refuseIfRequired(id);
  }
  return { level, meta };
};

const only = (field: Decoder): number => {
  const value = field.varint();
  field.end();
  return value;
};

const refuseIfRequired = (id: number): void => {
  if (id % 2 === 0) return;
  throw new LsmError(
    'LSM_UNSUPPORTED_VERSION',
    `The manifest uses a feature (field ${id}) that this version does not know. Open the database with a newer version.`,
  );
};

const malformed = (what: string): LsmError =>
  new LsmError('LSM_CORRUPT_MANIFEST', `The manifest is malformed: ${what}.`);
