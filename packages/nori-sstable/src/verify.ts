// The full check of a table: every block is read from the file, and everything that one part says about another is compared.
import { compareKeys } from './compare.js';
import { corruptBlock, type DataBlock, EntryView, parseEntry } from './data-block.js';
import { SSTableError } from './errors.js';
import { BLOCK_TRAILER_BYTES, KIND_TOMBSTONE } from './format.js';
import { hashKey, KeyHash } from './key-hash.js';
import type { TableFile } from './table-file.js';
import type { TableProperties } from './types.js';

/** What a successful check has seen. */
export interface TableVerification {
  readonly entries: number;
  readonly blocks: number;
  readonly bytes: number;
}

type Counts = Omit<
  TableProperties,
  'fileBytes' | 'level' | 'blockBytes' | 'restartInterval' | 'bloomBitsPerKey' | 'extra' | 'dataBytes'
>;
type MutableCounts = { -readonly [Name in keyof Counts]: Counts[Name] };

/** @throws SSTableError of the first damage found; the reason of `signal` when it aborts */
export async function verifyTable(table: TableFile, signal?: AbortSignal): Promise<TableVerification> {
  const { index } = table;
  const check = new TableCheck(table);
  for (let i = 0; i < index.count; i++) {
    signal?.throwIfAborted();
    const bytes = await table.read(index.offset(i), new Uint8Array(index.size(i) + BLOCK_TRAILER_BYTES));
    check.block(i, table.decodeBlock(i, bytes));
  }
  check.finish();
  const { entries, fileBytes } = table.contents.properties;
  return { entries, blocks: index.count, bytes: fileBytes };
}

class TableCheck {
  readonly #table: TableFile;
  readonly #entry = new EntryView();
  readonly #hash = new KeyHash();
  readonly #counts: MutableCounts = {
    entries: 0,
    keys: 0,
    tombstones: 0,
    expiring: 0,
    smallestKey: new Uint8Array(0),
    largestKey: new Uint8Array(0),
    smallestSeq: 0,
    largestSeq: 0,
    earliestExpiryMs: 0,
    latestExpiryMs: 0,
    keyBytes: 0,
    valueBytes: 0,
    dataBlocks: 0,
  };
  #key = new Uint8Array(0);
  #seq = 0;

  constructor(table: TableFile) {
    this.#table = table;
  }

  block(i: number, block: DataBlock): void {
    const entry = this.#entry;
    let restart = 0;
    for (let offset = 0; offset < block.entriesEnd; offset = entry.end) {
      parseEntry(block, offset, entry);
      const isRestart = restart < block.restartCount && block.restart(restart) === offset;
      if (isRestart) restart++;
      this.#entryAt(block, offset, isRestart);
      if (offset === 0 && i > 0 && !this.#isAfterSeparator(i - 1)) throw this.#corruptIndex(i - 1);
    }
    if (restart !== block.restartCount) throw corrupt(block, 'a restart point is not at an entry');
    if (this.#isAfterSeparator(i)) throw this.#corruptIndex(i);
    this.#counts.dataBlocks++;
  }

  finish(): void {
    const { properties, footer } = this.#table.contents;
    const counts = this.#counts;
    counts.largestKey = this.#key;
    for (const name of Object.keys(counts) as (keyof Counts)[]) {
      const found = counts[name];
      const stated = properties[name];
      const isEqual =
        typeof found === 'number' || typeof stated === 'number' ? found === stated : compareKeys(found, stated) === 0;
      if (isEqual) continue;
      const message = `The properties block is damaged: ${name} does not agree with the entries. Restore the table from a copy`;
      const place = { file: this.#table.path, offset: footer.properties.offset };
      throw new SSTableError('SSTABLE_CORRUPT_PROPERTIES', message, place);
    }
  }

  #entryAt(block: DataBlock, offset: number, isRestart: boolean): void {
    const { shared, unshared, suffixStart, valueStart, end, seq, kind, expiresAtMs } = this.#entry;
    const previous = this.#key;
    if (isRestart ? shared !== 0 : shared > previous.length)
      throw corrupt(block, `the entry at ${offset} shares too much`);
    const key = new Uint8Array(shared + unshared);
    key.set(previous.subarray(0, shared));
    key.set(block.data.subarray(suffixStart, valueStart), shared);
    const isFirst = this.#counts.entries === 0;
    const order = isFirst ? 1 : compareKeys(key, previous);
    if (order < 0 || (order === 0 && seq >= this.#seq)) throw corrupt(block, `the entry at ${offset} is out of order`);
    if (!isRestart && shared < key.length && shared < previous.length && key[shared] === previous[shared]) {
      throw corrupt(block, `the entry at ${offset} shares too little`);
    }
    const isNewKey = isFirst || order !== 0;
    if (isNewKey) this.#checkFilter(key);
    this.#count(key, seq, isNewKey, kind === KIND_TOMBSTONE, expiresAtMs, end - valueStart);
    this.#key = key;
    this.#seq = seq;
  }

  #count(
    key: Uint8Array,
    seq: number,
    isNewKey: boolean,
    isTombstone: boolean,
    expiresAtMs: number,
    valueBytes: number,
  ): void {
    const counts = this.#counts;
    if (counts.entries === 0) counts.smallestKey = key;
    counts.smallestSeq = counts.entries === 0 ? seq : Math.min(counts.smallestSeq, seq);
    counts.largestSeq = Math.max(counts.largestSeq, seq);
    counts.entries++;
    if (isNewKey) counts.keys++;
    if (isTombstone) counts.tombstones++;
    counts.keyBytes += key.length;
    counts.valueBytes += valueBytes;
    if (expiresAtMs === 0) return;
    counts.earliestExpiryMs = counts.expiring === 0 ? expiresAtMs : Math.min(counts.earliestExpiryMs, expiresAtMs);
    counts.latestExpiryMs = Math.max(counts.latestExpiryMs, expiresAtMs);
    counts.expiring++;
  }

  #checkFilter(key: Uint8Array): void {
    const { filter, footer } = this.#table.contents;
    if (!filter || filter.mayContain(hashKey(key, this.#hash))) return;
    const message = 'The filter is damaged: it misses a key of the table. Restore the table from a copy';
    throw new SSTableError('SSTABLE_CORRUPT_FILTER', message, {
      file: this.#table.path,
      offset: footer.filter!.offset,
    });
  }

  // Whether the entry last seen comes after the separator of block `i`.
  #isAfterSeparator(i: number): boolean {
    const { index } = this.#table;
    const order = compareKeys(this.#key, index.separatorKey(i));
    return order > 0 || (order === 0 && this.#seq < index.separatorSeq(i));
  }

  #corruptIndex(i: number): SSTableError {
    const message = `The index is damaged: the separator of data block ${i} is not between its neighbours. Restore the table from a copy`;
    const place = { file: this.#table.path, offset: this.#table.contents.footer.index.offset };
    return new SSTableError('SSTABLE_CORRUPT_INDEX', message, place);
  }
}

function corrupt(block: DataBlock, what: string): SSTableError {
  return corruptBlock(block.file, block.fileOffset, what);
}
