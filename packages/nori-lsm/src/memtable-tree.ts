// The sorted entries of a memtable: a B+ tree in one block of shared memory. Nothing in it is a JavaScript object, so that
// a worker thread can walk it without a copy. One thread inserts, and only while no other thread reads; a sealed tree is
// immutable. Why a tree, and what it was measured against: docs/adr/0005-memtable-structure.md.
//
// Words are 32 bits; nodes, entries and bytes are taken from the front of the memory in the order of need and never move
// or go. Word 0 stands for "none". The header:
//
//   1 root   2 levels of inner nodes   3 last leaf   4 entries   5 first free word       the first leaf is at word 8
//
//   leaf:   +0 count   +1 skip   +2 next leaf   +3 previous leaf   then columns: high words, low words, entries
//   inner:  +0 count   +1 skip   then columns: high words, low words, entries, and count + 1 children
//   entry:  +0 sequence number, low 32 bits
//           +1 sequence number, high 21 bits << 8 | has expiry << 4 | kind
//           +2 key length   +3 value length   +4 where the key's bytes begin; the value follows the key
//           then, if it has an expiry: low and high word of the time in ms
//
// A column's word pair holds 8 bytes of the key (big-endian, sign bit flipped: signed order is byte order), so that a search
// within a node seldom looks at an entry. Which 8 bytes: those behind the node's `skip` first ones, which all keys of the node
// have in common. The entries of an inner node are copies of references: each is the smallest entry of the child to its right
// when that child was made.
//
// Order: key ascending, then sequence number descending, so that the newest version of a key comes first. A leaf can be
// empty: entries that were taken back leave their nodes behind.
import { copyOut } from 'nori-sstable';
import { compareRange, copyBytes, prefixHigh, prefixLow } from './bytes.js';

/** Entries of a leaf, and separators of an inner node, at most. */
const SLOTS = 64;
const HALF = SLOTS / 2;
const HAS_EXPIRY = 0x10;
const KIND_MASK = 0x0f;
const ENTRY_WORDS = 5;
const TWO_32 = 0x1_0000_0000;

// The header.
const ROOT = 1;
const LEVELS = 2;
const LAST_LEAF = 3;
const COUNT = 4;
const END = 5;
const FIRST_LEAF = 8;

// Nodes.
const SKIP = 1;
const NEXT = 2;
const PREVIOUS = 3;
const LEAF_COLUMNS = 4;
const LEAF_WORDS = LEAF_COLUMNS + 3 * SLOTS;
const INNER_COLUMNS = 2;
const CHILDREN = INNER_COLUMNS + 3 * SLOTS;
const INNER_WORDS = CHILDREN + SLOTS + 1;
/** Levels of inner nodes, at most: more than 2^32 entries need. */
const LEVELS_MAX = 8;

/** Bytes an empty tree uses. */
export const EMPTY_BYTES = (FIRST_LEAF + LEAF_WORDS) * 4;
/**
 * Bytes an entry takes beyond its key and value: its own words, and its share of leaves that are a third full (random
 * inserts leave them two thirds full). An estimate: a tree that runs out of memory asks for more.
 */
export const ENTRY_OVERHEAD = (ENTRY_WORDS + 2) * 4 + 3 + Math.ceil((LEAF_WORDS * 4 * 3) / SLOTS);

/** Gives a larger memory, of at least `needBytes`, to a tree that runs out of it. */
export type Grow = (needBytes: number) => SharedArrayBuffer;

/** A place in a tree: moved by the tree's methods, void once the tree changes (see {@link MemtableTree.changes}). */
export class TreePosition {
  leaf = 0;
  slot = 0;
  /** The entry there; 0: behind the last, or before the first. */
  entry = 0;
}

/** The tree; see the top of the file. */
export class MemtableTree {
  words: Int32Array;
  bytes: Uint8Array;
  #view: DataView | undefined;
  /** Grows with each change of the tree: positions found before it are void. */
  changes = 0;
  #memory: SharedArrayBuffer;
  readonly #grow: Grow;
  /** The inner nodes and slots of the last descent, by level, and the leaf and slot it ended at. */
  readonly #path = new Int32Array(LEVELS_MAX);
  readonly #pathSlots = new Int32Array(LEVELS_MAX);
  #leaf = 0;
  #slot = 0;
  /** Bytes of the key that all of that leaf has in common, if not its `skip`; -1: all of `skip`. */
  #common = -1;
  #lastInserted = 0;
  /** The last insert went behind all entries: the next one is likely to. */
  #isAscending = false;

  private constructor(memory: SharedArrayBuffer, grow: Grow) {
    this.#memory = memory;
    this.#grow = grow;
    this.words = new Int32Array(memory);
    this.bytes = new Uint8Array(memory);
  }

  /** Makes an empty tree; whatever `memory` held is ignored. */
  static create(memory: SharedArrayBuffer, grow: Grow): MemtableTree {
    const tree = new MemtableTree(memory, grow);
    const { words } = tree;
    words.fill(0, 0, FIRST_LEAF + LEAF_COLUMNS);
    words[ROOT] = words[LAST_LEAF] = FIRST_LEAF;
    words[END] = FIRST_LEAF + LEAF_WORDS;
    return tree;
  }

  /** A tree that another thread has filled and sealed: for reading only. */
  static attach(memory: SharedArrayBuffer): MemtableTree {
    return new MemtableTree(memory, () => {
      throw new Error('An attached tree cannot grow.');
    });
  }

  /** The memory the tree is in. */
  get memory(): SharedArrayBuffer {
    return this.#memory;
  }

  /** A view of the memory. */
  get view(): DataView {
    this.#view ??= new DataView(this.#memory);
    return this.#view;
  }

  /** Entries in the tree. */
  get count(): number {
    return this.words[COUNT]!;
  }

  /** Bytes used so far. */
  get usedBytes(): number {
    return this.words[END]! * 4;
  }

  /** Moves the tree to a larger memory; all keep their word numbers. */
  moveTo(memory: SharedArrayBuffer): void {
    const words = new Int32Array(memory);
    words.set(this.words.subarray(0, this.words[END]));
    this.#memory = memory;
    this.words = words;
    this.bytes = new Uint8Array(memory);
    this.#view = undefined;
  }

  /** Copies bytes into the tree's memory, for {@link MemtableTree.insertAt}, and returns where they begin. */
  copyIn(source: Uint8Array, start: number, length: number): number {
    this.#reserve((length + 3) >>> 2);
    const at = this.words[END]! * 4;
    copyBytes(source, start, length, this.bytes, at);
    this.words[END] = (at + length + 3) >>> 2;
    return at;
  }

  /** As {@link MemtableTree.insertAt}, of a key and a value that are not in the tree's memory yet. */
  insert(key: Uint8Array, seq: number, kind: number, expiresAtMs: number, value: Uint8Array): void {
    const keyLength = key.length;
    const valueLength = value.length;
    this.#reserve((keyLength + valueLength + 3) >>> 2);
    const at = this.words[END]! * 4;
    copyBytes(key, 0, keyLength, this.bytes, at);
    copyBytes(value, 0, valueLength, this.bytes, at + keyLength);
    this.words[END] = (at + keyLength + valueLength + 3) >>> 2;
    this.insertAt(at, key, 0, keyLength, seq, kind, expiresAtMs, valueLength);
  }

  /**
   * Inserts an entry whose key, followed by its value, already lies at `dataStart` of the tree's memory; `key` is the same
   * key elsewhere, to search with. No other entry may have both this key and `seq`.
   */
  insertAt(
    dataStart: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    seq: number,
    kind: number,
    expiresAtMs: number,
    valueLength: number,
  ): void {
    this.#reserve(ENTRY_WORDS + 2);
    const { words } = this;
    const entry = words[END]!;
    words[entry] = seq | 0;
    words[entry + 1] = (Math.floor(seq / TWO_32) << 8) | (expiresAtMs === 0 ? 0 : HAS_EXPIRY) | kind;
    words[entry + 2] = keyLength;
    words[entry + 3] = valueLength;
    words[entry + 4] = dataStart;
    let end = entry + ENTRY_WORDS;
    if (expiresAtMs !== 0) {
      words[end++] = expiresAtMs | 0;
      words[end++] = Math.floor(expiresAtMs / TWO_32);
    }
    words[END] = end;
    if (!this.#isAscending || !this.#findEnd(key, keyStart, keyLength)) this.#descend(key, keyStart, keyLength, seq);
    if (words[this.#leaf] === SLOTS) this.#reserve(LEAF_WORDS + (words[LEVELS]! + 1) * INNER_WORDS);
    this.#addToLeaf(entry);
    this.#lastInserted = entry;
    this.words[COUNT] = this.words[COUNT]! + 1;
    this.changes++;
  }

  /** Takes the version `seq` of a key out again, if it is there; its memory stays used. */
  remove(key: Uint8Array, keyStart: number, keyLength: number, seq: number): void {
    this.#descend(key, keyStart, keyLength, seq);
    const { words } = this;
    const place = this.#placeHere();
    if (place.entry === 0 || this.seqOf(place.entry) !== seq) return;
    const { leaf, slot } = place;
    const left = words[leaf]! - 1;
    for (let column = leaf + LEAF_COLUMNS, i = 0; i < 3; i++, column += SLOTS) {
      words.copyWithin(column + slot, column + slot + 1, column + left + 1);
    }
    words[leaf] = left;
    words[COUNT] = words[COUNT]! - 1;
    this.#lastInserted = 0;
    this.changes++;
  }

  /** The newest version of `key` not above `seq`; 0 if there is none. */
  find(key: Uint8Array, seq: number): number {
    if (this.words[COUNT] === 0) return 0;
    this.#descend(key, 0, key.length, seq);
    const { words } = this;
    let leaf = this.#leaf;
    let slot = this.#slot;
    while (slot >= words[leaf]!) {
      leaf = words[leaf + NEXT]!;
      if (leaf === 0) return 0;
      slot = 0;
    }
    const entry = words[leaf + LEAF_COLUMNS + 2 * SLOTS + slot]!;
    return this.keyEquals(entry, key) ? entry : 0;
  }

  /** Moves `position` to the first entry at or after the key and `seq`: the newest version not above `seq`, or a later key. */
  seek(position: TreePosition, key: Uint8Array, keyStart: number, keyLength: number, seq: number): void {
    this.#descend(key, keyStart, keyLength, seq);
    const { leaf, slot, entry } = this.#placeHere();
    position.leaf = leaf;
    position.slot = slot;
    position.entry = entry;
  }

  first(position: TreePosition): void {
    position.leaf = FIRST_LEAF;
    position.slot = -1;
    this.next(position);
  }

  last(position: TreePosition): void {
    position.leaf = this.words[LAST_LEAF]!;
    position.slot = this.words[position.leaf]!;
    this.previous(position);
  }

  next(position: TreePosition): void {
    const { words } = this;
    let { leaf } = position;
    let slot = position.slot + 1;
    while (slot >= words[leaf]!) {
      const next = words[leaf + NEXT]!;
      if (next === 0) {
        position.entry = 0;
        return;
      }
      leaf = next;
      slot = 0;
    }
    position.leaf = leaf;
    position.slot = slot;
    position.entry = words[leaf + LEAF_COLUMNS + 2 * SLOTS + slot]!;
  }

  previous(position: TreePosition): void {
    const { words } = this;
    let { leaf } = position;
    let slot = position.slot - 1;
    while (slot < 0) {
      leaf = words[leaf + PREVIOUS]!;
      if (leaf === 0) {
        position.entry = 0;
        return;
      }
      slot = words[leaf]! - 1;
    }
    position.leaf = leaf;
    position.slot = slot;
    position.entry = words[leaf + LEAF_COLUMNS + 2 * SLOTS + slot]!;
  }

  seqOf(entry: number): number {
    return (this.words[entry + 1]! >>> 8) * TWO_32 + (this.words[entry]! >>> 0);
  }

  kindOf(entry: number): number {
    return this.words[entry + 1]! & KIND_MASK;
  }

  expiresAtOf(entry: number): number {
    const { words } = this;
    if ((words[entry + 1]! & HAS_EXPIRY) === 0) return 0;
    const at = entry + ENTRY_WORDS;
    return words[at + 1]! * TWO_32 + (words[at]! >>> 0);
  }

  keyLengthOf(entry: number): number {
    return this.words[entry + 2]!;
  }

  valueLengthOf(entry: number): number {
    return this.words[entry + 3]!;
  }

  /** Where the key's bytes begin in {@link MemtableTree.bytes}; the value follows the key. */
  keyStartOf(entry: number): number {
    return this.words[entry + 4]!;
  }

  keyEquals(entry: number, key: Uint8Array): boolean {
    const length = this.words[entry + 2]!;
    if (length !== key.length) return false;
    return compareRange(this.bytes, this.words[entry + 4]!, length, key, 0, length, 0) === 0;
  }

  /** Copies the value out of shared memory. */
  copyValue(entry: number): Uint8Array {
    const { words } = this;
    const start = words[entry + 4]! + words[entry + 2]!;
    return copyOut(this.bytes, start, start + words[entry + 3]!);
  }

  /** Where the last descent ended, moved on to the next leaf if it ended behind a leaf's last entry. */
  #placeHere(): TreePosition {
    place.leaf = this.#leaf;
    place.slot = this.#slot - 1;
    this.next(place);
    if (place.entry === 0) place.slot = this.words[place.leaf]!;
    return place;
  }

  /** Makes sure that so many words are free behind the last one used. */
  #reserve(count: number): void {
    const need = (this.words[END]! + count) * 4;
    if (need > this.#memory.byteLength) this.moveTo(this.#grow(need));
  }

  /** If the key belongs behind all entries, makes that the place of the last descent. */
  #findEnd(key: Uint8Array, keyStart: number, keyLength: number): boolean {
    const { words } = this;
    const leaf = words[LAST_LEAF]!;
    const count = words[leaf]!;
    if (count === 0) return false;
    const last = words[leaf + LEAF_COLUMNS + 2 * SLOTS + count - 1]!;
    const length = words[last + 2]!;
    if (compareRange(this.bytes, words[last + 4]!, length, key, keyStart, keyLength, 0) >= 0) return false;
    let node = words[ROOT]!;
    for (let level = words[LEVELS]! - 1; level >= 0; level--) {
      this.#path[level] = node;
      this.#pathSlots[level] = words[node]!;
      node = words[node + CHILDREN + words[node]!]!;
    }
    this.#leaf = leaf;
    this.#slot = count;
    const skip = words[leaf + SKIP]!;
    const order =
      skip === 0 ? 0 : this.#comparePrefix(words[leaf + LEAF_COLUMNS + 2 * SLOTS]!, key, keyStart, keyLength, 0, skip);
    if (order === 0) this.#common = -1;
    return true;
  }

  /** Finds the leaf and slot of the first entry at or after the key and `seq`; the slot may be behind the leaf's last one. */
  #descend(key: Uint8Array, keyStart: number, keyLength: number, seq: number): void {
    const { words } = this;
    let node = words[ROOT]!;
    // Bytes of the key known to begin every key below the node; where the prefix words were taken.
    let matched = 0;
    let taken = -1;
    let high = 0;
    let low = 0;
    for (let level = words[LEVELS]!; ; level--) {
      const columns = node + (level > 0 ? INNER_COLUMNS : LEAF_COLUMNS);
      const count = words[node]!;
      const skip = words[node + SKIP]!;
      this.#common = -1;
      let order = 0;
      if (skip > matched) {
        order = this.#comparePrefix(words[columns + 2 * SLOTS]!, key, keyStart, keyLength, matched, skip);
      }
      let slot = order < 0 ? 0 : count;
      if (order === 0) {
        if (taken !== skip) {
          taken = skip;
          high = prefixHigh(key, keyStart + skip, keyLength - skip);
          low = prefixLow(key, keyStart + skip, keyLength - skip);
        }
        slot = this.#search(columns, count, key, keyStart, keyLength, seq, skip, high, low);
        if (skip > matched && slot > 0 && slot < count) matched = skip;
      }
      if (level === 0) {
        this.#leaf = node;
        this.#slot = slot;
        return;
      }
      this.#path[level - 1] = node;
      this.#pathSlots[level - 1] = slot;
      node = words[node + CHILDREN + slot]!;
    }
  }

  /** The first slot whose entry is at or after the key, all of whose first `skip` bytes are those of the node, and `seq`. */
  #search(
    columns: number,
    count: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    seq: number,
    skip: number,
    high: number,
    low: number,
  ): number {
    const { words } = this;
    let from = 0;
    let to = count;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const slotHigh = words[columns + middle]!;
      if (slotHigh !== high) {
        if (slotHigh < high) from = middle + 1;
        else to = middle;
        continue;
      }
      const slotLow = words[columns + SLOTS + middle]!;
      if (slotLow !== low) {
        if (slotLow < low) from = middle + 1;
        else to = middle;
        continue;
      }
      const entry = words[columns + 2 * SLOTS + middle]!;
      const order = this.#compareEntry(entry, key, keyStart, keyLength, seq, skip + 8);
      if (order < 0) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** Order of an entry and (key, `seq`) whose first `from` bytes, as far as they have them, are equal. */
  #compareEntry(
    entry: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    seq: number,
    from: number,
  ): number {
    const { words } = this;
    const length = words[entry + 2]!;
    const order =
      length <= from || keyLength <= from
        ? length - keyLength
        : compareRange(this.bytes, words[entry + 4]!, length, key, keyStart, keyLength, from);
    return order !== 0 ? order : seq - this.seqOf(entry);
  }

  /** Order of the key and the first `skip` bytes of an entry's key, `from` of which are known equal; notes how many are. */
  #comparePrefix(
    entry: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    from: number,
    skip: number,
  ): number {
    const { bytes } = this;
    const start = this.words[entry + 4]!;
    const common = keyLength < skip ? keyLength : skip;
    let at = from;
    while (at < common && bytes[start + at] === key[keyStart + at]) at++;
    if (at === skip) return 0;
    this.#common = at;
    return at === keyLength ? -1 : key[keyStart + at]! - bytes[start + at]!;
  }

  /** Puts an entry where the last descent ended. */
  #addToLeaf(entry: number): void {
    const { words } = this;
    let leaf = this.#leaf;
    let slot = this.#slot;
    if (this.#common >= 0) this.#takeWords(leaf, leaf + LEAF_COLUMNS, this.#common);
    const count = words[leaf]!;
    this.#isAscending = slot === count && leaf === words[LAST_LEAF];
    if (count < SLOTS) {
      this.#putIn(leaf, leaf + LEAF_COLUMNS, slot, entry);
      return;
    }
    const right = this.#newNode(LEAF_WORDS, words[leaf + SKIP]!);
    // Ascending inserts leave full leaves behind.
    const isRun =
      slot === count &&
      (this.#isAscending || words[leaf + LEAF_COLUMNS + 2 * SLOTS + count - 1] === this.#lastInserted);
    const middle = isRun ? SLOTS : HALF;
    this.#moveColumns(leaf, leaf + LEAF_COLUMNS, middle, right, right + LEAF_COLUMNS);
    this.#link(leaf, right);
    const left = leaf;
    if (slot > middle || isRun) {
      leaf = right;
      slot -= middle;
    }
    this.#putIn(leaf, leaf + LEAF_COLUMNS, slot, entry);
    this.#chooseSkip(left, left + LEAF_COLUMNS);
    this.#chooseSkip(right, right + LEAF_COLUMNS);
    this.#addToParent(words[right + LEAF_COLUMNS + 2 * SLOTS]!, left, right);
  }

  /** Links a new child to the right of the one the last descent went through, all the way up as nodes overflow. */
  #addToParent(separator: number, left: number, right: number): void {
    const { words } = this;
    const levels = words[LEVELS]!;
    let entry = separator;
    let child = right;
    for (let level = 0; level < levels; level++) {
      let node = this.#path[level]!;
      let slot = this.#pathSlots[level]!;
      if (words[node]! < SLOTS) {
        this.#putChild(node, slot, entry, child);
        return;
      }
      const next = this.#newNode(INNER_WORDS, words[node + SKIP]!);
      if (slot === SLOTS) {
        words[next + SKIP] = 0;
        words[next + CHILDREN] = child;
      } else {
        // The separator in the middle moves up.
        const risen = words[node + INNER_COLUMNS + 2 * SLOTS + HALF]!;
        this.#moveColumns(node, node + INNER_COLUMNS, HALF + 1, next, next + INNER_COLUMNS);
        words.copyWithin(next + CHILDREN, node + CHILDREN + HALF + 1, node + CHILDREN + SLOTS + 1);
        words[node] = HALF;
        const full = node;
        if (slot > HALF) {
          node = next;
          slot -= HALF + 1;
        }
        this.#putChild(node, slot, entry, child);
        this.#chooseSkip(full, full + INNER_COLUMNS);
        this.#chooseSkip(next, next + INNER_COLUMNS);
        entry = risen;
      }
      child = next;
    }
    const root = this.#newNode(INNER_WORDS, 0);
    words[root + CHILDREN] = levels === 0 ? left : words[ROOT]!;
    words[ROOT] = root;
    words[LEVELS] = levels + 1;
    this.#putChild(root, 0, entry, child);
  }

  #putChild(node: number, slot: number, entry: number, child: number): void {
    const { words } = this;
    const columns = node + INNER_COLUMNS;
    const count = words[node]!;
    const skip = words[node + SKIP]!;
    if (skip > 0) {
      const start = words[entry + 4]!;
      const order = this.#comparePrefix(words[columns + 2 * SLOTS]!, this.bytes, start, words[entry + 2]!, 0, skip);
      if (order !== 0) this.#takeWords(node, columns, this.#common);
    }
    this.#putIn(node, columns, slot, entry);
    words.copyWithin(node + CHILDREN + slot + 2, node + CHILDREN + slot + 1, node + CHILDREN + count + 1);
    words[node + CHILDREN + slot + 1] = child;
    if (count >= 3 && (count & (count + 1)) === 0) this.#chooseSkip(node, columns);
  }

  /** Puts an entry into the columns of a node that has room. */
  #putIn(node: number, columns: number, slot: number, entry: number): void {
    const { words } = this;
    const count = words[node]!;
    const skip = words[node + SKIP]!;
    const lows = columns + SLOTS;
    const entries = lows + SLOTS;
    for (let i = count; i > slot; i--) {
      words[columns + i] = words[columns + i - 1]!;
      words[lows + i] = words[lows + i - 1]!;
      words[entries + i] = words[entries + i - 1]!;
    }
    const start = words[entry + 4]! + skip;
    const length = words[entry + 2]! - skip;
    words[columns + slot] = prefixHigh(this.bytes, start, length);
    words[lows + slot] = prefixLow(this.bytes, start, length);
    words[entries + slot] = entry;
    words[node] = count + 1;
  }

  /** Moves the slots of a full node from `from` on to an empty one. */
  #moveColumns(node: number, columns: number, from: number, right: number, rightColumns: number): void {
    const { words } = this;
    for (let column = 0; column < 3 * SLOTS; column += SLOTS) {
      words.copyWithin(rightColumns + column, columns + column + from, columns + column + SLOTS);
    }
    words[right] = SLOTS - from;
    words[node] = from;
  }

  #link(left: number, right: number): void {
    const { words } = this;
    const next = words[left + NEXT]!;
    words[right + NEXT] = next;
    words[right + PREVIOUS] = left;
    words[left + NEXT] = right;
    if (next === 0) words[LAST_LEAF] = right;
    else words[next + PREVIOUS] = right;
  }

  #newNode(size: number, skip: number): number {
    const { words } = this;
    const node = words[END]!;
    words[END] = node + size;
    words[node] = 0;
    words[node + SKIP] = skip;
    return node;
  }

  /** Skips what all keys of a node have in common, if its words do not tell many of them apart. */
  #chooseSkip(node: number, columns: number): void {
    const { words } = this;
    const last = words[node]! - 1;
    if (last < 1 || words[columns] !== words[columns + last]) return;
    const lows = columns + SLOTS;
    let alike = 0;
    for (let i = 0; i < last; i++) {
      if (words[lows + i] === words[lows + i + 1] && words[columns + i] === words[columns + i + 1]) alike++;
    }
    if (alike * 8 <= last) return;
    const one = words[lows + SLOTS]!;
    const other = words[lows + SLOTS + last]!;
    const common = Math.min(words[one + 2]!, words[other + 2]!);
    const { bytes } = this;
    const oneStart = words[one + 4]!;
    const otherStart = words[other + 4]!;
    let skip = words[node + SKIP]!;
    const before = skip;
    while (skip < common && bytes[oneStart + skip] === bytes[otherStart + skip]) skip++;
    if (skip > before) this.#takeWords(node, columns, skip);
  }

  /** Takes the words of a node's keys from behind their first `skip` bytes. */
  #takeWords(node: number, columns: number, skip: number): void {
    const { words, bytes } = this;
    words[node + SKIP] = skip;
    for (let i = 0; i < words[node]!; i++) {
      const entry = words[columns + 2 * SLOTS + i]!;
      const start = words[entry + 4]! + skip;
      const length = words[entry + 2]! - skip;
      words[columns + i] = prefixHigh(bytes, start, length);
      words[columns + SLOTS + i] = prefixLow(bytes, start, length);
    }
  }
}

/** Reused: methods do not call each other while they use it. */
const place = new TreePosition();
