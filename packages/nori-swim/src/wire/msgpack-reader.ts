// Reads the part of MessagePack that the protocol uses. Each read says what it expects and how large it may be, so whatever the bytes
// claim, nothing is allocated that is not there, and nothing nests.
import { SwimError } from '../errors.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads values one after the other. Every method throws SwimError SWIM_BAD_PACKET when the bytes are something else. */
export class MsgpackReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset: number;

  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  array(max: number): number {
    const tag = this.#byte();
    let length: number;
    if (tag >= 0x90 && tag < 0xa0) length = tag - 0x90;
    else if (tag === 0xdc) length = this.#u16();
    else throw this.bad('an array');
    // Each element takes a byte at least.
    if (length > max || length > this.#bytes.length - this.#offset) throw this.bad(`an array of at most ${max}`);
    return length;
  }

  uint(max = Number.MAX_SAFE_INTEGER): number {
    const tag = this.#byte();
    let value: number;
    if (tag < 0x80) value = tag;
    else if (tag === 0xcc) value = this.#byte();
    else if (tag === 0xcd) value = this.#u16();
    else if (tag === 0xce) value = this.#u32();
    else if (tag === 0xcf) value = this.#u32() * 0x1_0000_0000 + this.#u32();
    else throw this.bad('an integer');
    if (value > max) throw this.bad(`an integer of at most ${max}`);
    return value;
  }

  text(maxBytes: number): string {
    const tag = this.#byte();
    let length: number;
    if (tag >= 0xa0 && tag < 0xc0) length = tag - 0xa0;
    else if (tag === 0xd9) length = this.#byte();
    else if (tag === 0xda) length = this.#u16();
    else throw this.bad('text');
    const bytes = this.#take(length, maxBytes);
    let text = '';
    for (let i = 0; i < length; i++) {
      const byte = bytes[i]!;
      if (byte >= 0x80) return this.#decode(bytes);
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** A copy, so that a packet is not kept for a few bytes of it. */
  binary(maxBytes: number): Uint8Array {
    const tag = this.#byte();
    let length: number;
    if (tag === 0xc4) length = this.#byte();
    else if (tag === 0xc5) length = this.#u16();
    else throw this.bad('bytes');
    return new Uint8Array(this.#take(length, maxBytes));
  }

  /** Everything must have been read. */
  end(): void {
    if (this.#offset !== this.#bytes.length) throw this.bad('the end');
  }

  bad(expected: string): SwimError {
    return new SwimError('SWIM_BAD_PACKET', `Expected ${expected} before byte ${this.#offset}.`);
  }

  #take(length: number, maxBytes: number): Uint8Array {
    if (length > maxBytes) throw this.bad(`at most ${maxBytes} bytes`);
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw this.bad('more bytes');
    const bytes = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return bytes;
  }

  #decode(bytes: Uint8Array): string {
    try {
      return decoder.decode(bytes);
    } catch {
      throw this.bad('UTF-8');
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#offset];
    if (byte === undefined) throw this.bad('more bytes');
    this.#offset++;
    return byte;
  }

  #u16(): number {
    this.#advance(2);
    return this.#view.getUint16(this.#offset - 2);
  }

  #u32(): number {
    this.#advance(4);
    return this.#view.getUint32(this.#offset - 4);
  }

  #advance(bytes: number): void {
    if (this.#offset + bytes > this.#bytes.length) throw this.bad('more bytes');
    this.#offset += bytes;
  }
}
