// The operations of a bench run: which kind, which key, which value. Keys are encoded ahead where they fit in memory,
// values are made once, so that choosing an operation costs next to nothing.
import type { BenchPlan, OperationName } from './plan.js';
import { FastRandom, ZipfRanks } from './random.js';

const KEY_DIGITS = 12;
const PREPARED_KEYS_MAX = 262_144;
const VALUE_POOL = 64;
const DIGIT_ZERO = 48;
/** Spreads the ranks of Zipf's law over the keys: a prime that no number of keys below 2^31 shares a factor with. */
const RANK_SPREAD = 2_147_483_647;

/** Endless operations of one plan, the same for the same seed. */
export class Workload {
  readonly #plan: BenchPlan;
  readonly #random: FastRandom;
  readonly #zipf: ZipfRanks | undefined;
  readonly #prefix: Uint8Array;
  readonly #keys: Uint8Array[] = [];
  readonly #values: Uint8Array[] = [];
  #sequence = 0;
  #valueSequence = 0;

  constructor(plan: BenchPlan) {
    this.#plan = plan;
    this.#random = new FastRandom(plan.seed);
    this.#zipf = plan.distribution === 'zipf' ? new ZipfRanks(plan.keys, this.#random) : undefined;
    this.#prefix = new TextEncoder().encode(plan.keyPrefix);
    if (plan.keys <= PREPARED_KEYS_MAX) {
      for (let index = 0; index < plan.keys; index++) this.#keys.push(this.#encodeKey(index));
    }
    for (let at = 0; at < VALUE_POOL; at++) this.#values.push(this.#random.fill(new Uint8Array(plan.valueBytes)));
  }

  nextOperation(): OperationName {
    const { put } = this.#plan.mix;
    return put === 1 || (put > 0 && this.#random.next() < put) ? 'put' : 'get';
  }

  nextKey(): Uint8Array {
    return this.keyAt(this.#nextIndex());
  }

  nextValue(): Uint8Array {
    return this.#values[this.#valueSequence++ % VALUE_POOL] as Uint8Array;
  }

  /** Key number `index`: the prefix and 12 digits. */
  keyAt(index: number): Uint8Array {
    return this.#keys[index] ?? this.#encodeKey(index);
  }

  #nextIndex(): number {
    const { distribution, keys } = this.#plan;
    if (distribution === 'uniform') return this.#random.int(keys);
    if (this.#zipf !== undefined) return (this.#zipf.next() * RANK_SPREAD) % keys;
    return this.#sequence++ % keys;
  }

  #encodeKey(index: number): Uint8Array {
    const key = new Uint8Array(this.#prefix.length + KEY_DIGITS);
    key.set(this.#prefix);
    let rest = index;
    for (let at = key.length - 1; at >= this.#prefix.length; at--) {
      key[at] = DIGIT_ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    return key;
  }
}
