// Random choices of a bench run: seeded and cheap, since one is made for every operation.

const TWO_32 = 0x1_0000_0000;
const ZIPF_THETA = 0.99;

/** A 32-bit generator (xorshift of Marsaglia, 13/17/5) seeded through a multiplicative hash. */
export class FastRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed + 0x9e37_79b9, 0x85eb_ca6b) | 0 || 1;
  }

  /** A number in [0, 1). */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) / TWO_32;
  }

  /** A whole number in [0, n). */
  int(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** Fills with random bytes. */
  fill(bytes: Uint8Array): Uint8Array {
    for (let at = 0; at < bytes.length; at++) bytes[at] = this.next() * 256;
    return bytes;
  }
}

/**
 * Ranks by Zipf's law, 0 the most frequent (Gray et al., "Quickly generating billion-record synthetic databases", as in
 * YCSB). Construction takes time linear in `n`.
 */
export class ZipfRanks {
  readonly #n: number;
  readonly #random: FastRandom;
  readonly #zeta: number;
  readonly #eta: number;

  constructor(n: number, random: FastRandom) {
    this.#n = n;
    this.#random = random;
    let zeta = 0;
    for (let rank = 1; rank <= n; rank++) zeta += rank ** -ZIPF_THETA;
    const zetaOfTwo = 1 + 2 ** -ZIPF_THETA;
    this.#zeta = zeta;
    this.#eta = (1 - (2 / n) ** (1 - ZIPF_THETA)) / (1 - zetaOfTwo / zeta);
  }

  next(): number {
    const u = this.#random.next();
    const scaled = u * this.#zeta;
    if (scaled < 1 || this.#n < 2) return 0;
    if (scaled < 1 + 0.5 ** ZIPF_THETA || this.#n < 3) return 1;
    return Math.min(this.#n - 1, Math.floor(this.#n * (this.#eta * u - this.#eta + 1) ** (1 / (1 - ZIPF_THETA))));
  }
}
