// What is written and read: keys of 16 B that are decimal numbers, values that no compression shrinks, and a generator of
// numbers that gives every store and every run the same sequence.

export const KEY_BYTES = 16;
export const VALUE_BYTES = 100;

const SEED = 0x6e6f7269;
const POOL_BYTES = 1 << 20;

/** Mixes 32 bits well (the finalizer of MurmurHash3). */
const mixed = (value) => {
  let h = value ^ SEED;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

/** The `turn`-th number of the sequence, uniform in 0 … below - 1. `stream` tells sequences apart. */
export const uniform = (turn, below, stream = 0) =>
  Math.floor((mixed(turn + Math.imul(stream, 0x9e3779b9)) / 2 ** 32) * below);

const makePool = () => {
  const words = new Uint32Array(POOL_BYTES / 4);
  for (let i = 0; i < words.length; i++) words[i] = mixed(i + 0x10000000);
  return Buffer.from(words.buffer);
};
const pool = makePool();

/** Writes the key of number `index` to `target`. */
export const writeKey = (target, index) => {
  let rest = index;
  for (let at = KEY_BYTES - 1; at >= 0; at--) {
    const next = Math.floor(rest / 10);
    target[at] = 48 + (rest - next * 10);
    rest = next;
  }
};

export const keyOf = (index) => {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  writeKey(key, index);
  return key;
};

/** The bytes that belong to number `index`: a view that must not be changed. */
export const valueBytesOf = (index, bytes = VALUE_BYTES) => {
  const at = Math.imul(index, 1021) % (POOL_BYTES - bytes);
  const offset = at < 0 ? -at : at;
  return pool.subarray(offset, offset + bytes);
};

/** `count` keys in an order that has nothing to do with theirs, with their values. */
export const shuffledEntries = (count, valueBytes = VALUE_BYTES) => {
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  for (let i = count - 1; i > 0; i--) {
    const j = uniform(i, i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  const keys = Array.from(order, keyOf);
  const values = Array.from(order, (index) => valueBytesOf(index, valueBytes));
  return { order, keys, values };
};

/** Sum over the last byte of each value: what a reader of all of them must find. */
export const checksumOf = (values) => values.reduce((sum, value) => sum + value[value.length - 1], 0);
