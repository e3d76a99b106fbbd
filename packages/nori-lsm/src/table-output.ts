// Writes a sorted run of entries as one table or several, cutting between keys only: all versions of a key stay together.
import type { FileSystem } from 'nori-io';
import { SSTableWriter, type TableProperties } from 'nori-sstable';
import { LsmError } from './errors.js';
import type { EntryKind } from './limits.js';
import { type TableMeta, tableName } from './table-meta.js';
import type { TableSettings } from './task.js';

/** Where and how to write. */
export interface OutputSettings {
  readonly dir: string;
  readonly tables: TableSettings;
  readonly level: number;
  readonly firstNumber: number;
  readonly numbers: number;
  /** A table is ended at the first new key once it is this large. */
  readonly tableBytes: number;
}

/** See the top of the file. Synchronous but for {@link TableOutput.abandon}. */
export class TableOutput {
  readonly #fs: FileSystem;
  readonly #settings: OutputSettings;
  readonly #done: TableMeta[] = [];
  #writer: SSTableWriter | undefined;
  #used = 0;

  constructor(fs: FileSystem, settings: OutputSettings) {
    this.#fs = fs;
    this.#settings = settings;
  }

  /** Adds an entry behind all before. `mayCut`: its key differs from that of the entry added last. */
  add(key: Uint8Array, seq: number, kind: EntryKind, expiresAtMs: number, value: Uint8Array, mayCut: boolean): void {
    if (mayCut && this.#writer !== undefined && this.#writer.estimatedFileBytes >= this.#settings.tableBytes) {
      this.#finishTable();
    }
    const writer = this.#writer ?? this.#begin();
    writer.add(key, seq, kind, expiresAtMs, value);
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

  #begin(): SSTableWriter {
    const { dir, tables, level, firstNumber, numbers } = this.#settings;
    if (this.#used === numbers) throw new LsmError('LSM_INTERNAL', 'A compaction ran out of file numbers.');
    const path = `${dir}/${tableName(firstNumber + this.#used)}`;
    this.#writer = SSTableWriter.createSync({ fs: this.#fs, path, level, ...tables });
    this.#used++;
    return this.#writer;
  }

  #finishTable(): void {
    const writer = this.#writer;
    if (writer === undefined) return;
    const properties = writer.finishSync();
    this.#writer = undefined;
    this.#done.push(metaOf(this.#settings.firstNumber + this.#used - 1, properties));
  }
}

const metaOf = (number: number, properties: TableProperties): TableMeta => ({
  number,
  fileBytes: properties.fileBytes,
  entries: properties.entries,
  tombstones: properties.tombstones,
  expiring: properties.expiring,
  earliestExpiryMs: properties.earliestExpiryMs,
  shadowed: properties.entries - properties.keys,
  smallestSeq: properties.smallestSeq,
  largestSeq: properties.largestSeq,
  smallestKey: properties.smallestKey,
  largestKey: properties.largestKey,
});
