// The full check of a table: every block is read from the file, and everything that one part says about another is compared.
import { compareKeys } from './compare.js';
import { corruptBlock, type DataBlock, EntryView, parseEntry } from './data-block.js';
import { SSTableError } from './errors.js';
import { KIND_TOMBSTONE } from './format.js';
import type { IndexBlock } from './index-block.js';
import { hashKey, KeyHash } from './key-hash.js';
import { storedBytes, type TableFile } from './table-file.js';
import type { TableProperties } from './types.js';

/** What a successful check has seen. */
export interface TableVerification {
  readonly entries: number;
  readonly blocks: number;
  readonly bytes: number;
}

type Counts = Omit<
  TableProperties,
  'fileBytes' | 'level' | 'blockBytes' | 'restartInterval' | 'bloomBitsPerKey' | 'compression' | 'extra' | 'dataBytes'
>;
type MutableCounts = { -readonly [Name in keyof Counts]: Counts[Name] };

/** @throws SSTableError of the first damage found; the reason of `signal` when it aborts */
export async function verifyTable(table: TableFile, signal?: AbortSignal): Promise<TableVerification> {
  const check = new TableCheck(table);
  for (let p = 0; p < table.partCount; p++) {
    const part = await readPart(table, p);
    check.part(p, part);
    for (let i = 0; i < part.count; i++) {
      signal?.throwIfAborted();
      const bytes = await table.read(part.offset(i), new Uint8Array(storedBytes(part, i)));
      check.block(i, table.decodeBlock(part, i, bytes));
    }
  }
  check.finish();
  const { entries, dataBlocks, fileBytes } = table.contents.properties;
  return { entries, blocks: dataBlocks, bytes: fileBytes };
}

async function readPart(table: TableFile, p: number): Promise<IndexBlock> {
  const { footer, index } = table.contents;
  if (!footer.hasTwoLevelIndex) return index;
  return table.decodePartition(p, await table.read(index.offset(p), new Uint8Array(storedBytes(index, p))));
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
  #part: IndexBlock | undefined;
  #partNumber = 0;
  /** Where the data blocks of the parts so far end. */
  #dataEnd = 0;
  #separatorKey: Uint8Array = new Uint8Array(0);
  #separatorSeq = 0;

  constructor(table: TableFile) {
    this.#table = table;
  }

  /** Goes on to part `p` of the index. */
  part(p: number, part: IndexBlock): void {
    if (part.count > 0 && part.offset(0) !== this.#dataEnd) throw this.#corruptIndex('is followed by a gap');
    this.#partNumber = p;
    this.#part = part;
    this.#dataEnd = part.offset(part.count);
  }

  /** Checks data block `i` of the part. */
  block(i: number, block: DataBlock): void {
    const entry = this.#entry;
    let restart = 0;
    for (let offset = block.start; offset < block.entriesEnd; offset = entry.end) {
      parseEntry(block, offset, entry);
      const isRestart = restart < block.restartCount && block.restart(restart) === offset;
      if (isRestart) restart++;
      this.#entryAt(block, offset, isRestart);
      if (offset === block.start && this.#counts.dataBlocks > 0 && !this.#isAfterSeparator()) {
        throw this.#corruptIndex(`is not before data block ${this.#counts.dataBlocks}`);
      }
    }
    if (restart !== block.restartCount) throw corrupt(block, 'a restart point is not at an entry');
    this.#separatorKey = this.#part!.separatorKey(i);
    this.#separatorSeq = this.#part!.separatorSeq(i);
    if (this.#isAfterSeparator())
      throw this.#corruptIndex(`is before the end of data block ${this.#counts.dataBlocks}`);
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
      throw corrupt(block, `the entry at ${offset - block.start} shares too much`);
    const key = new Uint8Array(shared + unshared);
    key.set(previous.subarray(0, shared));
    key.set(block.data.subarray(suffixStart, valueStart), shared);
    const isFirst = this.#counts.entries === 0;
    const order = isFirst ? 1 : compareKeys(key, previous);
    if (order < 0 || (order === 0 && seq >= this.#seq))
      throw corrupt(block, `the entry at ${offset - block.start} is out of order`);
    if (!isRestart && shared < key.length && shared < previous.length && key[shared] === previous[shared]) {
      throw corrupt(block, `the entry at ${offset - block.start} shares too little`);
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

  // Whether the entry last seen comes after the separator last seen.
  #isAfterSeparator(): boolean {
    const order = compareKeys(this.#key, this.#separatorKey);
    return order > 0 || (order === 0 && this.#seq < this.#separatorSeq);
  }

  #corruptIndex(problem: string): SSTableError {
    const { footer, index } = this.#table.contents;
    const message = `The index is damaged: a separator ${problem}. Restore the table from a copy`;
    const offset = footer.hasTwoLevelIndex ? index.offset(this.#partNumber) : footer.index.offset;
    return new SSTableError('SSTABLE_CORRUPT_INDEX', message, { file: this.#table.path, offset });
  }
}

function corrupt(block: DataBlock, what: string): SSTableError {
  return corruptBlock(block.file, block.fileOffset, what);
}
