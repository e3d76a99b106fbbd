// A skip list in one block of shared memory: nothing in it is a JavaScript object, so that a worker thread can walk it
// without a copy. One thread inserts, and only while no other thread reads; a sealed list is immutable.
//
// Words are 32 bits. Word 0 stands for "no node"; the head sits at word HEAD with a tower of full height.
//
//   node:  +0 prefix of the key, bytes 0–3   (big-endian, sign bit flipped: signed order is byte order)
//          +1 prefix of the key, bytes 4–7
//          +2 sequence number, low 32 bits
//          +3 sequence number, high 21 bits << 8 | has expiry << 4 | kind
//          +4 height << 20 | key length
//          +5 value length
//          +6 previous node on level 0
//          +7 next nodes: level 0, level 1, … level height-1
//          then, if it has an expiry: low and high word of the time in ms; then key, value, padding to a word
//
// Order: key ascending, then sequence number descending, so that the newest version of a key comes first.
import { compareRange, prefixHigh, prefixLow } from './bytes.js';

const HEIGHT_MAX = 12;
/** Bits of chance that a node does not grow one level higher: 1/4. */
const GROW_MASK = 3;
const HAS_EXPIRY = 0x10;
const KIND_MASK = 0x0f;
const FIXED_WORDS = 7;
const KEY_LENGTH_MASK = 0xf_ffff;
/** Up to here a loop beats `set`. */
const COPY_LOOP_MAX = 24;
const TWO_32 = 0x1_0000_0000;

/** Word of the head node. */
const HEAD = 8;
const FIRST_FREE = HEAD + FIXED_WORDS + HEIGHT_MAX;

/** Bytes an empty list uses. */
export const EMPTY_BYTES = FIRST_FREE * 4;
/** Most bytes a node can take beyond its key and value. */
export const NODE_OVERHEAD_MAX = (FIXED_WORDS + HEIGHT_MAX + 2) * 4 + 3;

/** The list; see the top of the file. */
export class SkipList {
  words: Int32Array;
  bytes: Uint8Array;
  #memory: SharedArrayBuffer;
  /** First free word. */
  #end = FIRST_FREE;
  #height = 1;
  #count = 0;
  #random = 0x9e37_79b9;
  /** The node inserted last, and for each level the last node at or before it. */
  #lastInserted = HEAD;
  readonly #path = new Int32Array(HEIGHT_MAX).fill(HEAD);

  private constructor(memory: SharedArrayBuffer) {
    this.#memory = memory;
    this.words = new Int32Array(memory);
    this.bytes = new Uint8Array(memory);
  }

  /** Makes an empty list; whatever `memory` held is ignored. */
  static create(memory: SharedArrayBuffer): SkipList {
    const list = new SkipList(memory);
    list.words.fill(0, 0, FIRST_FREE);
    list.words[HEAD + 4] = HEIGHT_MAX << 20;
    return list;
  }

  /** A list that another thread has filled and sealed: for walking with `first`, `next` and the accessors only. */
  static attach(memory: SharedArrayBuffer): SkipList {
    return new SkipList(memory);
  }

  /** The memory the list is in. */
  get memory(): SharedArrayBuffer {
    return this.#memory;
  }

  /** Entries in the list. */
  get count(): number {
    return this.#count;
  }

  /** Bytes used so far. */
  get usedBytes(): number {
    return this.#end * 4;
  }

  /** Moves the list to a larger memory; nodes keep their word numbers. */
  moveTo(memory: SharedArrayBuffer): void {
    const words = new Int32Array(memory);
    words.set(this.words.subarray(0, this.#end));
    this.#memory = memory;
    this.words = words;
    this.bytes = new Uint8Array(memory);
  }

  /**
   * Inserts an entry whose key and value are ranges of byte arrays. `seq` must be greater than that of every entry with
   * this key, and the memory must have room ({@link NODE_OVERHEAD_MAX} beside key and value): the caller checks.
   */
  insert(
    keyBytes: Uint8Array,
    keyStart: number,
    keyLength: number,
    seq: number,
    kind: number,
    expiresAtMs: number,
    valueBytes: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): void {
    const { words } = this;
    const path = this.#path;
    const high = prefixHigh(keyBytes, keyStart, keyLength);
    const low = prefixLow(keyBytes, keyStart, keyLength);
    const after = this.#locate(keyBytes, keyStart, keyLength, high, low);
    const height = this.#randomHeight();
    while (this.#height < height) path[this.#height++] = HEAD;

    const node = this.#end;
    words[node] = high;
    words[node + 1] = low;
    words[node + 2] = seq | 0;
    words[node + 3] = (Math.floor(seq / TWO_32) << 8) | (expiresAtMs === 0 ? 0 : HAS_EXPIRY) | kind;
    words[node + 4] = (height << 20) | keyLength;
    words[node + 5] = valueLength;
    words[node + 6] = path[0]!;
    let at = node + FIXED_WORDS;
    for (let level = 0; level < height; level++) {
      const link = path[level]! + FIXED_WORDS + level;
      words[at++] = words[link]!;
      words[link] = node;
      path[level] = node;
    }
    if (after !== 0) words[after + 6] = node;
    if (expiresAtMs !== 0) {
      words[at++] = expiresAtMs | 0;
      words[at++] = Math.floor(expiresAtMs / TWO_32);
    }
    if (valueBytes === keyBytes && valueStart === keyStart + keyLength) {
      this.#copyIn(at * 4, keyBytes, keyStart, keyLength + valueLength);
    } else {
      this.#copyIn(at * 4, keyBytes, keyStart, keyLength);
      this.#copyIn(at * 4 + keyLength, valueBytes, valueStart, valueLength);
    }
    this.#end = at + ((keyLength + valueLength + 3) >>> 2);
    this.#lastInserted = node;
    this.#count++;
  }

  /** The first node at or after (`key`, `seq`): the newest version of `key` not above `seq`, or a later key; 0 if none. */
  seek(key: Uint8Array, seq: number): number {
    const { words } = this;
    const high = prefixHigh(key, 0, key.length);
    const low = prefixLow(key, 0, key.length);
    let node = HEAD;
    let known = 0;
    for (let level = this.#height - 1; level >= 0; level--) {
      for (;;) {
        const next = words[node + FIXED_WORDS + level]!;
        if (next === 0 || next === known) break;
        const order = this.#compare(next, key, 0, key.length, high, low);
        if (order < 0 || (order === 0 && this.seqOf(next) > seq)) {
          node = next;
        } else {
          known = next;
          break;
        }
      }
    }
    return words[node + FIXED_WORDS]!;
  }

  /** The newest version of `key` not above `seq`; 0 if there is none. */
  find(key: Uint8Array, seq: number): number {
    const node = this.seek(key, seq);
    return node !== 0 && this.keyEquals(node, key) ? node : 0;
  }

  /** The last node of all; 0 if the list is empty. */
  last(): number {
    const { words } = this;
    let node = HEAD;
    for (let level = this.#height - 1; level >= 0; level--) {
      for (let next = words[node + FIXED_WORDS + level]!; next !== 0; next = words[node + FIXED_WORDS + level]!) {
        node = next;
      }
    }
    return node === HEAD ? 0 : node;
  }

  first(): number {
    return this.words[HEAD + FIXED_WORDS]!;
  }

  next(node: number): number {
    return this.words[node + FIXED_WORDS]!;
  }

  previous(node: number): number {
    const previous = this.words[node + 6]!;
    return previous === HEAD ? 0 : previous;
  }

  seqOf(node: number): number {
    return (this.words[node + 3]! >>> 8) * TWO_32 + (this.words[node + 2]! >>> 0);
  }

  kindOf(node: number): number {
    return this.words[node + 3]! & KIND_MASK;
  }

  expiresAtOf(node: number): number {
    const { words } = this;
    if ((words[node + 3]! & HAS_EXPIRY) === 0) return 0;
    const at = node + FIXED_WORDS + (words[node + 4]! >>> 20);
    return words[at + 1]! * TWO_32 + (words[at]! >>> 0);
  }

  keyLengthOf(node: number): number {
    return this.words[node + 4]! & KEY_LENGTH_MASK;
  }

  valueLengthOf(node: number): number {
    return this.words[node + 5]!;
  }

  /** Where the key's bytes begin in {@link SkipList.bytes}; the value follows the key. */
  keyStartOf(node: number): number {
    const { words } = this;
    const expiryWords = (words[node + 3]! & HAS_EXPIRY) >>> 3;
    return (node + FIXED_WORDS + (words[node + 4]! >>> 20) + expiryWords) * 4;
  }

  keyEquals(node: number, key: Uint8Array): boolean {
    const length = this.keyLengthOf(node);
    return length === key.length && compareRange(this.bytes, this.keyStartOf(node), length, key, 0, length, 0) === 0;
  }

  /** Copies the key out of shared memory. */
  copyKey(node: number): Uint8Array {
    const start = this.keyStartOf(node);
    return copyOut(this.bytes, start, this.keyLengthOf(node));
  }

  /** Copies the value out of shared memory. */
  copyValue(node: number): Uint8Array {
    const start = this.keyStartOf(node) + this.keyLengthOf(node);
    return copyOut(this.bytes, start, this.words[node + 5]!);
  }

  #compare(node: number, key: Uint8Array, start: number, length: number, high: number, low: number): number {
    const { words } = this;
    const nodeHigh = words[node]!;
    if (nodeHigh !== high) return nodeHigh < high ? -1 : 1;
    const nodeLow = words[node + 1]!;
    if (nodeLow !== low) return nodeLow < low ? -1 : 1;
    const nodeLength = words[node + 4]! & KEY_LENGTH_MASK;
    if (nodeLength <= 8 || length <= 8) return nodeLength - length;
    return compareRange(this.bytes, this.keyStartOf(node), nodeLength, key, start, length, 8);
  }

  /** Sets the path to the last nodes before the key and returns the first node at or after it. */
  #locate(key: Uint8Array, start: number, length: number, high: number, low: number): number {
    const { words } = this;
    const path = this.#path;
    const last = this.#lastInserted;
    // Ascending inserts: if the key lies between the node inserted last and its successor, the path is right as it is.
    if (last !== HEAD && this.#compare(last, key, start, length, high, low) < 0) {
      const next = words[last + FIXED_WORDS]!;
      if (next === 0 || this.#compare(next, key, start, length, high, low) >= 0) return next;
    }
    let node = HEAD;
    let known = 0;
    for (let level = this.#height - 1; level >= 0; level--) {
      for (;;) {
        const next = words[node + FIXED_WORDS + level]!;
        if (next === 0 || next === known) break;
        if (this.#compare(next, key, start, length, high, low) >= 0) {
          known = next;
          break;
        }
        node = next;
      }
      path[level] = node;
    }
    return words[node + FIXED_WORDS]!;
  }

  #copyIn(at: number, source: Uint8Array, start: number, length: number): void {
    if (length > COPY_LOOP_MAX) {
      this.bytes.set(length === source.length ? source : source.subarray(start, start + length), at);
      return;
    }
    const { bytes } = this;
    for (let i = 0; i < length; i++) bytes[at + i] = source[start + i]!;
  }

  /** Deterministic (xorshift32): the same inserts build the same list. */
  #randomHeight(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    let height = 1;
    for (let bits = x >>> 4; height < HEIGHT_MAX && (bits & GROW_MASK) === 0; bits >>>= 2) height++;
    return height;
  }
}

const copyOut = (bytes: Uint8Array, start: number, length: number): Uint8Array => {
  const out = new Uint8Array(length);
  if (length > COPY_LOOP_MAX) out.set(bytes.subarray(start, start + length));
  else for (let i = 0; i < length; i++) out[i] = bytes[start + i]!;
  return out;
};
