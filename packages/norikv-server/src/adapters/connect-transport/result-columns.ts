// Results on their way out: the columns of one `norikv.v1.ResultFrame`, filled row by row, then written in one go as a
// gRPC message (core streams) or handed over as a message object (connect-node).
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type ErrorDetail,
  ErrorDetailSchema,
  MESSAGE_PREFIX_BYTES,
  type ResultFrame,
  ResultFrameSchema,
  writeMessagePrefix,
} from 'norikv-protocol';

/** `statuses` of a row. */
export const RESULT = Object.freeze({ done: 0, notFound: 1, failed: 2 } as const);

const UINT32_MAX = 0xffffffff;
const ROWS_AT_FIRST = 256;

/** Protobuf tags: field number << 3 | wire type. All wire types here are 2 but that of `term`. */
const TAG = { ids: 0x0a, statuses: 0x12, values: 0x1a, term: 0x20, terms: 0x2a, indexes: 0x32, errors: 0x3a } as const;

const varintBytes = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;

/** Results of one frame. Rows are added with {@link add}; {@link clear} starts the next frame. */
export class ResultColumns {
  #capacity = ROWS_AT_FIRST;
  #ids = new Uint32Array(ROWS_AT_FIRST);
  #statuses = new Uint8Array(ROWS_AT_FIRST);
  #terms = new Float64Array(ROWS_AT_FIRST);
  #indexes = new Float64Array(ROWS_AT_FIRST);
  readonly #values: Uint8Array[] = [];
  readonly #errors: ErrorDetail[] = [];
  #count = 0;
  #idBytes = 0;
  /** Bytes of the encoded `values`. */
  #valueBytes = 0;
  /** Term of the rows with a version so far; -1: they differ; 0: there are none. */
  #term = 0;

  /** Rows. */
  get count(): number {
    return this.#count;
  }

  /** Bytes that the rows will take, about. */
  get bytes(): number {
    return this.#valueBytes + this.#count * 12;
  }

  clear(): void {
    this.#count = this.#idBytes = this.#valueBytes = this.#term = 0;
    this.#values.length = 0;
    this.#errors.length = 0;
  }

  /** Adds a row; `term` and `index` are 0 where there is no version. */
  add(id: number, status: number, term: number, index: number): void {
    if (this.#count === this.#capacity) this.#grow();
    const row = this.#count++;
    this.#ids[row] = id;
    this.#idBytes += varintBytes(id);
    this.#statuses[row] = status;
    this.#terms[row] = term;
    this.#indexes[row] = index;
    if (term !== this.#term && index !== 0) this.#term = this.#term === 0 && term <= UINT32_MAX ? term : -1;
  }

  /** Adds the row of a get that found `value`. */
  addValue(id: number, value: Uint8Array, term: number, index: number): void {
    this.add(id, RESULT.done, term, index);
    this.#values.push(value);
    this.#valueBytes += 1 + varintBytes(value.length) + value.length;
  }

  /** Adds the row of an operation that failed. */
  addError(id: number, error: ErrorDetail): void {
    this.add(id, RESULT.failed, 0, 0);
    this.#errors.push(error);
  }

  #grow(): void {
    this.#capacity *= 2;
    const grown = <T extends { set(from: T): void }>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.#ids = grown(new Uint32Array(this.#capacity), this.#ids);
    this.#statuses = grown(new Uint8Array(this.#capacity), this.#statuses);
    this.#terms = grown(new Float64Array(this.#capacity), this.#terms);
    this.#indexes = grown(new Float64Array(this.#capacity), this.#indexes);
  }

  /** The frame as protobuf-es knows it. */
  toMessage(): ResultFrame {
    const count = this.#count;
    return create(ResultFrameSchema, {
      ids: Array.from(this.#ids.subarray(0, count)),
      statuses: this.#statuses.slice(0, count),
      values: this.#values.slice(),
      term: Math.max(0, this.#term),
      terms: this.#term === -1 ? Array.from(this.#terms.subarray(0, count)) : [],
      indexes: Array.from(this.#indexes.subarray(0, count)),
      errors: this.#errors.slice(),
    });
  }

  /** The frame as a gRPC message with its prefix, in a buffer of its own. Each value is copied once. */
  toGrpcMessage(): Uint8Array {
    const count = this.#count;
    const errors = this.#errors.map((error) => toBinary(ErrorDetailSchema, error));
    let length = this.#valueBytes;
    length += 1 + varintBytes(this.#idBytes) + this.#idBytes;
    length += 1 + varintBytes(count) + count;
    length += 1 + varintBytes(count * 8) + count * 8;
    if (this.#term > 0) length += 1 + varintBytes(this.#term);
    if (this.#term < 0) length += 1 + varintBytes(count * 8) + count * 8;
    for (const error of errors) length += 1 + varintBytes(error.length) + error.length;
    const target = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES + length);
    writeMessagePrefix(target, 0, length);
    let at = this.#writeIds(target, MESSAGE_PREFIX_BYTES);
    at = writeBytes(target, at, TAG.statuses, this.#statuses.subarray(0, count));
    for (const value of this.#values) at = writeBytes(target, at, TAG.values, value);
    if (this.#term > 0) {
      target[at++] = TAG.term;
      at = writeVarint(target, at, this.#term);
    }
    if (this.#term < 0) at = writeDoubles(target, at, TAG.terms, this.#terms, count);
    at = writeDoubles(target, at, TAG.indexes, this.#indexes, count);
    for (const error of errors) at = writeBytes(target, at, TAG.errors, error);
    return target;
  }

  #writeIds(target: Uint8Array, offset: number): number {
    target[offset] = TAG.ids;
    let at = writeVarint(target, offset + 1, this.#idBytes);
    const ids = this.#ids;
    for (let i = 0; i < this.#count; i++) at = writeVarint(target, at, ids[i]!);
    return at;
  }
}

const writeVarint = (target: Uint8Array, offset: number, value: number): number => {
  let at = offset;
  let rest = value;
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[at++] = rest;
  return at;
};

const writeBytes = (target: Uint8Array, offset: number, tag: number, bytes: Uint8Array): number => {
  target[offset] = tag;
  const at = writeVarint(target, offset + 1, bytes.length);
  target.set(bytes, at);
  return at + bytes.length;
};

/** Doubles are little-endian on the wire, as on every machine that Node runs on. */
const writeDoubles = (target: Uint8Array, offset: number, tag: number, numbers: Float64Array, count: number): number =>
  writeBytes(target, offset, tag, new Uint8Array(numbers.buffer, 0, count * 8));
