// Fixed-width little-endian integers, without a DataView per access.

/** Reads an unsigned 32-bit integer. The caller has checked the bounds. */
export function readU32LE(source: Uint8Array, offset: number): number {
  return (
    (source[offset]! | (source[offset + 1]! << 8) | (source[offset + 2]! << 16) | (source[offset + 3]! << 24)) >>> 0
  );
}

/** Writes an unsigned 32-bit integer; higher bits of `value` are dropped. */
export function writeU32LE(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
  target[offset + 2] = value >>> 16;
  target[offset + 3] = value >>> 24;
}

/** Reads an unsigned 64-bit integer as a number. Above 2^53 the result is not exact: check it with `Number.isSafeInteger`. */
export function readU64LE(source: Uint8Array, offset: number): number {
  return readU32LE(source, offset + 4) * 0x1_0000_0000 + readU32LE(source, offset);
}

/** Writes an integer from 0 to 2^53 - 1 as 64 bits. */
export function writeU64LE(target: Uint8Array, offset: number, value: number): void {
  writeU32LE(target, offset, value);
  writeU32LE(target, offset + 4, Math.floor(value / 0x1_0000_0000));
}
