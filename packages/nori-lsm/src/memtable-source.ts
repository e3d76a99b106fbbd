// A memtable as a source. The memtable may grow, and take entries, while the source stands in it.
import { prefixHigh, prefixLow } from './bytes.js';
import type { SkipList } from './skip-list.js';
import type { Source } from './source.js';

const NO_BYTES = new Uint8Array(0);

/** {@link Source} over a skip list. */
export class MemtableSource implements Source {
  valid = false;
  high = 0;
  low = 0;
  keyBytes: Uint8Array = NO_BYTES;
  keyStart = 0;
  keyLength = 0;
  seq = 0;
  kind = 0;
  readonly #list: SkipList;
  #node = 0;

  constructor(list: SkipList) {
    this.#list = list;
  }

  get expiresAtMs(): number {
    return this.#list.expiresAtOf(this.#node);
  }

  value(): Uint8Array {
    return this.#list.copyValue(this.#node);
  }

  seek(key: Uint8Array, seq: number): void {
    this.#stand(this.#list.seek(key, seq));
  }

  first(): void {
    this.#stand(this.#list.first());
  }

  last(): void {
    this.#stand(this.#list.last());
  }

  next(): void {
    this.#stand(this.#list.next(this.#node));
  }

  previous(): void {
    this.#stand(this.#list.previous(this.#node));
  }

  #stand(node: number): void {
    this.#node = node;
    this.valid = node !== 0;
    if (node === 0) return;
    const list = this.#list;
    this.keyBytes = list.bytes;
    this.keyStart = list.keyStartOf(node);
    this.keyLength = list.keyLengthOf(node);
    this.high = prefixHigh(this.keyBytes, this.keyStart, this.keyLength);
    this.low = prefixLow(this.keyBytes, this.keyStart, this.keyLength);
    this.seq = list.seqOf(node);
    this.kind = list.kindOf(node);
  }
}
