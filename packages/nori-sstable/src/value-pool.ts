// Copies of values that were found in memory which is about to be used again. Short ones share a buffer, as Node's own small
// Buffers do: an allocation of its own would cost more than the copy. What is handed out is never written to again.
import { sharedMemory } from './shared-memory.js';

const POOL_BYTES = 16 * 1024;
const POOLED_BYTES_MAX = 2048;

let pool = new Uint8Array(0);
let used = 0;

/** A copy of `source[start..end)`, which may be shared memory. Short ones keep 16 KiB of memory that others share. */
export function copyOut(source: Uint8Array, start: number, end: number): Uint8Array {
  const length = end - start;
  if (length > POOLED_BYTES_MAX) {
    const copy = new Uint8Array(length);
    copy.set(source.subarray(start, end));
    return copy;
  }
  if (used + length > pool.length) {
    pool = sharedMemory(POOL_BYTES);
    used = 0;
  }
  // A view costs as much as the copy.
  pool.set(length === source.length ? source : source.subarray(start, end), used);
  const copy = pool.subarray(used, used + length);
  used += length;
  return copy;
}
