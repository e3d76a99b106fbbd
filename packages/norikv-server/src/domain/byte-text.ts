// Text in the formats of the node: UTF-8 with its length before it.
import type { ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const writeText = (text: string, to: ByteWriter): void => to.blob(encoder.encode(text));

/** @throws RangeError if the bytes are no text. */
export const readText = (from: ByteReader): string => {
  const bytes = from.blob();
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new RangeError('a text is not UTF-8', { cause });
  }
};
