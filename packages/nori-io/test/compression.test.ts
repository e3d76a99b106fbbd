import zlib from 'node:zlib';
import {
  COMPRESSION_BYTES_MAX,
  type Codec,
  type Compression,
  codecFor,
  compressWithSize,
  decompressWithSize,
  IoError,
  type IoErrorCode,
} from 'nori-io';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { zstdCodec } from '../src/compression.js';

const seed = seedFromEnv();
const hasZstd = 'zstdCompressSync' in zlib;
const names = (['none', 'lz4', 'deflate', 'zstd'] as const).filter((name) => name !== 'zstd' || hasZstd);

function codeOf(action: () => unknown): IoErrorCode | 'no error' {
  try {
    action();
    return 'no error';
  } catch (error) {
    if (error instanceof IoError) return error.code;
    throw new Error(`Not an IoError (NORI_SEED=${seed})`, { cause: error });
  }
}

/** Bytes of many shapes: random, runs, text of few words, and mixtures. */
function someBytes(rng: Rng, bytesMax: number): Uint8Array {
  const bytes = rng.bytes(rng.chance(0.1) ? rng.int(4) : rng.int(bytesMax));
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(bytes.length - at, rng.int(rng.chance(0.1) ? 2000 : 40));
    if (rng.chance(0.3)) bytes.fill(rng.int(256), at, at + length);
    else if (rng.chance(0.6) && at > 0) bytes.copyWithin(at, rng.int(at), at);
    at += length + 1;
  }
  return bytes;
}

function damaged(rng: Rng, compressed: Uint8Array): Uint8Array {
  if (rng.chance(0.2)) return compressed.subarray(0, rng.int(compressed.length + 1));
  if (rng.chance(0.2)) return rng.bytes(rng.int(300)).map((byte) => (byte < 100 ? 255 : byte < 150 ? 0 : byte));
  if (rng.chance(0.1)) return new Uint8Array([...compressed, ...rng.bytes(1 + rng.int(9))]);
  const copy = compressed.slice();
  for (let flips = 1 + rng.int(3); flips > 0 && copy.length > 0; flips--)
    copy[rng.int(copy.length)]! ^= 1 << rng.int(8);
  return copy;
}

describe.each(names)('%s', (name) => {
  const codec = codecFor(name);

  test(`any bytes come back, from any place of a larger buffer (seed ${seed})`, () => {
    const rng = new Rng(seed);
    for (let round = 0; round < 500; round++) {
      const bytes = someBytes(rng, round % 50 === 0 ? 200_000 : 5000);
      const source = new Uint8Array([...rng.bytes(3), ...bytes, 0xee]);
      const compressed = codec.compress(source, 3, 3 + bytes.length);
      const stored = new Uint8Array([0xaa, ...compressed, 0xbb]);
      const back = codec.decompress(stored, 1, 1 + compressed.length, bytes.length);
      expect(Buffer.compare(back, bytes), `round ${round}`).toBe(0);
      expect(back.constructor).toBe(Uint8Array);
      expect(compressed.constructor).toBe(Uint8Array);
    }
  });

  test(`a wrong size is refused (seed ${seed})`, () => {
    const rng = new Rng(seed);
    for (let round = 0; round < 200; round++) {
      const bytes = someBytes(rng, 2000);
      const compressed = codec.compress(bytes, 0, bytes.length);
      for (const wrong of [bytes.length - 1, bytes.length + 1, rng.int(5000), -1, Number.NaN, 2 ** 40, 2 ** 30]) {
        if (wrong === bytes.length) continue;
        expect(codeOf(() => codec.decompress(compressed, 0, compressed.length, wrong))).toBe('IO_CORRUPT');
      }
    }
  });

  test(`damaged bytes give the stated size or IO_CORRUPT, and nothing is spoilt (seed ${seed})`, () => {
    const rng = new Rng(seed);
    const refused = { count: 0 };
    for (let round = 0; round < 3000; round++) {
      const bytes = someBytes(rng, 600);
      const input = damaged(rng, codec.compress(bytes, 0, bytes.length));
      const stated = rng.chance(0.7) ? bytes.length : rng.int(100_000);
      const code = codeOf(() => {
        expect(codec.decompress(input, 0, input.length, stated).length).toBe(stated);
      });
      expect(['no error', 'IO_CORRUPT']).toContain(code);
      if (code === 'IO_CORRUPT') refused.count++;
    }
    expect(refused.count).toBeGreaterThan(500);
    const bytes = new TextEncoder().encode('as good as new '.repeat(50));
    const compressed = codec.compress(bytes, 0, bytes.length);
    expect(codec.decompress(compressed, 0, compressed.length, bytes.length)).toEqual(bytes);
  });

  test('the empty input comes back', () => {
    const compressed = codec.compress(new Uint8Array(9), 4, 4);
    expect(codec.decompress(compressed, 0, compressed.length, 0).length).toBe(0);
  });

  test('a later result leaves an earlier one alone', () => {
    const first = codec.compress(new Uint8Array(500).fill(1), 0, 500);
    const kept = first.slice();
    const back = codec.decompress(first, 0, first.length, 500);
    const second = codec.compress(new Uint8Array(700).fill(2), 0, 700);
    codec.decompress(second, 0, second.length, 700);
    expect(first).toEqual(kept);
    expect(back).toEqual(new Uint8Array(500).fill(1));
  });
});

test('the numbers on disk are fixed, and name the same codecs', () => {
  const ids: Record<string, number> = { none: 0, lz4: 1, deflate: 2, zstd: 3 };
  for (const name of names) {
    expect(codecFor(name).id).toBe(ids[name]);
    expect(codecFor(ids[name]!)).toBe(codecFor(name));
  }
});

test('the formats are the public ones', () => {
  const text = new TextEncoder().encode('abcdabcdabcdabcdabcdabcdabcdabcd');
  // Token: 4 literals, match of 4 + 15 or more; offset 4; then the last literals.
  const block = Uint8Array.of(0x4f, 0x61, 0x62, 0x63, 0x64, 4, 0, 4, 0x50, 0x64, 0x61, 0x62, 0x63, 0x64);
  const expected = new TextEncoder().encode(`abcd${'abcd'.repeat(6).slice(0, 23)}dabcd`);
  expect(codecFor('lz4').decompress(block, 0, block.length, expected.length)).toEqual(expected);
  expect(codecFor('deflate').compress(text, 0, text.length)).toEqual(
    new Uint8Array(zlib.deflateRawSync(text, { level: 1 })),
  );
});

test('an LZ4 match from before the start, or at distance 0, is refused or harmless', () => {
  const lz4 = codecFor('lz4');
  const before = Uint8Array.of(0x10, 0x61, 2, 0, 0x50, 1, 2, 3, 4, 5);
  expect(codeOf(() => lz4.decompress(before, 0, before.length, 10))).toBe('IO_CORRUPT');
  const zero = Uint8Array.of(0x10, 0x61, 0, 0, 0x50, 1, 2, 3, 4, 5);
  expect(['IO_CORRUPT', 'no error']).toContain(codeOf(() => lz4.decompress(zero, 0, zero.length, 10)));
});

test('a few bytes that claim to mean very many cost nothing', () => {
  const before = process.memoryUsage();
  for (const name of names) {
    const codec = codecFor(name);
    const input = codec.compress(new Uint8Array(1000), 0, 1000);
    for (let round = 0; round < 20; round++) {
      const refused = () => codec.decompress(input, 0, input.length, COMPRESSION_BYTES_MAX);
      expect(codeOf(refused)).toBe('IO_CORRUPT');
    }
  }
  const after = process.memoryUsage();
  expect(after.arrayBuffers + after.external - before.arrayBuffers - before.external).toBeLessThan(256 * 2 ** 20);
});

test('a bomb is cut off at the stated size', () => {
  const zeros = new Uint8Array(8 * 2 ** 20);
  for (const name of names.filter((name) => name !== 'none')) {
    const codec = codecFor(name);
    const bomb = codec.compress(zeros, 0, zeros.length);
    expect(codeOf(() => codec.decompress(bomb, 0, bomb.length, 1000))).toBe('IO_CORRUPT');
    expect(codec.decompress(bomb, 0, bomb.length, zeros.length).length).toBe(zeros.length);
  }
});

test.skipIf(hasZstd)('zstd is refused where the runtime has none, saying which has', () => {
  for (const which of ['zstd', 3] as const) {
    expect(() => codecFor(which)).toThrow(
      expect.objectContaining({ code: 'IO_UNSUPPORTED', message: expect.stringMatching(/zstd needs Node 22\.15/) }),
    );
  }
  expect(zstdCodec(zlib as object)).toBeUndefined();
});

test('unknown names and numbers are refused', () => {
  for (const which of [4, -1, 0.5, 'snappy' as Compression, '' as Compression]) {
    expect(codeOf(() => codecFor(which))).toBe('IO_UNSUPPORTED');
  }
});

describe('with size', () => {
  const text = new TextEncoder().encode('the same words again and the same words again, '.repeat(20));

  test.each(names.filter((name) => name !== 'none'))('%s comes back, with the size before it', (name) => {
    const codec = codecFor(name);
    const stored = compressWithSize(codec, text, 0, text.length)!;
    expect([stored[0], stored[1]]).toEqual([(text.length & 0x7f) | 0x80, text.length >> 7]);
    const framed = new Uint8Array([9, ...stored, 9]);
    expect(decompressWithSize(codec, framed, 1, 1 + stored.length, text.length)).toEqual(text);
    expect(codeOf(() => decompressWithSize(codec, stored, 0, stored.length, text.length - 1))).toBe('IO_CORRUPT');
  });

  test('what saves less than an eighth is not compressed, nor is anything with none', () => {
    const bytes = new Rng(seed).bytes(1000);
    for (const name of names) expect(compressWithSize(codecFor(name), bytes, 0, bytes.length)).toBeUndefined();
    expect(compressWithSize(codecFor('none'), text, 0, text.length)).toBeUndefined();
    expect(compressWithSize(codecFor('deflate'), text, 0, 0)).toBeUndefined();
    expect(compressWithSize(fakeCodec(98), new Uint8Array(114), 0, 114)).toHaveLength(99);
    expect(compressWithSize(fakeCodec(99), new Uint8Array(114), 0, 114)).toBeUndefined();
  });

  test(`any bytes give bytes within the limit or IO_CORRUPT (seed ${seed})`, () => {
    const rng = new Rng(seed);
    for (let round = 0; round < 3000; round++) {
      const codec = codecFor(rng.pick(names));
      const input = rng.bytes(rng.int(40));
      const code = codeOf(() => {
        expect(decompressWithSize(codec, input, 0, input.length, 1000).length).toBeLessThanOrEqual(1000);
      });
      expect(['no error', 'IO_CORRUPT']).toContain(code);
    }
  });
});

/** Compresses everything to `bytes` bytes. */
function fakeCodec(bytes: number): Codec {
  return { name: 'lz4', id: 1, compress: () => new Uint8Array(bytes), decompress: () => new Uint8Array(0) };
}
