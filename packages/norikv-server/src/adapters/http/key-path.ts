// Keys in paths: the bytes after `/kv/`, where %XX is any byte and every other character is itself.
import { NodeError } from '../../domain/node-error.js';

const PERCENT = 0x25;

const hexDigit = (code: number): number => {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
};

/**
 * @param path one character a byte, as Node hands it on
 * @throws NodeError `INVALID_ARGUMENT`: a % is not followed by two hex digits
 */
export const decodeKey = (path: string): Uint8Array => {
  const key = new Uint8Array(path.length);
  let length = 0;
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code !== PERCENT) {
      key[length++] = code;
      continue;
    }
    const high = hexDigit(path.charCodeAt(i + 1));
    const low = hexDigit(path.charCodeAt(i + 2));
    if (high < 0 || low < 0) {
      throw new NodeError('INVALID_ARGUMENT', `The key has a % at ${i} without two hex digits; write %25 for %`);
    }
    key[length++] = high * 16 + low;
    i += 2;
  }
  return key.subarray(0, length);
};
