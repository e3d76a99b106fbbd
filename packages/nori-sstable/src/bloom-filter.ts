// The blocked bloom filter: each key sets `probes` bits within one line of 64 bytes, so that a look-up touches one cache line.
//
//   line 0 .. line k-1, 64 bytes each | k: u32 | hash: u8 = 1 | probes: u8 | type: u8 = 1 | 0: u8
import { readU32LE, writeU32LE } from 'nori-io';
import type { KeyHash } from './key-hash.js';

const LINE_BYTES = 64;
const LINE_BITS = LINE_BYTES * 8;
const TAIL_BYTES = 8;
const HASH_ID = 1;
const TYPE_BLOCKED_BLOOM = 1;
const PROBES = 6;
const PROBES_MAX = 32;
const GOLDEN = 0x9e3779b9;
const HASHES_INITIAL = 1024;

/** Collects the hashes of keys and makes the contents of a filter block of them. */
export class BloomFilterBuilder {
  readonly #bitsPerKey: number;
  #hashes = new Int32Array(2 * HASHES_INITIAL);
  #length = 0;

  constructor(bitsPerKey: number) {
    this.#bitsPerKey = bitsPerKey;
  }

  /** Adds a key by its hash. Call it once per distinct key: repetitions cost space. */
  add(hash: KeyHash): void {
    if (this.#length === this.#hashes.length) {
      const grown = new Int32Array(2 * this.#length);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes[this.#length] = hash.h1;
    this.#hashes[this.#length + 1] = hash.h2;
    this.#length += 2;
  }

  /** Bytes that {@link BloomFilterBuilder.build} will return if no more keys are added. */
  get sizeBytes(): number {
    return this.#lineCount() * LINE_BYTES + TAIL_BYTES;
  }

  build(): Uint8Array {
    const lines = this.#lineCount();
    const contents = new Uint8Array(lines * LINE_BYTES + TAIL_BYTES);
    const hashes = this.#hashes;
    for (let index = 0; index < this.#length; index += 2) {
      const line = ((hashes[index]! >>> 0) % lines) * LINE_BYTES;
      let p = hashes[index + 1]!;
      for (let probe = 0; probe < PROBES; probe++) {
        const bit = p >>> 23;
        contents[line + (bit >>> 3)]! |= 1 << (bit & 7);
        p = Math.imul(p, GOLDEN);
      }
    }
    const tail = lines * LINE_BYTES;
    writeU32LE(contents, tail, lines);
    contents[tail + 4] = HASH_ID;
    contents[tail + 5] = PROBES;
    contents[tail + 6] = TYPE_BLOCKED_BLOOM;
    return contents;
  }

  #lineCount(): number {
    return Math.max(1, Math.ceil(((this.#length / 2) * this.#bitsPerKey) / LINE_BITS));
  }
}

/** Why {@link BloomFilter.decode} gave no filter. */
export type FilterProblem = 'corrupt' | 'unknown';

/** A filter over the contents of a filter block, which it keeps and does not copy. */
export class BloomFilter {
  readonly #contents: Uint8Array;
  readonly #lines: number;
  readonly #probes: number;

  private constructor(contents: Uint8Array, lines: number, probes: number) {
    this.#contents = contents;
    this.#lines = lines;
    this.#probes = probes;
  }

  /** `unknown`: made by a later version, the table is to be read without a filter. */
  static decode(contents: Uint8Array): BloomFilter | FilterProblem {
    const tail = contents.length - TAIL_BYTES;
    if (tail < 0) return 'corrupt';
    if (contents[tail + 6] !== TYPE_BLOCKED_BLOOM || contents[tail + 4] !== HASH_ID) return 'unknown';
    const lines = readU32LE(contents, tail);
    const probes = contents[tail + 5]!;
    if (lines === 0 || lines * LINE_BYTES !== tail || probes === 0 || probes > PROBES_MAX) return 'corrupt';
    return new BloomFilter(contents, lines, probes);
  }

  /** False: no key with this hash is in the table. True: there may be one. */
  mayContain(hash: KeyHash): boolean {
    const contents = this.#contents;
    const line = ((hash.h1 >>> 0) % this.#lines) * LINE_BYTES;
    let p = hash.h2;
    for (let probe = this.#probes; probe > 0; probe--) {
      const bit = p >>> 23;
      if ((contents[line + (bit >>> 3)]! & (1 << (bit & 7))) === 0) return false;
      p = Math.imul(p, GOLDEN);
    }
    return true;
  }
}
