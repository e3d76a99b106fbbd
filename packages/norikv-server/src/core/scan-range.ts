// Which keys a scan is about: prefix, bounds and resume token of a query as one range, and the token of the page that follows.
import { LIMITS } from 'norikv-protocol';
import { NodeError } from '../domain/node-error.js';
import type { ScanQuery } from '../ports/kv.js';
import { keyProblem } from './validation.js';

/** The range of a query, resolved: both ends inclusive or exclusive, and where reading begins. */
export interface ScanRange {
  readonly lower: Uint8Array | undefined;
  readonly lowerExclusive: boolean;
  readonly upper: Uint8Array | undefined;
  readonly upperExclusive: boolean;
  readonly reverse: boolean;
}

export const compareKeys = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);

/** Whether a key lies behind the end of the range, in scan order. */
export const isBeyond = (key: Uint8Array, range: ScanRange): boolean => {
  const end = range.reverse ? range.lower : range.upper;
  if (end === undefined) return false;
  const order = range.reverse ? compareKeys(end, key) : compareKeys(key, end);
  return order > 0 || (order === 0 && (range.reverse ? range.lowerExclusive : range.upperExclusive));
};

/** @throws NodeError `INVALID_ARGUMENT` */
export const pageLimit = (limit: number): number => {
  if (!Number.isInteger(limit) || limit < 0 || limit > LIMITS.scanLimitMax) {
    throw new NodeError(
      'INVALID_ARGUMENT',
      `The scan limit is ${limit}; it must be a whole number from 1 to ${LIMITS.scanLimitMax}, or 0 for ${LIMITS.scanLimitDefault}.`,
    );
  }
  return limit === 0 ? LIMITS.scanLimitDefault : limit;
};

/** Narrows prefix, bounds and token to one range. @throws NodeError `INVALID_ARGUMENT` */
export const rangeOf = (query: ScanQuery): ScanRange => {
  const { prefix, start, end, reverse } = query;
  for (const bound of [prefix, start, end]) {
    const problem = bound !== undefined && bound.length > 0 ? keyProblem(bound) : undefined;
    if (problem !== undefined) throw problem;
  }
  let lower = start;
  let lowerExclusive = query.startExclusive;
  let upper = end;
  let upperExclusive = !query.endInclusive;
  if (prefix.length > 0) {
    if (lower === undefined || compareKeys(lower, prefix) < 0) {
      lower = prefix;
      lowerExclusive = false;
    }
    const after = prefixEnd(prefix);
    if (after !== undefined && (upper === undefined || compareKeys(after, upper) <= 0)) {
      upper = after;
      upperExclusive = true;
    }
  }
  if (query.token.length > 0) {
    const last = decodeToken(query.token);
    if (reverse) {
      upper = last;
      upperExclusive = true;
    } else {
      lower = last;
      lowerExclusive = true;
    }
  }
  return { lower, lowerExclusive, upper, upperExclusive, reverse };
};

/** The least key greater than every key with the prefix; undefined if there is none. */
const prefixEnd = (prefix: Uint8Array): Uint8Array | undefined => {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const end = prefix.slice(0, length);
  end[length - 1]!++;
  return end;
};

/** There is no further page. */
export const NO_TOKEN = new Uint8Array(0);
const TOKEN_FORMAT = 1;

/** A token is the last key that the page before has dealt with, behind a format byte. */
export const encodeToken = (lastKey: Uint8Array): Uint8Array => {
  const token = new Uint8Array(lastKey.length + 1);
  token[0] = TOKEN_FORMAT;
  token.set(lastKey, 1);
  return token;
};

const decodeToken = (token: Uint8Array): Uint8Array => {
  if (token[0] !== TOKEN_FORMAT || token.length < 2 || token.length > LIMITS.keyBytesMax + 1) {
    throw new NodeError('INVALID_ARGUMENT', 'The scan token is not one this node gave; start the scan again.');
  }
  return token.subarray(1);
};
