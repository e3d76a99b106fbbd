// Reads what a ByteWriter wrote. Every step is checked against the end: damaged bytes give a RangeError, never a hang,
// a read past the end, or an allocation of a size that the bytes claim.

/** A cursor over bytes. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    if (this.#at >= this.#end) throw new RangeError('bytes end before a field does');
    return this.#bytes[this.#at++]!;
  }

  /** A varint below 2^53. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('a varint is beyond 2^53');
        return value;
      }
      scale *= 128;
    }
    throw new RangeError('a varint is longer than 8 bytes');
  }

  /** A view of the next `length` bytes. */
  bytes(length: number): Uint8Array {
    if (length > this.remaining) throw new RangeError('bytes end before a field does');
    const view = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return view;
  }

  /** A view of bytes that have their length before them. */
  blob(): Uint8Array {
    return this.bytes(this.varint());
  }
}
