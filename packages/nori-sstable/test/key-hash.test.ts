import { expect, test } from 'vitest';
import { hashKey, KeyHash } from '../src/index.js';
import { utf8 } from './support.js';

const hashOf = (key: string) => {
  const { h1, h2 } = hashKey(utf8(key), new KeyHash());
  return [h1 >>> 0, h2 >>> 0];
};

test('the second hash is MurmurHash3_x86_32 with seed 0x9747b28c, as other implementations have it', () => {
  expect(hashOf('')[1]).toBe(0xebb6c228);
  expect(hashOf('a')[1]).toBe(0x7fa09ea6);
  expect(hashOf('abc')[1]).toBe(0xc84a62dd);
  expect(hashOf('aaaa')[1]).toBe(0x5a97808a);
  expect(hashOf('Hello, world!')[1]).toBe(0x24884cba);
  expect(hashOf('The quick brown fox jumps over the lazy dog')[1]).toBe(0x2fa826cd);
});

test('the first hash is MurmurHash3_x86_32 with seed 0, as other implementations have it', () => {
  expect(hashOf('')[0]).toBe(0);
  expect(hashOf('hello')[0]).toBe(0x248bfa47);
  expect(hashOf('hello, world')[0]).toBe(0x149bbb7f);
  expect(hashOf('The quick brown fox jumps over the lazy dog')[0]).toBe(0x2e4ff723);
});
