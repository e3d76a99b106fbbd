// Memory of memtables. A memtable begins small and grows in a few steps, so that opening many databases costs little;
// memory of full size is used again, so that it need not be mapped and zeroed for each memtable.

const FIRST_BYTES = 64 * 1024;
const GROWTH = 8;

/** Hands out and takes back memory for memtables of one size. */
export class ArenaPool {
  readonly #fullBytes: number;
  readonly #keptMax: number;
  readonly #kept: SharedArrayBuffer[] = [];

  /** @param keptMax how many returned arenas to keep */
  constructor(fullBytes: number, keptMax: number) {
    this.#fullBytes = fullBytes;
    this.#keptMax = keptMax;
  }

  /** Memory for a new memtable that will hold at least `needBytes`. */
  take(needBytes: number): SharedArrayBuffer {
    const kept = needBytes <= this.#fullBytes ? this.#kept.pop() : undefined;
    return kept ?? new SharedArrayBuffer(this.#step(Math.min(FIRST_BYTES, this.#fullBytes), needBytes));
  }

  /** The next larger memory for a memtable that needs `needBytes`. */
  grow(currentBytes: number, needBytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(this.#step(currentBytes * GROWTH, needBytes));
  }

  /** Takes back memory nobody reads any more. */
  give(memory: SharedArrayBuffer): void {
    if (memory.byteLength === this.#fullBytes && this.#kept.length < this.#keptMax) this.#kept.push(memory);
  }

  #step(wantBytes: number, needBytes: number): number {
    if (needBytes > this.#fullBytes) return roundUp(needBytes);
    let size = Math.min(wantBytes, this.#fullBytes);
    while (size < needBytes) size = Math.min(size * GROWTH, this.#fullBytes);
    return size;
  }
}

const roundUp = (bytes: number): number => Math.ceil(bytes / 4096) * 4096;
