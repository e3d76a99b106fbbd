// How keys of callers lie in the one order of all keys of a database (docs/formats/manifest.md, "Keys"):
//
//   default keyspace    k                                  k does not begin with 0xFF
//                       FF 00, then k without its first    k begins with 0xFF
//   keyspace n          FF 01, n (2 bytes, big-endian), k
//
// The order of keys within a keyspace is kept, the default keyspace comes first, then the others by number. A database that an earlier
// version created has keys as they are, and no keyspaces.
import type { KeyRange } from './cursor-bounds.js';
import { LsmError } from './errors.js';
import { KEY_BYTES_MAX } from './limits.js';

const ESCAPE = 0xff;
const NAMED = 1;
/** Bytes before a key of a named keyspace. */
export const KEYSPACE_PREFIX_BYTES = 4;
/** Largest number of a keyspace. */
export const KEYSPACE_ID_MAX = 0xffff;
/** What every key of the default keyspace lies before. */
const DEFAULT_END = Uint8Array.of(ESCAPE, NAMED);

/** Keys of one keyspace as the caller has them, and as the database has them (*stored*). */
export interface KeyMap {
  /** Number of the keyspace, 0: the default one; -1: the database has none. */
  readonly id: number;
  /** @throws LsmError `LSM_KEY_TOO_LARGE` */
  toStored(key: Uint8Array): Uint8Array;
  /** A copy of the key that the first `length` bytes of `stored` stand for. */
  toKey(stored: Uint8Array, length: number): Uint8Array;
  /** The stored keys of a range. */
  toStoredRange(range: KeyRange): KeyRange;
}

/** Keys of a database without keyspaces. */
export const PLAIN_KEYS: KeyMap = {
  id: -1,
  toStored: (key) => key,
  toKey: (stored, length) => stored.slice(0, length),
  toStoredRange: (range) => range,
};

/** Keys of the default keyspace. */
export const DEFAULT_KEYS: KeyMap = {
  id: 0,
  toStored: (key) => (key[0] === ESCAPE ? escaped(fitting(key, 1)) : key),
  toKey: (stored, length) => {
    if (length === 0 || stored[0] !== ESCAPE) return stored.slice(0, length);
    const key = stored.slice(1, length);
    key[0] = ESCAPE;
    return key;
  },
  toStoredRange: ({ lower, upper }) => ({
    lower: lower[0] === ESCAPE ? escaped(lower) : lower,
    upper: upper === undefined ? DEFAULT_END : upper[0] === ESCAPE ? escaped(upper) : upper,
  }),
};

/** Keys of keyspace `id`, from 1 on. */
export const namedKeys = (id: number): KeyMap => {
  const prefix = Uint8Array.of(ESCAPE, NAMED, id >>> 8, id & 0xff);
  const end =
    id === KEYSPACE_ID_MAX
      ? Uint8Array.of(ESCAPE, NAMED + 1)
      : Uint8Array.of(ESCAPE, NAMED, (id + 1) >>> 8, (id + 1) & 0xff);
  const prefixed = (key: Uint8Array): Uint8Array => {
    const stored = new Uint8Array(KEYSPACE_PREFIX_BYTES + key.length);
    stored.set(prefix);
    stored.set(key, KEYSPACE_PREFIX_BYTES);
    return stored;
  };
  return {
    id,
    toStored: (key) => prefixed(fitting(key, KEYSPACE_PREFIX_BYTES)),
    toKey: (stored, length) => stored.slice(KEYSPACE_PREFIX_BYTES, length),
    toStoredRange: ({ lower, upper }) => ({
      lower: prefixed(lower),
      upper: upper === undefined ? end : prefixed(upper),
    }),
  };
};

/** The map with this id. */
export const keyMapOf = (id: number): KeyMap => (id < 0 ? PLAIN_KEYS : id === 0 ? DEFAULT_KEYS : namedKeys(id));

/** Number of the keyspace of a stored key, in a database with keyspaces. */
export const keyspaceOf = (stored: Uint8Array, start: number, length: number): number =>
  length >= KEYSPACE_PREFIX_BYTES && stored[start] === ESCAPE && stored[start + 1] === NAMED
    ? (stored[start + 2]! << 8) | stored[start + 3]!
    : 0;

/** @throws LsmError `LSM_KEY_TOO_LARGE` if the key has no room for `bytes` more */
const fitting = (key: Uint8Array, bytes: number): Uint8Array => {
  const most = KEY_BYTES_MAX - bytes;
  if (key.length <= most) return key;
  const message = `Such a key may have at most ${most} bytes, because it is stored ${bytes} longer; this one has ${key.length}.`;
  throw new LsmError('LSM_KEY_TOO_LARGE', message);
};

const escaped = (key: Uint8Array): Uint8Array => {
  const stored = new Uint8Array(key.length + 1);
  stored[0] = ESCAPE;
  stored.set(key.subarray(1), 2);
  return stored;
};
