import fc from 'fast-check';
import { readU32LE, readU64LE, writeU32LE, writeU64LE } from 'nori-io';
import { expect, test } from 'vitest';

test('fixed-width integers agree with DataView', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(3), (value, offset) => {
      const bytes = new Uint8Array(12);
      const view = new DataView(bytes.buffer);
      writeU64LE(bytes, offset, value);
      expect(view.getBigUint64(offset, true)).toBe(BigInt(value));
      expect(readU64LE(bytes, offset)).toBe(value);
      writeU32LE(bytes, offset, value % 2 ** 32);
      expect(view.getUint32(offset, true)).toBe(value % 2 ** 32);
      expect(readU32LE(bytes, offset)).toBe(value % 2 ** 32);
    }),
  );
});
