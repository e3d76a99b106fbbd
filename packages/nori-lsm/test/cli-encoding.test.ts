import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { read, show } from '../src/cli/encoding.js';
import { utf8, withSeed } from './support.js';

test('any bytes are shown on one line, and read back as they were', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, () => {
    const rng = new Rng(seed);
    const pieces = ['\\', '\\x41', '\t', '\r\n', 'ä', '€', '😀', '\u2028', '\u0085', '\ufeff', 'plain', '"'];
    for (let round = 0; round < 2000; round++) {
      const bytes = Buffer.concat(
        Array.from({ length: rng.int(6) }, () => (rng.chance(0.5) ? rng.bytes(rng.int(5)) : utf8(rng.pick(pieces)))),
      );
      for (const encoding of ['utf8', 'hex', 'base64'] as const) {
        const line = show(bytes, encoding);
        expect(line).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
        expect(Buffer.from(read(line, encoding)).equals(bytes)).toBe(true);
      }
    }
  });
});

test('what is shown is what one would write', () => {
  expect(show(utf8('a\tb\\c\nä€\u0000'), 'utf8')).toBe('a\\tb\\\\c\\nä€\\x00');
  expect(show(new Uint8Array([0xe2, 0x82, 0x41]), 'utf8')).toBe('\\xe2\\x82A');
});

test('what is no such text is refused', () => {
  for (const [text, encoding] of [
    ['\\q', 'utf8'],
    ['end\\', 'utf8'],
    ['\\x4', 'utf8'],
    ['abc', 'hex'],
    ['zz', 'hex'],
    ['*', 'base64'],
  ] as const) {
    expect(() => read(text, encoding)).toThrow(text.includes('\\') ? 'a backslash' : `is not ${encoding}`);
  }
});
