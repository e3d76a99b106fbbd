import fc from 'fast-check';
import { crc32c } from 'nori-io';
import { expect, test } from 'vitest';

const text = (value: string) => new TextEncoder().encode(value);

/** Bit by bit, straight from the definition. */
function reference(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

test('known vectors come out', () => {
  expect(crc32c(text('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(0))).toBe(0);
  // RFC 3720, appendix B.4.
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index))).toBe(0x46dd794e);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => 31 - index))).toBe(0x113fdb5c);
});

test('any length agrees with the definition, whole, in a range, and continued with a seed', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer(),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (length, salt, cut) => {
        const bytes = Uint8Array.from({ length }, (_, index) => (index * 31 + salt) ^ (index >>> 5));
        const expected = reference(bytes);
        const middle = Math.floor(cut * length);
        expect(crc32c(bytes)).toBe(expected);
        expect(crc32c(bytes, middle, length, crc32c(bytes, 0, middle))).toBe(expected);
        expect(crc32c(bytes, middle)).toBe(reference(bytes.subarray(middle)));
      },
    ),
    { numRuns: 60 },
  );
});

test('the memory may be shared, large, or change from call to call', () => {
  const small = Uint8Array.from({ length: 3000 }, (_, index) => index * 7);
  const large = new Uint8Array(3 * 1024 * 1024);
  large.set(small, 1_000_001);
  const shared = new Uint8Array(new SharedArrayBuffer(4000));
  shared.set(small, 3);
  const expected = reference(small);
  for (let round = 0; round < 2; round++) {
    expect(crc32c(small)).toBe(expected);
    expect(crc32c(large, 1_000_001, 1_003_001)).toBe(expected);
    expect(crc32c(large.subarray(1_000_001), 0, 3000)).toBe(expected);
    expect(crc32c(shared, 3, 3003)).toBe(expected);
  }
});
