// The tables of the database and the manifest that lists them: opens tables, changes the list durably, lets go of tables.
import type { FileSystem } from 'nori-io';
import type { Meter } from 'nori-observe';
import { type BlockCache, SSTableReader } from 'nori-sstable';
import { codeOf, LsmError, toLsmError } from './errors.js';
import type { Manifest } from './manifest.js';
import { type ManifestEdit, ManifestState } from './manifest-edit.js';
import { type RangeTombstone, RangeTombstones } from './range-tombstones.js';
import { Table } from './table.js';
import { type TableMeta, tableName } from './table-meta.js';
import { sortLevel, Version } from './version.js';

const OPEN_AT_ONCE = 16;
const INSTALL_AT_ONCE = 2;

/** What a tree needs. */
export interface TreeOptions {
  readonly fs: FileSystem;
  readonly dir: string;
  readonly cache: BlockCache;
  readonly meter: Meter;
  /** Told of a table that is damaged: it stays in the tree, reads that touch it fail. */
  readonly damaged: (error: LsmError) => void;
}

/** See the top of the file. */
export class Tree {
  readonly manifest: Manifest;
  readonly #options: TreeOptions;
  #current: Version = Version.empty();
  /** What the manifest said when the current version came: the manifest itself may be a change ahead. */
  readonly #shown = new ManifestState();
  #rangeSet: RangeTombstones | undefined;
  #nextNumber: number;
  readonly #open = new Map<number, Table>();
  readonly #closing = new Set<Promise<void>>();
  #lastClosing: Promise<void> = Promise.resolve();

  private constructor(manifest: Manifest, options: TreeOptions) {
    this.manifest = manifest;
    this.#options = options;
    this.#nextNumber = manifest.state.nextNumber;
  }

  /**
   * Opens every table that the manifest lists.
   * @throws LsmError `LSM_MISSING_TABLE` if one is not there
   */
  static async open(manifest: Manifest, options: TreeOptions): Promise<Tree> {
    const tree = new Tree(manifest, options);
    try {
      await tree.#openListed();
    } catch (error) {
      for (const table of tree.#open.values()) await table.close();
      throw error;
    }
    return tree;
  }

  /** The newest version; retain it to use it beyond the current turn. */
  get current(): Version {
    return this.#current;
  }

  /** The range tombstones in the manifest, by sequence number. */
  get ranges(): ReadonlyMap<number, RangeTombstone> {
    return this.#shown.ranges;
  }

  /** As {@link Tree.ranges}, for looking up. @param snapshots sequence numbers of the open ones, ascending */
  rangeSet(snapshots: readonly number[]): RangeTombstones {
    // A snapshot that is opened later is newer than all that is in the manifest: it sees the newest of each.
    this.#rangeSet ??= RangeTombstones.of([...this.#shown.ranges.values()], snapshots);
    return this.#rangeSet;
  }

  /** Newest mark of each id. */
  get marks(): ReadonlyMap<number, Uint8Array> {
    return this.#shown.marks;
  }

  /** Every entry, and every range tombstone, up to this sequence number is in the tables and the manifest. */
  get flushedSeq(): number {
    return this.#shown.flushedSeq;
  }

  /** Takes `count` consecutive file numbers and returns the first. */
  allocate(count = 1): number {
    const first = this.#nextNumber;
    this.#nextNumber += count;
    return first;
  }

  /** Gives back numbers, from `number` on, of those that were taken last, if no others were taken since. */
  giveBack(number: number, end: number): void {
    if (this.#nextNumber === end) this.#nextNumber = number;
  }

  /**
   * Makes a change durable, then visible. Added tables must be complete and their data durable; their names are made
   * durable here. If it fails, it may be tried again.
   * @param visible called in the moment in which the change becomes visible
   */
  async install(edit: ManifestEdit, visible?: () => void): Promise<void> {
    const added: { readonly level: number; readonly table: Table }[] = [];
    const tables = edit.added ?? [];
    // A few at a time: decoding what an open table pins takes the thread for a moment, and others want their turn.
    for (let i = 0; i < tables.length; i += INSTALL_AT_ONCE) {
      const some = tables.slice(i, i + INSTALL_AT_ONCE);
      added.push(
        ...(await Promise.all(some.map(async ({ level, meta }) => ({ level, table: await this.#sound(meta) })))),
      );
    }
    if (added.length > 0) await this.#options.fs.syncDir(this.#options.dir);
    await this.manifest.append({ nextNumber: this.#nextNumber, ...edit });
    const before = this.#current;
    this.#current = before.edited(new Set((edit.removed ?? []).map(({ number }) => number)), added);
    if (edit.addedRanges !== undefined || edit.removedRanges !== undefined) this.#rangeSet = undefined;
    this.#shown.apply({ nextNumber: this.#nextNumber, ...edit });
    visible?.();
    before.release();
  }

  /** The one edit that makes a manifest of the current version. */
  manifestEdit(): ManifestEdit {
    return this.#shown.snapshot();
  }

  /** Closes tables; versions still held keep theirs open until they are let go. */
  async close(): Promise<void> {
    this.#current.release();
    await Promise.all(this.#closing);
    await this.manifest.close();
  }

  async #openListed(): Promise<void> {
    const { levels } = this.manifest.state;
    const listed = levels.flatMap((tables) => [...tables.values()]);
    for (let i = 0; i < listed.length; i += OPEN_AT_ONCE) {
      // All of them, even if one fails: those still being opened then could not be closed.
      const opened = await Promise.allSettled(listed.slice(i, i + OPEN_AT_ONCE).map((meta) => this.#table(meta)));
      for (const result of opened) if (result.status === 'rejected') throw result.reason;
    }
    this.#shown.apply(this.manifest.state.snapshot());
    this.#current = new Version(
      levels.map((tables, level) => {
        const opened = [...tables.keys()].map((number) => this.#open.get(number)!);
        sortLevel(level, opened);
        return opened;
      }),
    );
  }

  /** A table that was just written: unlike one found at open, it must not come into the tree if it is damaged. */
  async #sound(meta: TableMeta): Promise<Table> {
    // A table that only changes its level is known.
    const known = this.#open.get(meta.number);
    if (known !== undefined) return known;
    const table = await this.#table(meta);
    try {
      void table.reader;
      return table;
    } catch (error) {
      this.#open.delete(meta.number);
      throw error;
    }
  }

  async #table(meta: TableMeta): Promise<Table> {
    const known = this.#open.get(meta.number);
    if (known !== undefined) return known;
    const table = new Table(meta, await this.#openReader(meta), (unused) => this.#letGo(unused));
    this.#open.set(meta.number, table);
    return table;
  }

  async #openReader(meta: TableMeta): Promise<SSTableReader | LsmError> {
    const { fs, dir, cache, meter, damaged } = this.#options;
    const path = `${dir}/${tableName(meta.number)}`;
    let reader: SSTableReader;
    try {
      reader = await SSTableReader.open({ fs, path, cache, meter });
    } catch (thrown) {
      if (codeOf(thrown) === 'IO_NOT_FOUND') {
        throw new LsmError('LSM_MISSING_TABLE', `${path} is missing. Restore it from a backup.`, {
          file: path,
          cause: thrown,
        });
      }
      const error = toLsmError(thrown, `Cannot open ${path}`);
      if (error.code !== 'LSM_CORRUPT_TABLE') throw error;
      damaged(error);
      return error;
    }
    if (reader.properties.fileBytes === meta.fileBytes && reader.properties.entries === meta.entries) return reader;
    await reader.close();
    const error = new LsmError('LSM_CORRUPT_TABLE', `${path} is not the table that the manifest describes.`, {
      file: path,
      offset: 0,
    });
    damaged(error);
    return error;
  }

  #letGo(table: Table): void {
    const { fs, dir } = this.#options;
    const { number } = table.meta;
    this.#open.delete(number);
    // At close tables go out of use but stay in the database.
    const isObsolete = !this.manifest.state.levels.some((tables) => tables.has(number));
    // One after the other: removing many large files at once would hold up the log's writes, which share the thread pool.
    const closing = this.#lastClosing
      .then(() => table.close())
      .then(() => (isObsolete ? fs.unlink(`${dir}/${tableName(number)}`) : undefined))
      .catch(() => {
        // An obsolete table that could not be removed now is removed when the database is next opened.
      })
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    this.#lastClosing = closing;
  }
}
