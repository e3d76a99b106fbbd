// A growing buffer that is written front to back and used again. Integers are varints of up to 53 bits (LEB128).

const GROWTH_MIN_BYTES = 4096;

/** Appends bytes and varints; `finish` gives a view that the next `reset` invalidates. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(initialBytes = GROWTH_MIN_BYTES) {
    this.#bytes = new Uint8Array(initialBytes);
  }

  /** Bytes written since the last reset. */
  get length(): number {
    return this.#length;
  }

  /** Forgets what was written; gives back a buffer that has grown beyond `keepBytesMax`. */
  reset(keepBytesMax = Number.POSITIVE_INFINITY): void {
    if (this.#bytes.length > keepBytesMax) this.#bytes = new Uint8Array(GROWTH_MIN_BYTES);
    this.#length = 0;
  }

  u8(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#length++] = value;
  }

  /** Writes 0 ≤ `value` < 2^53 in 1 to 8 bytes. */
  varint(value: number): void {
    if (this.#length + 8 > this.#bytes.length) this.#grow(8);
    const bytes = this.#bytes;
    let at = this.#length;
    let rest = value;
    while (rest > 0x7fffffff) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.#length = at;
  }

  bytes(value: Uint8Array): void {
    if (this.#length + value.length > this.#bytes.length) this.#grow(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** Bytes with their length before them. */
  blob(value: Uint8Array): void {
    this.varint(value.length);
    this.bytes(value);
  }

  /** What stands from `start` to here; valid until the next `reset`, or until the buffer grows. */
  view(start = 0): Uint8Array {
    return this.#bytes.subarray(start, this.#length);
  }

  #grow(need: number): void {
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + need, GROWTH_MIN_BYTES));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
