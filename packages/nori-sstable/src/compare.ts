// Bytewise comparison. Keys are mostly short, and a JavaScript loop beats the native call on them; long common prefixes are
// handed to the native one.
import { Buffer } from 'node:buffer';

const NATIVE_FROM_BYTES = 48;
const nativeCompare = Buffer.prototype.compare;

/** Compares `a[aStart..aEnd)` with `b[bStart..bEnd)`: negative, 0 or positive. A proper prefix is smaller. */
export function compareRanges(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const aLength = aEnd - aStart;
  const bLength = bEnd - bStart;
  const common = aLength < bLength ? aLength : bLength;
  const loopEnd = common < NATIVE_FROM_BYTES ? common : NATIVE_FROM_BYTES;
  for (let i = 0; i < loopEnd; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  if (loopEnd < common) return nativeCompare.call(a, b, bStart + loopEnd, bEnd, aStart + loopEnd, aEnd);
  return aLength - bLength;
}

/** Compares two keys bytewise: negative, 0 or positive. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  return compareRanges(a, 0, a.length, b, 0, b.length);
}

/** Copies `source[start..end)` to `target` at `offset`: by a loop when short, where that is faster. */
export function copyBytes(target: Uint8Array, offset: number, source: Uint8Array, start: number, end: number): void {
  if (end - start > 24) {
    target.set(start === 0 && end === source.length ? source : source.subarray(start, end), offset);
    return;
  }
  for (let from = start, to = offset; from < end; from++, to++) target[to] = source[from]!;
}
