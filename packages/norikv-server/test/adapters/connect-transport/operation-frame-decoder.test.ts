import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { type OperationColumns, OperationFrameSchema, ProtocolError } from 'norikv-protocol';
import { describe, expect, test } from 'vitest';
import { OperationFrameDecoder } from '../../../src/adapters/connect-transport/operation-frame-decoder.js';

const decode = (bytes: Uint8Array): OperationColumns => new OperationFrameDecoder().decode(bytes);

const bytes = fc.uint8Array({ maxLength: 200 });
const integers = fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 8 });
const doubles = fc.array(fc.double({ noNaN: true }), { maxLength: 8 });

const frames = fc.record({
  firstId: fc.integer({ min: 0, max: 0xffffffff }),
  kinds: bytes,
  keys: fc.array(bytes, { maxLength: 8 }),
  values: fc.array(bytes, { maxLength: 8 }),
  consistencies: bytes,
  timeoutsMs: integers,
  clientId: bytes,
  sequences: doubles,
  floor: fc.double({ noNaN: true }),
  agesMs: integers,
  ttlRows: integers,
  ttlsMs: doubles,
  ifAbsentRows: integers,
  ifVersionRows: integers,
  ifVersionTerms: doubles,
  ifVersionIndexes: doubles,
  atomicStarts: integers,
  atomicCounts: integers,
  cancels: integers,
});

describe('the decoder of operation frames', () => {
  test('reads what protobuf-es writes', () => {
    fc.assert(
      fc.property(frames, (frame) => {
        expect(decode(toBinary(OperationFrameSchema, create(OperationFrameSchema, frame)))).toEqual(frame);
      }),
    );
  });

  test('reads a message that begins in the middle of a buffer', () => {
    const message = toBinary(
      OperationFrameSchema,
      create(OperationFrameSchema, { keys: [new Uint8Array([1, 2])], floor: 7 }),
    );
    const buffer = new Uint8Array(message.length + 11);
    buffer.set(message, 5);
    const frame = decode(buffer.subarray(5, 5 + message.length));
    expect(frame.keys).toEqual([new Uint8Array([1, 2])]);
    expect(frame.floor).toBe(7);
  });

  test('accepts unpacked numbers, unknown fields of every wire type, and a scalar given twice', () => {
    const message = new BinaryWriter()
      .uint32((6 << 3) | WireType.Varint)
      .uint32(300)
      .uint32((6 << 3) | WireType.Varint)
      .uint32(4)
      .uint32((8 << 3) | WireType.Bit64)
      .double(1.5)
      .uint32((99 << 3) | WireType.Varint)
      .uint64(2n ** 63n)
      .uint32((100 << 3) | WireType.Bit64)
      .double(1)
      .uint32((101 << 3) | WireType.Bit32)
      .float(1)
      .uint32((102 << 3) | WireType.LengthDelimited)
      .string('later')
      .uint32((1 << 3) | WireType.Varint)
      .uint32(5)
      .uint32((1 << 3) | WireType.Varint)
      .uint32(6)
      .finish();
    const frame = decode(message);
    expect(frame.timeoutsMs).toEqual([300, 4]);
    expect(frame.sequences).toEqual([1.5]);
    expect(frame.firstId).toBe(6);
  });

  test.each([
    ['a key cut off', [0x1a, 5, 1, 2], /keys announces 5 bytes, 2 are left/],
    ['a length that never ends', [0x1a, ...new Array(11).fill(0xff)], /keys has a number of more than 10 bytes/],
    ['a double cut off', [0x49, 1, 2, 3], /floor is cut off/],
    ['half a double in a packed column', [0x42, 7, 1, 2, 3, 4, 5, 6, 7], /sequences has 7 bytes/],
    ['a packed number that leaves its column', [0x32, 1, 0x80, 1], /timeouts_ms is cut off/],
    ['a wrong wire type', [0x18, 1], /keys has wire type 0/],
    ['a group', [0x1b], /keys has wire type 3/],
    ['an unknown field in a group', [0xa3, 6], /field 100 has wire type 3/],
    ['a tag cut off', [0x80], /a field number is cut off/],
  ])('refuses %s and names the field', (_what, message, expected) => {
    expect(() => decode(new Uint8Array(message))).toThrow(ProtocolError);
    expect(() => decode(new Uint8Array(message))).toThrow(expected);
  });

  test('never fails in another way, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (message) => {
        try {
          decode(message);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
