// Reusable chunks for staging. Sizes are powers of two; what is free above the limit is left to the garbage collector.

/** Smallest chunk. */
export const CHUNK_BYTES_MIN = 64 * 1024;
/** Largest chunk; records that are not small beside it are not copied at all. */
export const CHUNK_BYTES_MAX = 1024 * 1024;
const FREE_BYTES_MAX = 4 * CHUNK_BYTES_MAX;

/** Free chunks of one log. */
export class StagingPool {
  readonly #free: Uint8Array[] = [];
  #freeBytes = 0;

  /** A chunk of at least `bytesMin` (at most {@link CHUNK_BYTES_MAX}), its content undefined. */
  take(bytesMin: number): Uint8Array {
    const top = this.#free.at(-1);
    if (top !== undefined && top.length >= bytesMin) {
      this.#free.pop();
      this.#freeBytes -= top.length;
      return top;
    }
    let bytes = CHUNK_BYTES_MIN;
    while (bytes < bytesMin) bytes *= 2;
    return new Uint8Array(bytes);
  }

  give(chunk: Uint8Array): void {
    if (this.#freeBytes + chunk.length > FREE_BYTES_MAX) return;
    this.#free.push(chunk);
    this.#freeBytes += chunk.length;
  }
}
