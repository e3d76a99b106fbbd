// Keys and values as text on one line, and back.
//
//   utf8     as they are, but: \t \n \r \\ for these four; \xHH for each byte of any other control character (also U+0080 to U+009F,
//            U+2028 and U+2029) and for bytes that are no UTF-8
//   hex, base64
import { usageFailure } from './failure.js';

/** How bytes are shown. */
export type TextEncoding = 'utf8' | 'hex' | 'base64';

const ESCAPED = /[\\\p{Cc}\u2028\u2029]/u;
const ALL_ESCAPED = /[\\\p{Cc}\u2028\u2029]/gu;
const SHORT: Readonly<Record<string, string>> = { '\t': '\\t', '\n': '\\n', '\r': '\\r', '\\': '\\\\' };
const LONG: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13, '\\': 92 };

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** @throws UsageFailure for an encoding that is not there */
export const encodingOf = (name: string | undefined): TextEncoding => {
  if (name === undefined) return 'utf8';
  if (name === 'utf8' || name === 'hex' || name === 'base64') return name;
  throw usageFailure(`--encoding must be utf8, hex or base64, not ${name}`);
};

/** Bytes as text without line ends and tabs. */
export const show = (bytes: Uint8Array, encoding: TextEncoding): string => {
  if (encoding !== 'utf8') return asBuffer(bytes).toString(encoding);
  const text = decode(bytes);
  if (text !== undefined) return escaped(text);
  let shown = '';
  for (let at = 0; at < bytes.length; ) {
    const length = characterBytes(bytes, at);
    shown += length === 0 ? hexEscape(bytes[at]!) : escaped(decode(bytes.subarray(at, at + length))!);
    at += length || 1;
  }
  return shown;
};

/** What {@link show} shows as `text`. @throws UsageFailure */
export const read = (text: string, encoding: TextEncoding): Uint8Array => {
  if (encoding === 'utf8') return unescaped(text);
  const bytes = Buffer.from(text, encoding);
  const isWhole =
    bytes.toString(encoding).replace(/=+$/, '') === (encoding === 'hex' ? text.toLowerCase() : text.replace(/=+$/, ''));
  if (!isWhole) throw usageFailure(`${text} is not ${encoding}`);
  return bytes;
};

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const decode = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
};

const escaped = (text: string): string =>
  ESCAPED.test(text)
    ? text.replace(ALL_ESCAPED, (found) => SHORT[found] ?? Array.from(encoder.encode(found), hexEscape).join(''))
    : text;

const hexEscape = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`;

/** How many bytes from `at` on are one character; 0: none are. */
const characterBytes = (bytes: Uint8Array, at: number): number => {
  const lead = bytes[at]!;
  const length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  return at + length <= bytes.length && decode(bytes.subarray(at, at + length)) !== undefined ? length : 0;
};

const unescaped = (text: string): Uint8Array => {
  const parts: Uint8Array[] = [];
  for (const part of text.split(/(\\x[0-9a-fA-F]{2}|\\.|\\$)/)) {
    if (!part.startsWith('\\')) parts.push(encoder.encode(part));
    else if (part.length === 4) parts.push(Uint8Array.of(Number.parseInt(part.slice(2), 16)));
    else if (LONG[part[1] ?? ''] !== undefined) parts.push(Uint8Array.of(LONG[part[1]!]!));
    else throw usageFailure(`${text}: a backslash must begin \\t, \\n, \\r, \\\\ or \\xHH`);
  }
  return Buffer.concat(parts);
};
