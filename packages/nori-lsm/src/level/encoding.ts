// What abstract-level hands over and takes back: strings, Buffers or Uint8Arrays, as its encodings ask for.
import { Buffer } from 'node:buffer';
import { copyOut } from 'nori-sstable';

/** The formats that the store takes as they are; abstract-level makes all its encodings of these. */
export type Format = 'utf8' | 'buffer' | 'view';

/** A key or value in one of the formats. */
export type Stored = string | Buffer | Uint8Array;

/** A key or value in a format, as the caller's own: `bytes` may be shared with others. */
export const decode = (bytes: Uint8Array, format: Format): Stored =>
  format === 'view'
    ? copyOut(bytes, 0, bytes.length)
    : format === 'buffer'
      ? Buffer.from(bytes)
      : asBuffer(bytes).toString();

/** As {@link decode}, of bytes that nobody else has. */
export const decodeOwn = (bytes: Uint8Array, format: Format): Stored => {
  if (format === 'view') return bytes;
  return format === 'utf8' ? asBuffer(bytes).toString() : asBuffer(bytes);
};

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
