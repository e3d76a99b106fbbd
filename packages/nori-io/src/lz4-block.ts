// LZ4 blocks (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md) by lz4_flex compiled to WebAssembly. Called by
// compression.ts only.
//
// The library puts the uncompressed size as four bytes, little-endian, before the block, and allocates what they say; we
// strip them and put them back, after checking that a block of that length can mean that size. It is loaded when first
// used: it reads its .wasm file from beside itself, which must not trouble those who bundle this package and never use LZ4.
import { createRequire } from 'node:module';
import type * as Lz4 from 'lz4-wasm-nodejs';

const MODULE = 'lz4-wasm-nodejs';
const SIZE_BYTES = 4;
/** A byte of a block stands for at most this many bytes of output (a continued match length). */
const EXPANSION_MAX = 255;
/** WebAssembly memory grows and never shrinks: after inputs or outputs beyond this the instance is let go. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

let instance: typeof Lz4 | undefined;
let scratch = new Uint8Array(0);

/** Loads the library, or throws what Node said. Idempotent. */
export function loadLz4(): typeof Lz4 {
  instance ??= createRequire(import.meta.url)(MODULE) as typeof Lz4;
  return instance;
}

/** The block for `source`, in memory of its own. */
export function compressLz4(source: Uint8Array): Uint8Array {
  try {
    return loadLz4().compress(source).subarray(SIZE_BYTES);
  } catch (error) {
    letGo();
    throw error;
  } finally {
    if (source.length > KEPT_BYTES_MAX) letGo();
  }
}

/** What the block `source` means, if that is `bytes` long; else throws anything. */
export function decompressLz4(source: Uint8Array, bytes: number): Uint8Array {
  if (bytes > source.length * EXPANSION_MAX) throw new RangeError(`${source.length} bytes cannot mean ${bytes}`);
  const length = SIZE_BYTES + source.length;
  if (scratch.length < length) scratch = new Uint8Array(Math.max(length, 2 * scratch.length));
  const input = scratch.subarray(0, length);
  new DataView(input.buffer).setUint32(0, bytes, true);
  input.set(source, SIZE_BYTES);
  try {
    return loadLz4().decompress(input);
  } catch (error) {
    // What is not a string was not thrown by the decoder, but by the machine under it.
    if (typeof error !== 'string') letGo();
    throw typeof error === 'string' ? new RangeError(error) : error;
  } finally {
    if (length > KEPT_BYTES_MAX || bytes > KEPT_BYTES_MAX) letGo();
  }
}

function letGo(): void {
  const require = createRequire(import.meta.url);
  delete require.cache[require.resolve(MODULE)];
  instance = undefined;
  scratch = new Uint8Array(0);
}
