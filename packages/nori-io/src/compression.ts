// Compression of log records and table blocks: one codec for each name, with the number that stands for it on disk.
//
//   number  name     what the compressed bytes are
//   0       none     the bytes themselves
//   1       lz4      one LZ4 block
//   2       deflate  one raw deflate stream (RFC 1951), made at level 1
//   3       zstd     one Zstandard frame (RFC 8878), made at level 1; only where node:zlib has it
//
// Codecs add no header: the uncompressed size is kept by whoever stores the bytes, and `decompress` yields exactly that many
// or throws. `compressWithSize` and `decompressWithSize` are the stored form that logs and tables share:
//
//   varint  uncompressed size
//   …       compressed bytes
//
// All of it runs on the calling thread.
import zlib from 'node:zlib';
import { IoError } from './io-error.js';
import { compressLz4, decompressLz4, loadLz4 } from './lz4-block.js';
import { readVarint, VarintCursor, varintSize, writeVarint } from './varint.js';

/** How bytes are compressed. */
export type Compression = 'none' | 'lz4' | 'deflate' | 'zstd';

/** Compresses and decompresses. Get one from {@link codecFor}. */
export interface Codec {
  readonly name: Compression;
  /** What stands for it on disk. */
  readonly id: number;
  /**
   * The compressed form of `source` from `start` up to `end`. Of `none` it is a view of `source`.
   * @throws IoError `IO_UNSUPPORTED` beyond {@link COMPRESSION_BYTES_MAX}.
   */
  compress(source: Uint8Array, start: number, end: number): Uint8Array;
  /**
   * Undoes `compress`: what `source` from `start` up to `end` means, which must be `bytes` bytes. Of `none` it is a view of
   * `source`. Takes memory in proportion to `bytes` and `end - start`, whatever the input.
   * @throws IoError `IO_CORRUPT` if the input is not valid, or means more or fewer bytes.
   */
  decompress(source: Uint8Array, start: number, end: number, bytes: number): Uint8Array;
}

/** Most bytes that may go into `compress` or come out of `decompress`: 1 GiB. */
export const COMPRESSION_BYTES_MAX = 2 ** 30;

/** Compressed bytes are worth keeping if they save at least one part in this many. */
const SAVING_PARTS = 8;
const ZSTD_ID = 3;
const CHUNK_BYTES_MIN = 64;
const CHUNK_BYTES_MAX = 1024 * 1024;
/** First releases of Node with zstd in node:zlib. */
const ZSTD_SINCE = 'Node 22.15 or 23.8';

interface ZlibOptions extends zlib.ZlibOptions {
  readonly params?: Readonly<Record<number, number>>;
}

/** What newer releases of Node have in node:zlib. */
export interface Zstd {
  zstdCompressSync(source: Uint8Array, options: ZlibOptions): Uint8Array;
  zstdDecompressSync(source: Uint8Array, options: ZlibOptions): Uint8Array;
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
}

class FunctionCodec implements Codec {
  readonly name: Compression;
  readonly id: number;
  readonly #compress: (source: Uint8Array) => Uint8Array;
  readonly #decompress: (source: Uint8Array, bytes: number) => Uint8Array;

  constructor(
    name: Compression,
    id: number,
    compress: (source: Uint8Array) => Uint8Array,
    decompress: (source: Uint8Array, bytes: number) => Uint8Array,
  ) {
    this.name = name;
    this.id = id;
    this.#compress = compress;
    this.#decompress = decompress;
  }

  compress(source: Uint8Array, start: number, end: number): Uint8Array {
    if (end - start > COMPRESSION_BYTES_MAX) {
      throw unsupported(`Cannot compress ${end - start} bytes: the limit is ${COMPRESSION_BYTES_MAX}`);
    }
    return this.#compress(source.subarray(start, end));
  }

  decompress(source: Uint8Array, start: number, end: number, bytes: number): Uint8Array {
    if (!(bytes >= 0 && bytes <= COMPRESSION_BYTES_MAX)) {
      throw corrupt(`${this.name}: a size of ${bytes} is not between 0 and ${COMPRESSION_BYTES_MAX}`);
    }
    let result: Uint8Array;
    try {
      result = this.#decompress(source.subarray(start, end), bytes);
    } catch (error) {
      throw corrupt(`${this.name}: ${(error as Error).message}`, error);
    }
    if (result.length === bytes) return result;
    throw corrupt(`${this.name}: they mean ${result.length} bytes, not ${bytes}`);
  }
}

const NONE = new FunctionCodec(
  'none',
  0,
  (source) => source,
  (source) => source,
);

const LZ4 = new FunctionCodec('lz4', 1, compressLz4, decompressLz4);

const DEFLATE = new FunctionCodec(
  'deflate',
  2,
  (source) => plain(zlib.deflateRawSync(source, { level: 1, chunkSize: chunkBytes(source.length) })),
  (source, bytes) => inflated(source, bytes, zlib.inflateRawSync),
);

/** The codec of `zstd`, or undefined where `from` has none. */
export function zstdCodec(from: Partial<Zstd>): Codec | undefined {
  const { zstdCompressSync, zstdDecompressSync, constants } = from;
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined || constants === undefined) return undefined;
  const params = { [constants.ZSTD_c_compressionLevel]: 1 };
  return new FunctionCodec(
    'zstd',
    ZSTD_ID,
    (source) => plain(zstdCompressSync(source, { params, chunkSize: chunkBytes(source.length) })),
    (source, bytes) => inflated(source, bytes, zstdDecompressSync),
  );
}

const ZSTD = zstdCodec(zlib as object);

/**
 * The codec for a name, or for a number read from disk.
 * @throws IoError `IO_UNSUPPORTED` if this runtime cannot do it (`zstd` before Node 22.15), or if there is no such codec.
 */
export function codecFor(compression: Compression | number): Codec {
  switch (compression) {
    case 'none':
    case NONE.id:
      return NONE;
    case 'lz4':
    case LZ4.id:
      return checkedLz4();
    case 'deflate':
    case DEFLATE.id:
      return DEFLATE;
    case 'zstd':
    case ZSTD_ID:
      if (ZSTD !== undefined) return ZSTD;
      throw unsupported(`Compression zstd needs ${ZSTD_SINCE} or later; this is Node ${process.versions.node}`);
    default:
      throw unsupported(`There is no compression ${compression}; a later version of this library may have it`);
  }
}

/**
 * The stored form of `source` from `start` up to `end`: the size as a varint and the compressed bytes. Undefined if that
 * does not save at least an eighth: store the bytes as they are then.
 */
export function compressWithSize(codec: Codec, source: Uint8Array, start: number, end: number): Uint8Array | undefined {
  const bytes = end - start;
  if (codec === NONE) return undefined;
  const compressed = codec.compress(source, start, end);
  const sizeBytes = varintSize(bytes);
  if (sizeBytes + compressed.length > bytes - bytes / SAVING_PARTS) return undefined;
  const stored = new Uint8Array(sizeBytes + compressed.length);
  writeVarint(stored, 0, bytes);
  stored.set(compressed, sizeBytes);
  return stored;
}

/**
 * Undoes {@link compressWithSize}, refusing a stated size above `bytesMax`.
 * @throws IoError `IO_CORRUPT` if the bytes are not what `compressWithSize` makes.
 */
export function decompressWithSize(
  codec: Codec,
  source: Uint8Array,
  start: number,
  end: number,
  bytesMax: number,
): Uint8Array {
  const cursor = new VarintCursor();
  const at = readVarint(source, start, cursor, end);
  if (at < 0) throw corrupt(`${codec.name}: the size is ${cursor.problem}`);
  if (cursor.value > bytesMax) throw corrupt(`${codec.name}: a size of ${cursor.value} is above ${bytesMax}`);
  return codec.decompress(source, at, end, cursor.value);
}

function checkedLz4(): Codec {
  try {
    loadLz4();
  } catch (error) {
    throw unsupported('Compression lz4 needs the package lz4-wasm-nodejs and WebAssembly; it cannot be loaded', error);
  }
  return LZ4;
}

/** Decompresses with an all-at-once function of node:zlib, which must use all of `source`. */
function inflated(
  source: Uint8Array,
  bytes: number,
  inflate: (source: Uint8Array, options: ZlibOptions) => Uint8Array,
): Uint8Array {
  // One byte more than expected: zlib need not ask for a second chunk to find the end.
  const options = { info: true, maxOutputLength: Math.max(1, bytes), chunkSize: chunkBytes(bytes + 1) };
  const { buffer, engine } = inflate(source, options) as unknown as {
    readonly buffer: Uint8Array;
    readonly engine: { readonly bytesWritten: number };
  };
  if (engine.bytesWritten === source.length) return plain(buffer);
  throw new RangeError(`${source.length - engine.bytesWritten} bytes follow their end`);
}

function chunkBytes(bytes: number): number {
  return Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, bytes));
}

/** A view without Buffer's own methods (its `slice` does not copy). */
function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

function corrupt(detail: string, cause?: unknown): IoError {
  return new IoError('IO_CORRUPT', `Cannot decompress bytes of ${detail}`, { path: '', cause });
}

function unsupported(message: string, cause?: unknown): IoError {
  return new IoError('IO_UNSUPPORTED', message, { path: '', cause });
}
