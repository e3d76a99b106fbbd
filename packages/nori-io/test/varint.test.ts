import fc from 'fast-check';
import { readVarint, VARINT_BYTES_MAX, VarintCursor, varintSize, writeVarint } from 'nori-io';
import { expect, test } from 'vitest';

const cursor = new VarintCursor();
const boundaries = Array.from({ length: 54 }, (_, bits) => [2 ** bits - 1, 2 ** bits, 2 ** bits + 1])
  .flat()
  .filter((value) => value <= Number.MAX_SAFE_INTEGER);

function roundTrip(value: number): void {
  const target = new Uint8Array(12).fill(0xee);
  const end = writeVarint(target, 2, value);
  expect(end - 2).toBe(varintSize(value));
  expect(target[end]).toBe(0xee);
  expect(readVarint(target, 2, cursor)).toBe(end);
  expect(cursor.value).toBe(value);
  expect(cursor.problem).toBeUndefined();
  for (let cut = 2; cut < end; cut++) {
    expect(readVarint(target, 2, cursor, cut)).toBe(-1);
    expect(cursor.problem).toBe('truncated');
  }
}

test('every power of two and its neighbours come back, and no prefix of them does', () => {
  for (const value of boundaries) roundTrip(value);
});

test('any value below 2^53 comes back', () => {
  fc.assert(fc.property(fc.maxSafeNat(), roundTrip));
});

test('known encodings are those of LEB128', () => {
  const target = new Uint8Array(8);
  expect([...target.subarray(0, writeVarint(target, 0, 300))]).toEqual([0xac, 0x02]);
  expect([...target.subarray(0, writeVarint(target, 0, Number.MAX_SAFE_INTEGER))]).toEqual([
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f,
  ]);
});

test('overlong and too large encodings are refused', () => {
  expect(readVarint(Uint8Array.of(0x80, 0x00), 0, cursor)).toBe(-1);
  expect(cursor.problem).toBe('overlong');
  expect(readVarint(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10), 0, cursor)).toBe(-1);
  expect(cursor.problem).toBe('too-large');
  expect(readVarint(new Uint8Array(10).fill(0x80), 0, cursor)).toBe(-1);
  expect(cursor.problem).toBe('too-large');
});

test('any bytes either decode to a value with exactly these bytes, or are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      const end = readVarint(bytes, 0, cursor);
      if (end === -1) {
        expect(cursor.problem).toBeDefined();
        return;
      }
      expect(end).toBeLessThanOrEqual(VARINT_BYTES_MAX);
      const again = new Uint8Array(end);
      writeVarint(again, 0, cursor.value);
      expect(again).toEqual(bytes.subarray(0, end));
    }),
    { numRuns: 2000 },
  );
});
