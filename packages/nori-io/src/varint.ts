// Variable-length unsigned integers (LEB128): seven bits a byte, least significant first, the high bit says "more".
// Values go from 0 to 2^53 - 1 in 1 to 8 bytes, without BigInt. An encoding is minimal: the last byte of several is
// never 0 ("overlong"), so that each value has exactly one encoding and bytes can be compared.

/** Longest encoding, in bytes. */
export const VARINT_BYTES_MAX = 8;

const TWO_28 = 0x1000_0000;
// The eighth byte holds bits 49 to 52: four of them.
const LAST_BYTE_LIMIT = 0x10;

/** Why {@link readVarint} returned -1. */
export type VarintProblem = 'truncated' | 'overlong' | 'too-large';

/** Where {@link readVarint} leaves what it decoded. Make one and reuse it. */
export class VarintCursor {
  /** The value last decoded. */
  value = 0;
  /** Why the last decoding failed; undefined if it did not. */
  problem: VarintProblem | undefined = undefined;
}

/** Bytes the encoding of `value` takes: 1 to 8. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < TWO_28) return 4;
  if (value < 0x8_0000_0000) return 5;
  if (value < 0x400_0000_0000) return 6;
  if (value < 0x2_0000_0000_0000) return 7;
  return 8;
}

/**
 * Writes `value` at `offset` and returns the offset behind it. `value` must be an integer, 0 ≤ value < 2^53 (not checked: this
 * is a hot path), and `target` must have room for {@link varintSize} bytes.
 */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let at = offset;
  if (value < TWO_28) {
    let low = value;
    while (low >= 0x80) {
      target[at++] = low | 0x80;
      low >>>= 7;
    }
    target[at++] = low;
    return at;
  }
  let high = Math.floor(value / TWO_28);
  const low = value - high * TWO_28;
  target[at++] = low | 0x80;
  target[at++] = (low >>> 7) | 0x80;
  target[at++] = (low >>> 14) | 0x80;
  target[at++] = (low >>> 21) | 0x80;
  while (high >= 0x80) {
    target[at++] = high | 0x80;
    high >>>= 7;
  }
  target[at++] = high;
  return at;
}

/**
 * Reads a varint at `offset`, not looking at or beyond `end`. Leaves the value in `out` and returns the offset behind it.
 * Never throws: returns -1 and sets `out.problem` if the bytes end too soon, are overlong, or mean 2^53 or more.
 */
export function readVarint(source: Uint8Array, offset: number, out: VarintCursor, end = source.length): number {
  if (offset < end) {
    const first = source[offset]!;
    if (first < 0x80) {
      out.value = first;
      out.problem = undefined;
      return offset + 1;
    }
  }
  return readLongVarint(source, offset, out, end);
}

function readLongVarint(source: Uint8Array, offset: number, out: VarintCursor, end: number): number {
  let low = 0;
  let high = 0;
  let at = offset;
  for (let index = 0; index < VARINT_BYTES_MAX; index++) {
    if (at >= end) return fail(out, 'truncated');
    const byte = source[at++]!;
    if (index < 4) low |= (byte & 0x7f) << (7 * index);
    else high |= (byte & 0x7f) << (7 * (index - 4));
    if (byte >= 0x80) continue;
    if (byte === 0 && index > 0) return fail(out, 'overlong');
    if (index === 7 && byte >= LAST_BYTE_LIMIT) return fail(out, 'too-large');
    out.value = high * TWO_28 + low;
    out.problem = undefined;
    return at;
  }
  return fail(out, 'too-large');
}

function fail(out: VarintCursor, problem: VarintProblem): -1 {
  out.problem = problem;
  return -1;
}
