import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { crc32c } from 'nori-io';
import { expect, test, vi } from 'vitest';
import wabt from 'wabt';
import { CRC32C_WASM } from '../src/crc32c-wasm.js';

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

test('every length around the bounds of folding agrees with the definition', () => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, index) => Math.imul(index, 0x9e37_79b1) >>> 13);
  const lengths = [...range(200, 700), ...range(8192 - 300, 8192 + 600), ...range(2 * 8192 - 600, 2 * 8192 + 300)];
  for (const length of lengths) {
    if (crc32c(bytes, 1, 1 + length) !== reference(bytes.subarray(1, 1 + length))) expect.fail(`length ${length}`);
  }
});

test('without WebAssembly, or where it is forbidden, checksums are the same', async () => {
  const bytes = Uint8Array.from({ length: 10_000 }, (_, index) => index * 31);
  class Forbidden {
    constructor() {
      throw new Error('refused by a policy');
    }
  }
  for (const substitute of [undefined, { Module: Forbidden }]) {
    vi.resetModules();
    vi.stubGlobal('WebAssembly', substitute);
    const { crc32c: other } = await import('../src/crc32c.js');
    expect(other(bytes)).toBe(crc32c(bytes));
    expect(other(bytes, 100, 5000, 7)).toBe(crc32c(bytes, 100, 5000, 7));
    vi.unstubAllGlobals();
  }
});

test('the multiple of the polynomial that folding rests on is one', () => {
  // x^n modulo the polynomial, bits reversed as everywhere: x^0 is the highest bit.
  const power = (exponent: number): number => {
    let value = 0x8000_0000;
    for (let n = 0; n < exponent; n++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    return value;
  };
  expect([0, 112, 312, 432, 1152, 1672].reduce((sum, exponent) => sum ^ power(exponent), 0)).toBe(0);
});

test('the module is what its source says', async () => {
  const { parseWat } = await wabt();
  const source = readFileSync(new URL('../src/crc32c.wat', import.meta.url), 'utf8');
  const { buffer } = parseWat('crc32c.wat', source, { simd: true }).toBinary({});
  expect(Buffer.from(buffer).toString('base64'), 'run `node scripts/assemble.mjs` in packages/nori-io').toBe(
    CRC32C_WASM,
  );
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}
