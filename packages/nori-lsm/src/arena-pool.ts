// Memory of memtables. A memtable begins small, so that opening many databases costs little, and soon takes its full size:
// what is not yet used of that is not yet real memory, while every step copies what there is on the event loop. Memory
// of full size is used again, so that it need not be mapped and zeroed for each memtable.

const FIRST_BYTES = 64 * 1024;
/** The only other size below the full one: no more than this is copied. */
const SECOND_BYTES = 1024 * 1024;

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
    return kept ?? new SharedArrayBuffer(this.#fitting(FIRST_BYTES, needBytes));
  }

  /** The next larger memory for a memtable that needs `needBytes`. */
  grow(currentBytes: number, needBytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(
      this.#fitting(currentBytes < SECOND_BYTES ? SECOND_BYTES : this.#fullBytes, needBytes),
    );
  }

  /** Takes back memory nobody reads any more. */
  give(memory: SharedArrayBuffer): void {
    if (memory.byteLength === this.#fullBytes && this.#kept.length < this.#keptMax) this.#kept.push(memory);
  }

  #fitting(wantBytes: number, needBytes: number): number {
    if (needBytes > this.#fullBytes) return roundUp(needBytes);
    const size = needBytes <= wantBytes ? wantBytes : needBytes <= SECOND_BYTES ? SECOND_BYTES : this.#fullBytes;
    return Math.min(size, this.#fullBytes);
  }
}

const roundUp = (bytes: number): number => Math.ceil(bytes / 4096) * 4096;
