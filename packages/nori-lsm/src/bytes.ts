// Keys as bytes: order, prefix words, bounds. Keys compare bytewise; a proper prefix is smaller.
import { Buffer } from 'node:buffer';
import type { Bytes } from './types.js';

const NATIVE_FROM_BYTES = 48;
const SIGN = 0x8000_0000;
/** Up to here a loop beats `set`. */
const COPY_LOOP_MAX = 24;
const encoder = new TextEncoder();

/** Compares `a[aStart, aStart + aLength)` with `b[bStart, bStart + bLength)`, whose first `from` bytes are known equal. */
export const compareRange = (
  a: Uint8Array,
  aStart: number,
  aLength: number,
  b: Uint8Array,
  bStart: number,
  bLength: number,
  from: number,
): number => {
  const common = aLength < bLength ? aLength : bLength;
  if (common - from > NATIVE_FROM_BYTES) {
    return Buffer.prototype.compare.call(a, b, bStart + from, bStart + bLength, aStart + from, aStart + aLength);
  }
  for (let i = from; i < common; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
};

/** Compares two keys: negative, 0 or positive. */
export const compareKeys = (a: Uint8Array, b: Uint8Array): number => compareRange(a, 0, a.length, b, 0, b.length, 0);

/**
 * Bytes 0 to 3 of a key (padded with zeros) as a signed word that orders as the bytes do. Two keys whose words differ
 * are ordered by them; if both words are equal, the keys' first `min(8, lengths)` bytes are equal.
 */
export const prefixHigh = (key: Uint8Array, start: number, length: number): number => {
  if (length >= 4) {
    return ((key[start]! << 24) | (key[start + 1]! << 16) | (key[start + 2]! << 8) | key[start + 3]!) ^ SIGN;
  }
  return paddedWord(key, start, length);
};

/** Bytes 4 to 7 of a key, as {@link prefixHigh}. */
export const prefixLow = (key: Uint8Array, start: number, length: number): number => {
  if (length >= 8) {
    return ((key[start + 4]! << 24) | (key[start + 5]! << 16) | (key[start + 6]! << 8) | key[start + 7]!) ^ SIGN;
  }
  return paddedWord(key, start + 4, length - 4);
};

const paddedWord = (key: Uint8Array, start: number, length: number): number => {
  let word = 0;
  if (length > 0) word |= key[start]! << 24;
  if (length > 1) word |= key[start + 1]! << 16;
  if (length > 2) word |= key[start + 2]! << 8;
  return word ^ SIGN;
};

/** The smallest key greater than every key with this prefix; undefined if there is none (all bytes 0xff, or empty). */
export const prefixEnd = (prefix: Uint8Array): Uint8Array | undefined => {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const end = prefix.slice(0, length);
  end[length - 1]!++;
  return end;
};

/** The smallest key greater than `key`. */
export const keyAfter = (key: Uint8Array): Uint8Array => {
  const after = new Uint8Array(key.length + 1);
  after.set(key);
  return after;
};

/** Bytes of a caller's key or value; a string's UTF-8. Bytes that were given are not copied. */
export const toBytes = (bytes: Bytes): Uint8Array => (typeof bytes === 'string' ? encoder.encode(bytes) : bytes);

/** Copies `source[start, start + length)` to `at` of `target`. */
export const copyBytes = (source: Uint8Array, start: number, length: number, target: Uint8Array, at: number): void => {
  if (length > COPY_LOOP_MAX) {
    target.set(length === source.length ? source : source.subarray(start, start + length), at);
    return;
  }
  for (let i = 0; i < length; i++) target[at + i] = source[start + i]!;
};
