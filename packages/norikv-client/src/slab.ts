// Small byte arrays cut from larger ones. An array buffer of its own for every key and value is what costs most in a client
// that handles 100,000 a second: a fifth of its time went into collecting them.

const SLAB_BYTES = 16 * 1024;
/** Above this a buffer of its own wastes less than it costs. */
const SHARED_BYTES_MAX = 2 * 1024;

/** Cuts arrays from slabs. What is cut stays valid for ever; a slab lives as long as anything cut from it. */
export class Slab {
  #bytes: Uint8Array = new Uint8Array(0);
  #used = 0;

  /** A copy of `source`. */
  copy(source: Uint8Array): Uint8Array {
    const { length } = source;
    if (length > SHARED_BYTES_MAX) return new Uint8Array(source);
    const copy = this.#cut(length);
    copy.set(source);
    return copy;
  }

  /** `text` in UTF-8. */
  encode(text: string): Uint8Array {
    // UTF-16 to UTF-8 takes three bytes a unit at most.
    const lengthMax = text.length * 3;
    if (lengthMax > SHARED_BYTES_MAX) return encoder.encode(text);
    if (this.#used + lengthMax > this.#bytes.length) this.#renew();
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(this.#used));
    return this.#cut(written);
  }

  #cut(length: number): Uint8Array {
    if (this.#used + length > this.#bytes.length) this.#renew();
    const start = this.#used;
    this.#used += length;
    return new Uint8Array(this.#bytes.buffer, start, length);
  }

  #renew(): void {
    // Not filled with zeros: every byte is written before it is handed out.
    this.#bytes = new Uint8Array(Buffer.allocUnsafeSlow(SLAB_BYTES).buffer);
    this.#used = 0;
  }
}

const encoder = new TextEncoder();
