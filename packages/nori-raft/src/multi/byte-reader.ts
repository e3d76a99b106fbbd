// Reads what a peer has sent: everything is checked, nothing is copied.
import { RaftError } from '../errors.js';

/** Reads a frame, or a part of it. All methods throw RaftError RAFT_BAD_FRAME naming the offset. */
export class ByteReader {
  readonly bytes: Uint8Array;
  at = 0;
  /** Nothing is read from here on. */
  end: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.end = bytes.length;
  }

  get left(): number {
    return this.end - this.at;
  }

  u8(): number {
    if (this.at >= this.end) throw badFrame(this.at, 'it ends too soon');
    return this.bytes[this.at++]!;
  }

  u32(): number {
    const { bytes, at } = this;
    if (this.end - at < 4) throw badFrame(at, 'it ends too soon');
    this.at = at + 4;
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  }

  /** A byte with no other bits than those of `mask`. */
  flags(mask: number): number {
    const flags = this.u8();
    if ((flags & ~mask) !== 0) throw badFrame(this.at - 1, `flags ${flags} are unknown`);
    return flags;
  }

  varint(): number {
    const { at } = this;
    const first = this.bytes[at]!;
    if (at >= this.end || first >= 0x80) return this.#longVarint(at);
    this.at = at + 1;
    return first;
  }

  #longVarint(start: number): number {
    const { bytes, end } = this;
    let value = 0;
    let scale = 1;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) throw badFrame(start, 'a number is not in its shortest form');
        if (value > Number.MAX_SAFE_INTEGER) throw badFrame(start, 'a number is above 2^53 - 1');
        this.at = at + 1;
        return value;
      }
      if (at - start === 7) throw badFrame(start, 'a number is longer than 8 bytes');
      scale *= 0x80;
    }
    throw badFrame(end, 'it ends too soon');
  }

  /** How many things follow, of which each takes `bytesMin` bytes at least: a count that lies allocates nothing. */
  count(max: number, bytesMin: number): number {
    const start = this.at;
    return checkCount(this.varint(), max, this.left / bytesMin, start);
  }
}

export function checkCount(count: number, max: number, fitting: number, offset: number): number {
  if (count > max) throw badFrame(offset, `${count} are over the limit of ${max}`);
  if (count > fitting) throw badFrame(offset, `${count} do not fit in what follows`);
  return count;
}

export function badFrame(offset: number, why: string): RaftError {
  return new RaftError('RAFT_BAD_FRAME', `A frame is unreadable at offset ${offset}: ${why}.`);
}
