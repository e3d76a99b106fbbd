// Protobuf decoder of `norikv.v1.OperationFrame` for the hot path: one pass, keys and values as views of the message, no
// reflection (protobuf-es takes several times as long). Accepts what protobuf-es accepts: fields in any order, packed and
// unpacked numbers, unknown fields (skipped), a scalar given twice (the last counts).
import { LIMITS, type OperationColumns, ProtocolError } from 'norikv-protocol';

const FIELD_NAMES: readonly string[] = [
  '',
  'first_id',
  'kinds',
  'keys',
  'values',
  'consistencies',
  'timeouts_ms',
  'client_id',
  'sequences',
  'floor',
  'ages_ms',
  'ttl_rows',
  'ttls_ms',
  'if_absent_rows',
  'if_version_rows',
  'if_version_terms',
  'if_version_indexes',
  'atomic_starts',
  'atomic_counts',
  'cancels',
];

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const NO_BYTES = new Uint8Array(0);
/** Shared by all frames that lack a column; nobody writes to the columns of a decoded frame. */
const NO_NUMBERS: number[] = [];

/** Decodes frames; keeps nothing between them. */
export class OperationFrameDecoder {
  #bytes: Uint8Array = NO_BYTES;
  #view: DataView = new DataView(NO_BYTES.buffer);
  #at = 0;
  #end = 0;
  #field = 0;

  /**
   * @param message one encoded frame; the result holds views of it
   * @throws ProtocolError `PROTOCOL_MALFORMED`, naming the field
   */
  decode(message: Uint8Array): OperationColumns {
    this.#bytes = message;
    this.#view = new DataView(message.buffer, message.byteOffset, message.length);
    this.#at = 0;
    this.#end = message.length;
    const frame: OperationColumns = {
      firstId: 0,
      kinds: NO_BYTES,
      keys: [],
      values: [],
      consistencies: NO_BYTES,
      timeoutsMs: NO_NUMBERS,
      clientId: NO_BYTES,
      sequences: NO_NUMBERS,
      floor: 0,
      agesMs: NO_NUMBERS,
      ttlRows: NO_NUMBERS,
      ttlsMs: NO_NUMBERS,
      ifAbsentRows: NO_NUMBERS,
      ifVersionRows: NO_NUMBERS,
      ifVersionTerms: NO_NUMBERS,
      ifVersionIndexes: NO_NUMBERS,
      atomicStarts: NO_NUMBERS,
      atomicCounts: NO_NUMBERS,
      cancels: NO_NUMBERS,
    };
    while (this.#at < this.#end) this.#readField(frame);
    return frame;
  }

  #readField(frame: OperationColumns): void {
    this.#field = 0;
    const tag = this.#varint();
    const wire = tag & 7;
    this.#field = tag >>> 3;
    switch (this.#field) {
      case 3:
        this.#addRow(frame.keys, wire);
        break;
      case 4:
        this.#addRow(frame.values, wire);
        break;
      case 1:
        this.#expect(wire, VARINT);
        frame.firstId = this.#varint();
        break;
      case 2:
        frame.kinds = this.#bytesField(wire);
        break;
      case 5:
        frame.consistencies = this.#bytesField(wire);
        break;
      case 6:
        frame.timeoutsMs = this.#integers(wire, frame.timeoutsMs);
        break;
      case 7:
        frame.clientId = this.#bytesField(wire);
        break;
      case 8:
        frame.sequences = this.#doubles(wire, frame.sequences);
        break;
      case 9:
        this.#expect(wire, FIXED64);
        frame.floor = this.#double();
        break;
      case 10:
        frame.agesMs = this.#integers(wire, frame.agesMs);
        break;
      case 11:
        frame.ttlRows = this.#integers(wire, frame.ttlRows);
        break;
      case 12:
        frame.ttlsMs = this.#doubles(wire, frame.ttlsMs);
        break;
      case 13:
        frame.ifAbsentRows = this.#integers(wire, frame.ifAbsentRows);
        break;
      case 14:
        frame.ifVersionRows = this.#integers(wire, frame.ifVersionRows);
        break;
      case 15:
        frame.ifVersionTerms = this.#doubles(wire, frame.ifVersionTerms);
        break;
      case 16:
        frame.ifVersionIndexes = this.#doubles(wire, frame.ifVersionIndexes);
        break;
      case 17:
        frame.atomicStarts = this.#integers(wire, frame.atomicStarts);
        break;
      case 18:
        frame.atomicCounts = this.#integers(wire, frame.atomicCounts);
        break;
      case 19:
        frame.cancels = this.#integers(wire, frame.cancels);
        break;
      default:
        this.#skip(wire);
    }
  }

  #fail(what: string): never {
    const name = FIELD_NAMES[this.#field];
    const field = name === undefined ? `field ${this.#field}` : name === '' ? 'a field number' : name;
    throw new ProtocolError('PROTOCOL_MALFORMED', `Malformed operation frame at byte ${this.#at}: ${field} ${what}`);
  }

  #expect(wire: number, expected: number): void {
    if (wire !== expected) this.#fail(`has wire type ${wire}, expected ${expected}`);
  }

  /** A varint's low 32 bits, unsigned. */
  #varint(): number {
    const bytes = this.#bytes;
    if (this.#at < this.#end && bytes[this.#at]! < 0x80) return bytes[this.#at++]!;
    let result = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.#end) this.#fail('is cut off');
      const byte = bytes[this.#at++]!;
      if (shift < 32) result |= (byte & 0x7f) << shift;
      if (byte < 0x80) return result >>> 0;
    }
    return this.#fail('has a number of more than 10 bytes');
  }

  /** Length of what follows, which lies within the message. */
  #length(): number {
    const length = this.#varint();
    if (length > this.#end - this.#at) {
      this.#fail(`announces ${length} bytes, ${this.#end - this.#at} are left`);
    }
    return length;
  }

  #bytesField(wire: number): Uint8Array {
    this.#expect(wire, BYTES);
    const length = this.#length();
    const bytes = this.#bytes;
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset + this.#at, length);
    this.#at += length;
    return view;
  }

  /** Adds a key or a value; a frame with too many is not worth reading on. */
  #addRow(column: Uint8Array[], wire: number): void {
    if (column.length === LIMITS.frameRowsMax)
      this.#fail(`has over ${LIMITS.frameRowsMax} elements, which is the limit`);
    column.push(this.#bytesField(wire));
  }

  #double(): number {
    if (this.#end - this.#at < 8) this.#fail('is cut off');
    const value = this.#view.getFloat64(this.#at, true);
    this.#at += 8;
    return value;
  }

  #integers(wire: number, before: number[]): number[] {
    const numbers = before === NO_NUMBERS ? [] : before;
    if (wire === VARINT) {
      numbers.push(this.#varint());
      return numbers;
    }
    this.#expect(wire, BYTES);
    const length = this.#length();
    const messageEnd = this.#end;
    this.#end = this.#at + length;
    while (this.#at < this.#end) numbers.push(this.#varint());
    this.#end = messageEnd;
    return numbers;
  }

  #doubles(wire: number, before: number[]): number[] {
    const numbers = before === NO_NUMBERS ? [] : before;
    if (wire === FIXED64) {
      numbers.push(this.#double());
      return numbers;
    }
    this.#expect(wire, BYTES);
    const length = this.#length();
    if (length % 8 !== 0) this.#fail(`has ${length} bytes, expected a multiple of 8`);
    for (let i = 0; i < length; i += 8) numbers.push(this.#double());
    return numbers;
  }

  #skip(wire: number): void {
    switch (wire) {
      case VARINT:
        this.#varint();
        return;
      case FIXED64:
      case FIXED32: {
        const size = wire === FIXED64 ? 8 : 4;
        if (this.#end - this.#at < size) this.#fail('is cut off');
        this.#at += size;
        return;
      }
      case BYTES: {
        const length = this.#length();
        this.#at += length;
        return;
      }
      default:
        this.#fail(`has wire type ${wire}`);
    }
  }
}
