// Which shard a key belongs to ("xxh64-jump-v1"): xxHash64 with seed 0 of the key, or of its hash tag if it has one, then
// jump consistent hash (Lamping & Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm") in its canonical order.
// The 64-bit arithmetic is done in 32-bit halves, since BigInt would cost more than all the rest of routing a key.
// `vectors.json` beside this package's manifest lets implementations in other languages check themselves.
import { createXXHash64 } from 'hash-wasm';

/** Name of this way from key to shard, as `ClusterView.key_hash` carries it. */
export const KEY_HASH_NAME = 'xxh64-jump-v1';

const OPEN = 0x7b; // {
const CLOSE = 0x7d; // }

/**
 * The part of a key that decides its shard: what lies between the first `{` and the next `}` if that is not empty, else
 * the whole key. A view of `key`, or `key` itself. Keys with one tag share a shard, so an atomic batch can span them.
 */
export const hashTagOf = (key: Uint8Array): Uint8Array => {
  const open = key.indexOf(OPEN);
  if (open < 0) return key;
  const close = key.indexOf(CLOSE, open + 1);
  return close > open + 1 ? key.subarray(open + 1, close) : key;
};

/**
 * Jump consistent hash of the 64-bit number `high * 2^32 + low` onto 0 … `buckets` - 1.
 *
 * @param high upper 32 bits, signed or unsigned
 * @param low lower 32 bits, signed or unsigned
 * @param buckets 1 to 2^31 - 1
 */
export const jumpHash = (high: number, low: number, buckets: number): number => {
  let hi = high | 0;
  let lo = low | 0;
  let bucket = -1;
  let next = 0;
  while (next < buckets) {
    bucket = next;
    // key = key * 0x27bb2ee687b0b0fd + 1, modulo 2^64. The carry out of the low product is built from 16-bit parts.
    const a = lo & 0xffff;
    const b = lo >>> 16;
    const aLow = a * 0xb0fd;
    const mid = b * 0xb0fd + (aLow >>> 16);
    const cross = a * 0x87b0 + (mid & 0xffff);
    const carry = b * 0x87b0 + (mid >>> 16) + (cross >>> 16);
    hi = (Math.imul(hi, 0x87b0b0fd) + Math.imul(lo, 0x27bb2ee6) + carry) | 0;
    lo = (Math.imul(lo, 0x87b0b0fd) + 1) | 0;
    if (lo === 0) hi = (hi + 1) | 0;
    next = Math.floor((bucket + 1) * (0x80000000 / ((hi >>> 1) + 1)));
  }
  return bucket;
};

/** Maps keys to shards. Synchronous; get one from {@link loadKeyHasher}. */
export interface KeyHasher {
  /** xxHash64 with seed 0 of all of `bytes`, hash tags not looked at. For tools and tests: hot paths use `shardOf`. */
  hash(bytes: Uint8Array): bigint;
  /** Shard of `key`, 0 … `shardCount` - 1, by its hash tag if it has one. */
  shardOf(key: Uint8Array, shardCount: number): number;
}

let loading: Promise<KeyHasher> | undefined;

/** The key hasher of this process: made at the first call, the same ever after. Rejects if WebAssembly is not available. */
export const loadKeyHasher = (): Promise<KeyHasher> => {
  loading ??= createXXHash64().then((xxh64) => {
    const digest = (bytes: Uint8Array): Uint8Array => xxh64.init().update(bytes).digest('binary');
    return Object.freeze({
      hash: (bytes: Uint8Array): bigint => {
        const d = digest(bytes);
        return new DataView(d.buffer, d.byteOffset, 8).getBigUint64(0);
      },
      shardOf: (key: Uint8Array, shardCount: number): number => {
        const d = digest(hashTagOf(key));
        return jumpHash(
          (d[0]! << 24) | (d[1]! << 16) | (d[2]! << 8) | d[3]!,
          (d[4]! << 24) | (d[5]! << 16) | (d[6]! << 8) | d[7]!,
          shardCount,
        );
      },
    });
  });
  return loading;
};
