// A memtable as a source. The memtable may grow, and take entries, while the source stands in it: it then finds its place
// again by the entry it stands on.
import { prefixHigh, prefixLow } from './bytes.js';
import { type MemtableTree, TreePosition } from './memtable-tree.js';
import type { Source } from './source.js';

const NO_BYTES = new Uint8Array(0);

/** {@link Source} over the entries of a memtable. */
export class MemtableSource implements Source {
  valid = false;
  high = 0;
  low = 0;
  keyBytes: Uint8Array = NO_BYTES;
  keyStart = 0;
  keyLength = 0;
  seq = 0;
  kind = 0;
  readonly #entries: MemtableTree;
  readonly #position = new TreePosition();
  /** The tree's count of changes when the position was found. */
  #changes = 0;

  constructor(entries: MemtableTree) {
    this.#entries = entries;
  }

  /** It takes entries while it is read. */
  readonly newestSeq = Number.POSITIVE_INFINITY;

  get expiresAtMs(): number {
    return this.#entries.expiresAtOf(this.#position.entry);
  }

  value(): Uint8Array {
    return this.#entries.copyValue(this.#position.entry);
  }

  get valueMemory(): DataView {
    return this.#entries.view;
  }

  get valueStart(): number {
    return this.keyStart + this.keyLength;
  }

  get valueLength(): number {
    return this.#entries.valueLengthOf(this.#position.entry);
  }

  seek(key: Uint8Array, seq: number): void {
    this.#entries.seek(this.#position, key, 0, key.length, seq);
    this.#stand();
  }

  first(): void {
    this.#entries.first(this.#position);
    this.#stand();
  }

  last(): void {
    this.#entries.last(this.#position);
    this.#stand();
  }

  next(): void {
    const { entry } = this.#position;
    if (this.#changes !== this.#entries.changes) this.#findAgain();
    // If the entry was taken out meanwhile, the position is already on the one behind it.
    if (this.#position.entry === entry) this.#entries.next(this.#position);
    this.#stand();
  }

  previous(): void {
    if (this.#changes !== this.#entries.changes) this.#findAgain();
    this.#entries.previous(this.#position);
    this.#stand();
  }

  #findAgain(): void {
    this.#entries.seek(this.#position, this.keyBytes, this.keyStart, this.keyLength, this.seq);
  }

  #stand(): void {
    const entries = this.#entries;
    const { entry } = this.#position;
    this.#changes = entries.changes;
    this.valid = entry !== 0;
    if (entry === 0) return;
    this.keyBytes = entries.bytes;
    this.keyStart = entries.keyStartOf(entry);
    this.keyLength = entries.keyLengthOf(entry);
    this.high = prefixHigh(this.keyBytes, this.keyStart, this.keyLength);
    this.low = prefixLow(this.keyBytes, this.keyStart, this.keyLength);
    this.seq = entries.seqOf(entry);
    this.kind = entries.kindOf(entry);
  }
}
