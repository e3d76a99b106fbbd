// The properties block: name → bytes, sorted by name. Unknown names are kept and otherwise ignored.
//
//   { name length: varint | name: UTF-8 | value length: varint | value }*
import { readVarint, VarintCursor, varintSize, writeVarint } from 'nori-io';
import { compareKeys } from './compare.js';
import { COMPRESSION_NAMES, COMPRESSION_NONE } from './format.js';
import type { TableProperties } from './types.js';

const NAME_BYTES_MAX = 255;
/** Names that begin so belong to the format. */
export const RESERVED_PREFIX = 'nori.';

/** Names of the properties that hold numbers. Properties that are not `required` default to 0. */
const NUMBERS = {
  entries: { name: 'nori.entries', required: true },
  keys: { name: 'nori.keys', required: true },
  tombstones: { name: 'nori.tombstones', required: true },
  expiring: { name: 'nori.expiring', required: true },
  dataBlocks: { name: 'nori.data_blocks', required: true },
  dataBytes: { name: 'nori.data_bytes', required: true },
  smallestSeq: { name: 'nori.smallest_seq', required: false },
  largestSeq: { name: 'nori.largest_seq', required: false },
  earliestExpiryMs: { name: 'nori.expiry_earliest_ms', required: false },
  latestExpiryMs: { name: 'nori.expiry_latest_ms', required: false },
  keyBytes: { name: 'nori.key_bytes', required: false },
  valueBytes: { name: 'nori.value_bytes', required: false },
  level: { name: 'nori.level', required: false },
  blockBytes: { name: 'nori.block_bytes', required: false },
  restartInterval: { name: 'nori.restart_interval', required: false },
  bloomBitsPerKey: { name: 'nori.filter_bits_per_key', required: false },
} as const;
const SMALLEST_KEY = 'nori.smallest_key';
const LARGEST_KEY = 'nori.largest_key';
const COMPRESSION = 'nori.compression';

type NumberField = keyof typeof NUMBERS;
const NUMBER_FIELDS = Object.keys(NUMBERS) as NumberField[];
const EMPTY = new Uint8Array(0);

/** True if `name` may be given to a property by a user. */
export function isUserPropertyName(name: string): boolean {
  const bytes = new TextEncoder().encode(name);
  const isWellFormed = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes) === name;
  return bytes.length > 0 && bytes.length <= NAME_BYTES_MAX && isWellFormed && !name.startsWith(RESERVED_PREFIX);
}

export function encodeProperties(properties: Omit<TableProperties, 'fileBytes'>): Uint8Array {
  const all = new Map<string, Uint8Array>(properties.extra);
  for (const field of NUMBER_FIELDS) {
    const value = properties[field];
    const isAbsent =
      (field.endsWith('ExpiryMs') && properties.expiring === 0) || (field.endsWith('Seq') && properties.entries === 0);
    if (!isAbsent) all.set(NUMBERS[field].name, encodeNumber(value));
  }
  if (properties.compression !== 'none') {
    all.set(COMPRESSION, encodeNumber(COMPRESSION_NAMES.indexOf(properties.compression)));
  }
  if (properties.entries > 0) {
    all.set(SMALLEST_KEY, properties.smallestKey);
    all.set(LARGEST_KEY, properties.largestKey);
  }
  const encoder = new TextEncoder();
  const sorted = [...all].map(([name, value]) => [encoder.encode(name), value] as const);
  sorted.sort(([a], [b]) => compareKeys(a, b));
  let size = 0;
  for (const [name, value] of sorted)
    size += varintSize(name.length) + name.length + varintSize(value.length) + value.length;
  const contents = new Uint8Array(size);
  let at = 0;
  for (const [name, value] of sorted) {
    for (const part of [name, value]) {
      at = writeVarint(contents, at, part.length);
      contents.set(part, at);
      at += part.length;
    }
  }
  return contents;
}

/**
 * Returns what is wrong, as a phrase, if the contents are not a properties block; the number of the compression if this version
 * does not know it.
 */
export function decodeProperties(contents: Uint8Array, fileBytes: number): TableProperties | string | number {
  const all = readAll(contents);
  if (typeof all === 'string') return all;
  const take = (name: string): Uint8Array | undefined => {
    const value = all.get(name);
    all.delete(name);
    return value;
  };
  const numbers = {} as Record<NumberField, number>;
  for (const field of NUMBER_FIELDS) {
    const { name, required } = NUMBERS[field];
    const value = take(name);
    if (!value && required) return `${name} is missing`;
    numbers[field] = value ? decodeNumber(value) : 0;
    if (numbers[field] < 0) return `${name} is not a number`;
  }
  const smallestKey = take(SMALLEST_KEY);
  const largestKey = take(LARGEST_KEY);
  if (numbers.entries > 0 && !(smallestKey && largestKey && compareKeys(smallestKey, largestKey) <= 0)) {
    return 'the smallest and largest key are missing or in the wrong order';
  }
  const compressionBytes = take(COMPRESSION);
  const compressionNumber = compressionBytes ? decodeNumber(compressionBytes) : COMPRESSION_NONE;
  if (compressionNumber < 0) return `${COMPRESSION} is not a number`;
  const compression = COMPRESSION_NAMES[compressionNumber];
  if (compression === undefined) return compressionNumber;
  const keys = { smallestKey: smallestKey ?? EMPTY, largestKey: largestKey ?? EMPTY };
  return { ...numbers, ...keys, compression, fileBytes, extra: all };
}

function readAll(contents: Uint8Array): Map<string, Uint8Array> | string {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const number = new VarintCursor();
  const all = new Map<string, Uint8Array>();
  let previous: Uint8Array = EMPTY;
  let at = 0;
  const readPart = (): Uint8Array | undefined => {
    const start = readVarint(contents, at, number);
    if (start < 0 || start + number.value > contents.length) return undefined;
    at = start + number.value;
    return contents.slice(start, at);
  };
  while (at < contents.length) {
    const name = readPart();
    const value = name && readPart();
    if (!value || name.length === 0 || name.length > NAME_BYTES_MAX) return 'a length is not possible';
    if (compareKeys(previous, name) >= 0) return 'names are not in order';
    try {
      all.set(decoder.decode(name), value);
    } catch {
      return 'a name is not UTF-8';
    }
    previous = name;
  }
  return all;
}

function encodeNumber(value: number): Uint8Array {
  const bytes = new Uint8Array(varintSize(value));
  writeVarint(bytes, 0, value);
  return bytes;
}

function decodeNumber(bytes: Uint8Array): number {
  const number = new VarintCursor();
  return readVarint(bytes, 0, number) === bytes.length ? number.value : -1;
}
