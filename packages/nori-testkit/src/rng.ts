// Seeded randomness: sfc32 (Small Fast Counting, Chris Doty-Humphrey, PractRand), 128 bits of state, 32 bits a step.
// The same seed gives the same numbers on every machine and in every version of this package. Not for secrets.

/** A deterministic source of randomness. */
export class Rng {
  /** The seed it was built from, to print when a test fails. */
  readonly seed: number;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed any integer; its low 53 bits count */
  constructor(seed: number) {
    this.seed = seed;
    this.#a = 0;
    this.#b = seed | 0;
    this.#c = Math.floor(seed / 2 ** 32) | 0;
    // sfc32's own seeding: the first 12 steps mix the seed into all of the state.
    for (let i = 0; i < 12; i++) this.uint32();
  }

  /** The next 32 bits as an integer in [0, 2^32). */
  uint32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A number in [0, 1), with 53 random bits. */
  next(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53;
  }

  /** An integer in [0, n). */
  int(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** An integer in [from, to], both included. */
  range(from: number, to: number): number {
    return from + this.int(to - from + 1);
  }

  /** One of the elements. @throws RangeError when there is none */
  pick<T>(elements: readonly T[]): T {
    if (elements.length === 0) throw new RangeError('Nothing to pick from: the array is empty.');
    return elements[this.int(elements.length)] as T;
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.next() < p;
  }

  /** `n` random bytes. */
  bytes(n: number): Uint8Array {
    const out = new Uint8Array(n);
    let bits = 0;
    for (let i = 0; i < n; i++) {
      if ((i & 3) === 0) bits = this.uint32();
      out[i] = bits;
      bits >>>= 8;
    }
    return out;
  }

  /** The elements in random order, in a new array. */
  shuffle<T>(elements: readonly T[]): T[] {
    const out = [...elements];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }

  /** An independent source seeded from this one, so that one part of a test does not shift the numbers of another. */
  fork(): Rng {
    return new Rng(this.uint32() * 2 ** 21 + (this.uint32() >>> 11));
  }
}
