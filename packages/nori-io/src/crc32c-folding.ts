// CRC-32C of long inputs in WebAssembly; crc32c.wat tells how. The instance is made when it is first needed, one for each thread.
import { Buffer } from 'node:buffer';
import { CRC32C_WASM } from './crc32c-wasm.js';

/** Where the message lies in the module's memory, and how much of it goes in at once; see crc32c.wat. */
const MESSAGE_OFFSET = 17_408;
const MESSAGE_BYTES_MAX = 8192;
/** The least that goes in at once. */
export const FOLDED_BYTES_MIN = 256;

/** Continues a state (the complement of a checksum) with `bytes` from `start` up to `end`, {@link FOLDED_BYTES_MIN} or more. */
export type Folding = (bytes: Uint8Array, start: number, end: number, state: number) => number;

/** What is used of WebAssembly, whose types come with none of the libraries of a package for Node. */
interface WebAssemblyHost {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer };
      readonly update: (length: number, state: number) => number;
    };
  };
}

/**
 * Makes an instance; undefined where WebAssembly, or its 128-bit vectors, cannot be had.
 * @param table the tables of slicing by 8, see crc32c.ts
 */
export function makeFolding(table: Int32Array): Folding | undefined {
  const host = (globalThis as { readonly WebAssembly?: WebAssemblyHost }).WebAssembly;
  if (host === undefined) return undefined;
  try {
    const { memory, update } = new host.Instance(new host.Module(Buffer.from(CRC32C_WASM, 'base64'))).exports;
    // Little-endian, as WebAssembly reads it, whatever the machine.
    const words = new DataView(memory.buffer);
    for (let i = 0; i < table.length; i++) words.setInt32(4 * i, table[i]!, true);
    return foldingBy(update, new Uint8Array(memory.buffer, MESSAGE_OFFSET, MESSAGE_BYTES_MAX));
  } catch {
    // Not supported, or forbidden by a policy of the page it runs in.
    return undefined;
  }
}

function foldingBy(update: (length: number, state: number) => number, message: Uint8Array): Folding {
  return (bytes, start, end, before) => {
    let state = before;
    let at = start;
    for (; end - at > MESSAGE_BYTES_MAX; at += MESSAGE_BYTES_MAX - FOLDED_BYTES_MIN) {
      // Never all that is left but a little: the last piece has to be long enough too.
      message.set(bytes.subarray(at, at + MESSAGE_BYTES_MAX - FOLDED_BYTES_MIN));
      state = update(MESSAGE_BYTES_MAX - FOLDED_BYTES_MIN, state);
    }
    message.set(bytes.subarray(at, end));
    return update(end - at, state);
  };
}
