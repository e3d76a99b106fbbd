// Writes operation and result frames as whole gRPC messages: prefix and protobuf bytes in one buffer of the exact size, each
// key and value copied once. The bytes equal those of protobuf-es (a property test holds both together); what is saved is
// its growing buffer and the copy behind the prefix, about two thirds of the time for frames with values (bench/frames.mjs).
// Decoding is left to protobuf-es, whose `fromBinary` hands out views and is as fast as code of our own.
import { toBinary } from '@bufbuild/protobuf';
import { MESSAGE_PREFIX_BYTES, writeMessagePrefix } from './framing.js';
import { type ErrorDetail, ErrorDetailSchema } from './gen/norikv/v1/types_pb.js';
import type { OperationColumns } from './operation-frame.js';

/** The fields of `norikv.v1.ResultFrame`; the generated message has this shape too. */
export interface ResultColumns {
  ids: number[];
  statuses: Uint8Array;
  values: Uint8Array[];
  term: number;
  terms: number[];
  indexes: number[];
  errors: ErrorDetail[];
}

const DELIMITED = 2;
const FIXED64 = 1;

const varintSize = (n: number): number => (n < 0x80 ? 1 : n < 0x4000 ? 2 : n < 0x200000 ? 3 : n < 0x10000000 ? 4 : 5);

const delimitedSize = (tagBytes: number, length: number): number =>
  length === 0 ? 0 : tagBytes + varintSize(length) + length;

const uint32sBytes = (numbers: readonly number[]): number => {
  let bytes = 0;
  for (let i = 0; i < numbers.length; i++) bytes += varintSize(numbers[i]!);
  return bytes;
};

const repeatedBytesSize = (items: readonly Uint8Array[]): number => {
  let size = 0;
  for (let i = 0; i < items.length; i++) {
    const length = items[i]!.length;
    size += 1 + varintSize(length) + length;
  }
  return size;
};

/** One message being written; reused, since encoding is synchronous. */
class Writer {
  #bytes: Uint8Array = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  begin(messageBytes: number): void {
    this.#bytes = new Uint8Array(MESSAGE_PREFIX_BYTES + messageBytes);
    this.#view = new DataView(this.#bytes.buffer);
    writeMessagePrefix(this.#bytes, 0, messageBytes);
    this.#at = MESSAGE_PREFIX_BYTES;
  }

  end(): Uint8Array {
    const bytes = this.#bytes;
    this.#bytes = EMPTY;
    this.#view = EMPTY_VIEW;
    return bytes;
  }

  varint(value: number): void {
    const bytes = this.#bytes;
    let n = value >>> 0;
    let at = this.#at;
    while (n > 0x7f) {
      bytes[at++] = (n & 0x7f) | 0x80;
      n >>>= 7;
    }
    bytes[at++] = n;
    this.#at = at;
  }

  tag(field: number, wireType: number): void {
    this.varint((field << 3) | wireType);
  }

  uint32(field: number, value: number): void {
    if (value === 0) return;
    this.tag(field, 0);
    this.varint(value);
  }

  double(field: number, value: number): void {
    if (value === 0) return;
    this.tag(field, FIXED64);
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }

  bytes(field: number, value: Uint8Array): void {
    if (value.length > 0) this.#delimited(field, value);
  }

  repeatedBytes(field: number, values: readonly Uint8Array[]): void {
    for (let i = 0; i < values.length; i++) this.#delimited(field, values[i]!);
  }

  #delimited(field: number, value: Uint8Array): void {
    const length = value.length;
    this.tag(field, DELIMITED);
    this.varint(length);
    const bytes = this.#bytes;
    const at = this.#at;
    // Below some dozen bytes a loop beats the call to set().
    if (length <= 32) for (let i = 0; i < length; i++) bytes[at + i] = value[i]!;
    else bytes.set(value, at);
    this.#at = at + length;
  }

  packedUint32(field: number, values: readonly number[], byteLength: number): void {
    if (values.length === 0) return;
    this.tag(field, DELIMITED);
    this.varint(byteLength);
    for (let i = 0; i < values.length; i++) this.varint(values[i]!);
  }

  packedDouble(field: number, values: readonly number[]): void {
    if (values.length === 0) return;
    this.tag(field, DELIMITED);
    this.varint(values.length * 8);
    const view = this.#view;
    let at = this.#at;
    for (let i = 0; i < values.length; i++, at += 8) view.setFloat64(at, values[i]!, true);
    this.#at = at;
  }
}

const EMPTY = new Uint8Array(0);
const EMPTY_VIEW = new DataView(EMPTY.buffer);
const writer = new Writer();

/** The frame as a gRPC message, its prefix included, ready to be written to a stream. */
export const encodeOperationFrame = (frame: OperationColumns): Uint8Array => {
  const timeouts = uint32sBytes(frame.timeoutsMs);
  const ages = uint32sBytes(frame.agesMs);
  const ttlRows = uint32sBytes(frame.ttlRows);
  const ifAbsentRows = uint32sBytes(frame.ifAbsentRows);
  const ifVersionRows = uint32sBytes(frame.ifVersionRows);
  const atomicStarts = uint32sBytes(frame.atomicStarts);
  const atomicCounts = uint32sBytes(frame.atomicCounts);
  const cancels = uint32sBytes(frame.cancels);
  writer.begin(
    (frame.firstId === 0 ? 0 : 1 + varintSize(frame.firstId)) +
      delimitedSize(1, frame.kinds.length) +
      repeatedBytesSize(frame.keys) +
      repeatedBytesSize(frame.values) +
      delimitedSize(1, frame.consistencies.length) +
      delimitedSize(1, timeouts) +
      delimitedSize(1, frame.clientId.length) +
      delimitedSize(1, frame.sequences.length * 8) +
      (frame.floor === 0 ? 0 : 9) +
      delimitedSize(1, ages) +
      delimitedSize(1, ttlRows) +
      delimitedSize(1, frame.ttlsMs.length * 8) +
      delimitedSize(1, ifAbsentRows) +
      delimitedSize(1, ifVersionRows) +
      delimitedSize(1, frame.ifVersionTerms.length * 8) +
      delimitedSize(2, frame.ifVersionIndexes.length * 8) +
      delimitedSize(2, atomicStarts) +
      delimitedSize(2, atomicCounts) +
      delimitedSize(2, cancels),
  );
  writer.uint32(1, frame.firstId);
  writer.bytes(2, frame.kinds);
  writer.repeatedBytes(3, frame.keys);
  writer.repeatedBytes(4, frame.values);
  writer.bytes(5, frame.consistencies);
  writer.packedUint32(6, frame.timeoutsMs, timeouts);
  writer.bytes(7, frame.clientId);
  writer.packedDouble(8, frame.sequences);
  writer.double(9, frame.floor);
  writer.packedUint32(10, frame.agesMs, ages);
  writer.packedUint32(11, frame.ttlRows, ttlRows);
  writer.packedDouble(12, frame.ttlsMs);
  writer.packedUint32(13, frame.ifAbsentRows, ifAbsentRows);
  writer.packedUint32(14, frame.ifVersionRows, ifVersionRows);
  writer.packedDouble(15, frame.ifVersionTerms);
  writer.packedDouble(16, frame.ifVersionIndexes);
  writer.packedUint32(17, frame.atomicStarts, atomicStarts);
  writer.packedUint32(18, frame.atomicCounts, atomicCounts);
  writer.packedUint32(19, frame.cancels, cancels);
  return writer.end();
};

/** The frame as a gRPC message, its prefix included, ready to be written to a stream. */
export const encodeResultFrame = (frame: ResultColumns): Uint8Array => {
  const ids = uint32sBytes(frame.ids);
  const errors = frame.errors.length === 0 ? [] : frame.errors.map((error) => toBinary(ErrorDetailSchema, error));
  writer.begin(
    delimitedSize(1, ids) +
      delimitedSize(1, frame.statuses.length) +
      repeatedBytesSize(frame.values) +
      (frame.term === 0 ? 0 : 1 + varintSize(frame.term)) +
      delimitedSize(1, frame.terms.length * 8) +
      delimitedSize(1, frame.indexes.length * 8) +
      repeatedBytesSize(errors),
  );
  writer.packedUint32(1, frame.ids, ids);
  writer.bytes(2, frame.statuses);
  writer.repeatedBytes(3, frame.values);
  writer.uint32(4, frame.term);
  writer.packedDouble(5, frame.terms);
  writer.packedDouble(6, frame.indexes);
  writer.repeatedBytes(7, errors);
  return writer.end();
};
