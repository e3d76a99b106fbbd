// The hash of a key that the filter uses: MurmurHash3_x86_32 with two seeds, computed in one pass (they share the scrambling
// of the input words). A caller that asks many tables about one key computes it once and hands it to each `get`.

const SEED_1 = 0;
const SEED_2 = 0x9747b28c;
const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

/** The two 32-bit hashes of a key, as signed integers. Reusable: see {@link hashKey}. */
export class KeyHash {
  h1 = 0;
  h2 = 0;
}

/** Hashes `key` into `out` and returns it. */
export function hashKey(key: Uint8Array, out: KeyHash): KeyHash {
  const length = key.length;
  const wordsEnd = length & ~3;
  let h1 = SEED_1;
  let h2 = SEED_2 | 0;
  let at = 0;
  for (; at < wordsEnd; at += 4) {
    let word = key[at]! | (key[at + 1]! << 8) | (key[at + 2]! << 16) | (key[at + 3]! << 24);
    word = Math.imul(word, C1);
    word = Math.imul((word << 15) | (word >>> 17), C2);
    h1 ^= word;
    h1 = (Math.imul((h1 << 13) | (h1 >>> 19), 5) + 0xe6546b64) | 0;
    h2 ^= word;
    h2 = (Math.imul((h2 << 13) | (h2 >>> 19), 5) + 0xe6546b64) | 0;
  }
  const rest = length - at;
  if (rest > 0) {
    let word = key[at]!;
    if (rest > 1) word |= key[at + 1]! << 8;
    if (rest > 2) word |= key[at + 2]! << 16;
    word = Math.imul(word, C1);
    word = Math.imul((word << 15) | (word >>> 17), C2);
    h1 ^= word;
    h2 ^= word;
  }
  out.h1 = finish(h1 ^ length);
  out.h2 = finish(h2 ^ length);
  return out;
}

function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
