// Writes into a buffer whose size was computed before. Numbers are not checked here: they are when sizes are computed.
import { RaftError } from '../errors.js';

/** LEB128 without BigInt, below 2^53: two ways, as shifts work on 32 bits only. */
export class ByteWriter {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  u8(value: number): void {
    this.bytes[this.at++] = value;
  }

  u32(value: number): void {
    const { bytes, at } = this;
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
    this.at = at + 4;
  }

  varint(value: number): void {
    const { bytes } = this;
    let { at } = this;
    let rest = value;
    while (rest >= 0x8000_0000) {
      bytes[at++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.at = at;
  }

  raw(data: Uint8Array): void {
    this.bytes.set(data, this.at);
    this.at += data.length;
  }
}

/** @throws RaftError RAFT_MISUSE when it is no integer from 0 to 2^53 - 1 */
export function varintSize(value: number): number {
  // Most are small: this path is short.
  const small = value >>> 0;
  if (small === value && small < 0x1000_0000) return small < 0x80 ? 1 : small < 0x4000 ? 2 : small < 0x20_0000 ? 3 : 4;
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RaftError('RAFT_MISUSE', `A frame cannot hold the number ${value}.`);
  }
  if (value < 2 ** 35) return 5;
  if (value < 2 ** 42) return 6;
  return value < 2 ** 49 ? 7 : 8;
}

/** Differences as numbers from 0 on: 0, -1, 1, -2, 2, ... */
export function zigzag(difference: number): number {
  return difference >= 0 ? 2 * difference : -2 * difference - 1;
}
