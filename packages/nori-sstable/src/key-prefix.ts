// Four bytes of a key as a number that orders as the bytes do: one comparison of integers decides most searches.

/** Bytes `start` up to `start + 4` as a big-endian number, those from `end` on counting as zeros. */
export function prefixAt(bytes: Uint8Array, start: number, end: number): number {
  let prefix = 0;
  if (start + 4 <= end) {
    prefix = (bytes[start]! << 24) | (bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!;
  } else {
    for (let i = 0; i < 4; i++) prefix = (prefix << 8) | (start + i < end ? bytes[start + i]! : 0);
  }
  return prefix >>> 0;
}
