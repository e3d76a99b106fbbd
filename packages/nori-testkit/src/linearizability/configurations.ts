// A set of integers-only records, kept in flat arrays: where a search has been. Compared exactly; the hash only finds
// candidates.
//
// Record: next record in its bucket, then `headWords` words that must be equal, then `tailWords` words that are a bit set.

/** Remembers configurations of a search and says which need no visit. */
export class ConfigurationSet {
  readonly #headWords: number;
  readonly #tailWords: number;
  readonly #recordWords: number;
  /** First record of each bucket, as offset + 1; 0: none. */
  #buckets = new Int32Array(1024);
  #records = new Int32Array(8192);
  #size = 0;

  constructor(headWords: number, tailWords: number) {
    this.#headWords = headWords;
    this.#tailWords = tailWords;
    this.#recordWords = 1 + headWords + tailWords;
  }

  /**
   * Adds the configuration at `at` of `words`, unless one is there with the same head and a bit set that is contained in
   * this one's.
   * @returns whether it was added
   */
  add(words: Int32Array, at: number): boolean {
    const bucket = this.#hash(words, at) & (this.#buckets.length - 1);
    for (let record = this.#buckets[bucket]!; record !== 0; record = this.#records[record - 1]!) {
      if (this.#covers(record, words, at)) return false;
    }
    const offset = this.#size * this.#recordWords;
    if (offset + this.#recordWords > this.#records.length) this.#growRecords();
    this.#records[offset] = this.#buckets[bucket]!;
    this.#records.set(words.subarray(at, at + this.#headWords + this.#tailWords), offset + 1);
    this.#buckets[bucket] = offset + 1;
    this.#size++;
    if (this.#size > this.#buckets.length) this.#growBuckets();
    return true;
  }

  #hash(words: Int32Array, at: number): number {
    let hash = 0;
    for (let i = 0; i < this.#headWords; i++) {
      hash = Math.imul(hash ^ words[at + i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  /** `record` is its offset + 1, which is where its head begins. */
  #covers(record: number, words: Int32Array, at: number): boolean {
    const records = this.#records;
    for (let i = 0; i < this.#headWords; i++) {
      if (records[record + i] !== words[at + i]) return false;
    }
    const tail = this.#headWords;
    for (let i = tail; i < tail + this.#tailWords; i++) {
      if ((records[record + i]! & ~words[at + i]!) !== 0) return false;
    }
    return true;
  }

  #growRecords(): void {
    const grown = new Int32Array(this.#records.length * 2);
    grown.set(this.#records);
    this.#records = grown;
  }

  #growBuckets(): void {
    const buckets = new Int32Array(this.#buckets.length * 4);
    for (let i = 0; i < this.#size; i++) {
      const offset = i * this.#recordWords;
      const bucket = this.#hash(this.#records, offset + 1) & (buckets.length - 1);
      this.#records[offset] = buckets[bucket]!;
      buckets[bucket] = offset + 1;
    }
    this.#buckets = buckets;
  }
}
