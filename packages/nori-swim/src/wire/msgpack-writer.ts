// Writes the part of MessagePack that the protocol uses: unsigned integers below 2^53, text, bytes, arrays; each in its shortest form.
const encoder = new TextEncoder();

/** Grows as needed; `finish` hands out a copy, and the writer can be used again. */
export class MsgpackWriter {
  #bytes: Uint8Array = new Uint8Array(2_048);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  array(length: number): void {
    this.#need(3);
    if (length < 16) this.#bytes[this.#length++] = 0x90 | length;
    else this.#u16(0xdc, length);
  }

  uint(value: number): void {
    this.#need(9);
    if (value < 0x80) this.#bytes[this.#length++] = value;
    else if (value < 0x100) this.#u8(0xcc, value);
    else if (value < 0x1_0000) this.#u16(0xcd, value);
    else if (value < 0x1_0000_0000) this.#u32(0xce, value);
    else {
      this.#u32(0xcf, Math.floor(value / 0x1_0000_0000));
      this.#view.setUint32(this.#length, value >>> 0);
      this.#length += 4;
    }
  }

  text(value: string): void {
    // Three bytes a UTF-16 unit is the most there can be.
    this.#need(5 + 3 * value.length);
    const length = utf8Bytes(value);
    if (length < 32) this.#bytes[this.#length++] = 0xa0 | length;
    else if (length < 0x100) this.#u8(0xd9, length);
    else this.#u16(0xda, length);
    if (length === value.length) {
      for (let i = 0; i < length; i++) this.#bytes[this.#length + i] = value.charCodeAt(i);
    } else {
      encoder.encodeInto(value, this.#bytes.subarray(this.#length));
    }
    this.#length += length;
  }

  binary(value: Uint8Array): void {
    this.#need(5 + value.length);
    if (value.length < 0x100) this.#u8(0xc4, value.length);
    else this.#u16(0xc5, value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** What was written, with room for `headBytes` before it. */
  finish(headBytes: number): Uint8Array {
    const out = new Uint8Array(headBytes + this.#length);
    out.set(this.#bytes.subarray(0, this.#length), headBytes);
    this.#length = 0;
    return out;
  }

  #u8(tag: number, value: number): void {
    this.#bytes[this.#length++] = tag;
    this.#bytes[this.#length++] = value;
  }

  #u16(tag: number, value: number): void {
    this.#bytes[this.#length++] = tag;
    this.#view.setUint16(this.#length, value);
    this.#length += 2;
  }

  #u32(tag: number, value: number): void {
    this.#bytes[this.#length++] = tag;
    this.#view.setUint32(this.#length, value);
    this.#length += 4;
  }

  #need(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + bytes));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** Bytes of a text in UTF-8; a lone surrogate counts as U+FFFD. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    const next = text.charCodeAt(i + 1);
    if (unit < 0x800) bytes++;
    else if (unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

/** Bytes that {@link MsgpackWriter.uint} writes. */
export function uintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x100) return 2;
  if (value < 0x1_0000) return 3;
  return value < 0x1_0000_0000 ? 5 : 9;
}

/** Bytes that {@link MsgpackWriter.text} writes. */
export function textBytes(value: string): number {
  const length = utf8Bytes(value);
  if (length < 32) return 1 + length;
  return (length < 0x100 ? 2 : 3) + length;
}

/** Bytes that {@link MsgpackWriter.binary} writes. */
export function binaryBytes(value: Uint8Array): number {
  return (value.length < 0x100 ? 2 : 3) + value.length;
}
