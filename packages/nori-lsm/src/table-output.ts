// Writes a sorted run of entries as one table or several, cutting between keys only: all versions of a key stay together.
//
// A table is ended at the first new key once it is as large as it should be. If the tables are to be merged further down
// later, it is better ended where a table of the level below ends, for then fewer of those overlap it: from 0.8 of
// its size on such a place is taken (a little later if many were passed), and up to 1.5 times its size it is waited for.
// That saves an eighth of all that compactions write.
import type { FileSystem } from 'nori-io';
import { SSTableWriter, type TableProperties } from 'nori-sstable';
import { compareRange, prefixHigh } from './bytes.js';
import { LsmError } from './errors.js';
import { keyspaceOf } from './key-map.js';
import { KIND_PUT, KIND_TOMBSTONE } from './limits.js';
import type { Source } from './source.js';
import { type TableMeta, tableName } from './table-meta.js';
import type { TableSettings } from './task.js';

const NO_VALUE = new Uint8Array(0);
const CUT_FROM = 0.8;
const CUT_STEP = 0.05;
const CUT_FROM_MAX = 0.95;
const WAIT_FOR_CUT = 1.5;
/** First words of keys from here on begin with 0xff, as those of keyspaces do. */
const MAPPED_FROM = 0x7f00_0000;

/** Where and how to write. */
export interface OutputSettings {
  readonly dir: string;
  readonly tables: TableSettings;
  /** Keyspaces that get tables of their own, and the settings of these. Default: none. */
  readonly keyspaces?: readonly (readonly [id: number, tables: TableSettings])[];
  readonly level: number;
  readonly firstNumber: number;
  readonly numbers: number;
  readonly tableBytes: number;
  /** Keys after which a table is best ended, ascending. */
  readonly cuts?: readonly Uint8Array[];
}

/** See the top of the file. Synchronous but for {@link TableOutput.abandon}. */
export class TableOutput {
  readonly #fs: FileSystem;
  readonly #settings: OutputSettings;
  readonly #done: TableMeta[] = [];
  readonly #cuts: readonly Uint8Array[];
  #nextCut = 0;
  /** Prefix word of the next cut: larger than any word if there is none. */
  #cutHigh = 0;
  /** Cuts passed since the table was begun. */
  #cutsPassed = 0;
  #writer: SSTableWriter | undefined;
  #used = 0;
  #doneBytes = 0;
  readonly #keyspaces: ReadonlyMap<number, TableSettings>;
  /** Keyspace of the current key, as far as keyspaces have tables of their own. */
  #keyspace = 0;

  constructor(fs: FileSystem, settings: OutputSettings) {
    this.#fs = fs;
    this.#settings = settings;
    this.#cuts = settings.cuts ?? [];
    this.#keyspaces = new Map(settings.keyspaces);
    this.#showCut();
  }

  /** Bytes written so far, about. */
  get bytes(): number {
    return this.#doneBytes + (this.#writer?.estimatedFileBytes ?? 0);
  }

  /** To be called before the first entry of each key: here a table may end. `high` is the key's first prefix word. */
  beginKey(high: number, keyBytes: Uint8Array, keyStart: number, keyLength: number): void {
    if (this.#keyspaces.size > 0 && high >= MAPPED_FROM) this.#enter(keyspaceOf(keyBytes, keyStart, keyLength));
    let isCut = false;
    while (high >= this.#cutHigh && this.#isPast(high, keyBytes, keyStart, keyLength)) {
      this.#nextCut++;
      this.#showCut();
      this.#cutsPassed++;
      isCut = true;
    }
    const writer = this.#writer;
    if (writer === undefined) {
      this.#cutsPassed = 0;
      return;
    }
    const full = this.#settings.tableBytes;
    const bytes = writer.estimatedFileBytes;
    if (isCut) {
      if (bytes >= full * Math.min(CUT_FROM_MAX, CUT_FROM + CUT_STEP * (this.#cutsPassed - 1))) this.#finishTable();
    } else if (bytes >= full && (bytes >= full * WAIT_FOR_CUT || this.#nextCut === this.#cuts.length)) {
      this.#finishTable();
    }
  }

  /** Adds the entry that `source` stands on, whose key is `key`, behind all before. */
  addPut(key: Uint8Array, source: Source, expiresAtMs: number): void {
    const writer = this.#writer ?? this.#begin();
    writer.addFrom(key, source.seq, KIND_PUT, expiresAtMs, source.valueMemory, source.valueStart, source.valueLength);
  }

  /** As {@link TableOutput.addPut}, with another value. */
  addValue(key: Uint8Array, seq: number, expiresAtMs: number, value: Uint8Array): void {
    const writer = this.#writer ?? this.#begin();
    writer.add(key, seq, KIND_PUT, expiresAtMs, value);
  }

  addTombstone(key: Uint8Array, seq: number): void {
    const writer = this.#writer ?? this.#begin();
    writer.add(key, seq, KIND_TOMBSTONE, 0, NO_VALUE);
  }

  /** Ends the last table and tells of all. */
  finish(): readonly TableMeta[] {
    this.#finishTable();
    return this.#done;
  }

  /** Removes what was written, as far as possible. */
  async abandon(): Promise<void> {
    await this.#writer?.abandon().catch(() => {});
    for (const { number } of this.#done) {
      await this.#fs.unlink(`${this.#settings.dir}/${tableName(number)}`).catch(() => {});
    }
  }

  #enter(of: number): void {
    const keyspace = this.#keyspaces.has(of) ? of : 0;
    if (keyspace === this.#keyspace) return;
    this.#finishTable();
    this.#keyspace = keyspace;
  }

  #showCut(): void {
    const cut = this.#cuts[this.#nextCut];
    this.#cutHigh = cut === undefined ? Number.POSITIVE_INFINITY : prefixHigh(cut, 0, cut.length);
  }

  #isPast(high: number, keyBytes: Uint8Array, keyStart: number, keyLength: number): boolean {
    if (high > this.#cutHigh) return true;
    const cut = this.#cuts[this.#nextCut]!;
    return compareRange(keyBytes, keyStart, keyLength, cut, 0, cut.length, 0) > 0;
  }

  #begin(): SSTableWriter {
    const { dir, tables, level, firstNumber, numbers } = this.#settings;
    if (this.#used === numbers) throw new LsmError('LSM_INTERNAL', 'A compaction ran out of file numbers.');
    const path = `${dir}/${tableName(firstNumber + this.#used)}`;
    this.#writer = SSTableWriter.createSync({
      fs: this.#fs,
      path,
      level,
      ...(this.#keyspaces.get(this.#keyspace) ?? tables),
    });
    this.#used++;
    this.#cutsPassed = 0;
    return this.#writer;
  }

  #finishTable(): void {
    const writer = this.#writer;
    if (writer === undefined) return;
    const properties = writer.finishSync();
    this.#writer = undefined;
    this.#doneBytes += properties.fileBytes;
    this.#done.push(metaOf(this.#settings.firstNumber + this.#used - 1, properties));
  }
}

/** What the manifest is to say about a table that was just written. */
export const metaOf = (number: number, properties: TableProperties): TableMeta => ({
  number,
  fileBytes: properties.fileBytes,
  entries: properties.entries,
  tombstones: properties.tombstones,
  expiring: properties.expiring,
  earliestExpiryMs: properties.earliestExpiryMs,
  shadowed: properties.entries - properties.keys,
  smallestSeq: properties.smallestSeq,
  largestSeq: properties.largestSeq,
  cleanSeq: 0,
  sequence: 0,
  smallestKey: properties.smallestKey,
  largestKey: properties.largestKey,
});
