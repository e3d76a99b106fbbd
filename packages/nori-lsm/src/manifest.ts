// The log of the tree's changes. One change at a time: append, data sync, acknowledgement record, then it counts. When the
// file has grown large, or a write to it failed, the next change goes into a new file as part of the whole state, and
// CURRENT is switched. A file whose sync failed is never synced again: what the system then believes is unknown.
import type { File, FileSystem } from 'nori-io';
import { manifestName, prepareCurrent, readWhole, switchCurrent } from './directory.js';
import { codeOf, LsmError } from './errors.js';
import { decodeEdit, encodeEdit } from './manifest-codec.js';
import { type ManifestEdit, ManifestState } from './manifest-edit.js';
import {
  encodeFileHeader,
  encodeRecord,
  FILE_HEADER_BYTES,
  type ManifestScan,
  RECORD,
  scanManifest,
  scanRecords,
} from './manifest-records.js';

const REWRITE_BYTES_MIN = 1024 * 1024;
const REWRITE_RATIO = 4;

/** The open manifest; one user at a time. */
export class Manifest {
  readonly state: ManifestState;
  readonly #fs: FileSystem;
  readonly #dir: string;
  #number: number;
  /** Largest number tried so far: a file that CURRENT might name is never touched again. */
  #lastTried: number;
  #file: File | undefined;
  #end = 0;
  /** Size of the file when it was begun. */
  #firstBytes = 0;
  #mustRewrite = false;
  /** Files that CURRENT named once or may name after a failed switch; they go when the next switch is durable. */
  readonly #obsolete: number[] = [];
  /** Tables that records of a manifest that is not settled have removed. */
  readonly #removed = new Set<number>();
  #queue: Promise<void> = Promise.resolve();

  private constructor(fs: FileSystem, dir: string, number: number, state: ManifestState) {
    this.#fs = fs;
    this.#dir = dir;
    this.#number = this.#lastTried = number;
    this.state = state;
  }

  /** Creates the first manifest of a database; or, for a repair, one in the place of manifest `before`, the newest there is. */
  static async create(fs: FileSystem, dir: string, edit: ManifestEdit, before = 0): Promise<Manifest> {
    const state = new ManifestState();
    state.apply(edit);
    const manifest = new Manifest(fs, dir, before, state);
    await manifest.#rewrite();
    return manifest;
  }

  /**
   * Reads manifest `number` and makes it ready for changes. Unless the database was closed in order, that is a new file;
   * there must be no manifests with higher numbers. If there is no space for a new file, the manifest is not
   * {@link Manifest.isSettled settled}: it can be read, and the next change, or {@link Manifest.settle}, tries again.
   * @throws LsmError `LSM_CORRUPT_MANIFEST` with file and offset, `LSM_UNSUPPORTED_VERSION`
   */
  static async open(fs: FileSystem, dir: string, number: number): Promise<Manifest> {
    const { manifest, scan, path } = await Manifest.#load(fs, dir, number);
    if (scan.isClosed && scan.tornBytes === 0) {
      manifest.#file = await fs.open(path, 'write');
      manifest.#firstBytes = scan.records[0]!.payload.length + FILE_HEADER_BYTES;
    } else {
      for (const { payload, kind } of scan.records) {
        if (kind === RECORD.edit)
          for (const { number } of decodeEdit(payload).removed ?? []) manifest.#removed.add(number);
      }
      await manifest.settle();
    }
    return manifest;
  }

  /**
   * As {@link Manifest.open}, changing nothing: what is read is all there is to it, and it takes no changes.
   * @param known what an earlier call gave; it is brought up to date if it is of the same file. Not to be used any more if this fails
   */
  static async read(fs: FileSystem, dir: string, number: number, known?: Manifest): Promise<Manifest> {
    if (known?.number !== number) return (await Manifest.#load(fs, dir, number)).manifest;
    const path = `${dir}/${manifestName(number)}`;
    const scan = scanRecords(await readManifest(fs, path), number, known.#end, path);
    applyRecords(known.state, scan, path);
    known.#end = scan.end;
    return known;
  }

  static async #load(fs: FileSystem, dir: string, number: number) {
    const path = `${dir}/${manifestName(number)}`;
    const scan = scanManifest(await readManifest(fs, path), number, path);
    const state = new ManifestState();
    applyRecords(state, scan, path);
    const manifest = new Manifest(fs, dir, number, state);
    manifest.#end = scan.end;
    return { manifest, scan, path };
  }

  /** Number of the current file. */
  get number(): number {
    return this.#number;
  }

  /** False while it is not known that what was found when it was opened is durable. */
  get isSettled(): boolean {
    return this.#file !== undefined;
  }

  /** True if a crash may bring back the state in which this table was listed: then it must not be removed. */
  mayStillList(table: number): boolean {
    return this.#removed.has(table);
  }

  /** Makes sure that what was found is durable, if there is space for it. */
  async settle(): Promise<void> {
    if (this.#file !== undefined) return;
    try {
      await this.#rewrite();
    } catch (error) {
      if (codeOf(error) !== 'IO_NO_SPACE') throw error;
    }
  }

  /**
   * Makes a change durable, then applies it to {@link Manifest.state}. If it fails, the state is as it was, and the change may be tried
   * again; a crash before the next change succeeds may bring it about.
   */
  append(edit: ManifestEdit): Promise<void> {
    const done = this.#queue.then(() => this.#append(edit));
    this.#queue = done.catch(() => {});
    return done;
  }

  /** Notes that the database was closed in order, then closes the file. */
  async close(): Promise<void> {
    await this.#queue;
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      if (!this.#mustRewrite) {
        await file.write([encodeRecord(this.#number, this.#end, RECORD.closed)], this.#end);
        await file.datasync();
      }
    } catch {
      // Only spares the next open a rewrite.
    } finally {
      await file.close();
    }
  }

  async #append(edit: ManifestEdit): Promise<void> {
    const isLarge = this.#end > Math.max(REWRITE_BYTES_MIN, this.#firstBytes * REWRITE_RATIO);
    const file = this.#file;
    // Nothing is written that could not be read again.
    this.state.check(edit);
    if (file === undefined || this.#mustRewrite || isLarge) return this.#rewrite(edit);
    const record = encodeRecord(this.#number, this.#end, RECORD.edit, encodeEdit(edit));
    this.#mustRewrite = true;
    await file.write([record], this.#end);
    await file.datasync();
    this.#mustRewrite = false;
    this.state.apply(edit);
    this.#end += record.length;
    await this.#acknowledge(file);
  }

  async #acknowledge(file: File): Promise<void> {
    const record = encodeRecord(this.#number, this.#end, RECORD.acknowledged);
    try {
      await file.write([record], this.#end);
      this.#end += record.length;
    } catch {
      // Not needed for safety of what is written; the next change goes to a new file.
      this.#mustRewrite = true;
    }
  }

  /** Writes the whole state, with a change, to a new file and makes CURRENT name it. The state is changed once that has succeeded. */
  async #rewrite(edit: ManifestEdit = {}): Promise<void> {
    const fs = this.#fs;
    const number = ++this.#lastTried;
    const path = `${this.#dir}/${manifestName(number)}`;
    this.#mustRewrite = true;
    const next = this.state.copy();
    next.apply(edit);
    const record = encodeRecord(number, FILE_HEADER_BYTES, RECORD.snapshot, encodeEdit(next.snapshot()));
    const file = await fs.open(path, 'create');
    let maybeNamed = false;
    try {
      // Neither counts before CURRENT is switched; by then both, and the name of this one, are durable.
      const written = writeDurably(file, [encodeFileHeader(number), record]);
      for (const each of await Promise.allSettled([written, prepareCurrent(fs, this.#dir, number)])) {
        if (each.status === 'rejected') throw each.reason;
      }
      await fs.syncDir(this.#dir);
      maybeNamed = true;
      await switchCurrent(fs, this.#dir);
    } catch (error) {
      await file.close().catch(() => {});
      // Tries must not fill a disk that is full already.
      if (maybeNamed) this.#obsolete.push(number);
      else await fs.unlink(path).catch(() => {});
      throw error;
    }
    if (this.#number > 0) this.#obsolete.push(this.#number);
    await this.#file?.close().catch(() => {});
    this.#file = file;
    this.#number = number;
    this.#end = this.#firstBytes = FILE_HEADER_BYTES + record.length;
    this.#mustRewrite = false;
    this.state.apply(edit);
    this.#removed.clear();
    await this.#acknowledge(file);
    for (const old of this.#obsolete.splice(0)) {
      // What cannot be removed now is removed when the database is next opened.
      await fs.unlink(`${this.#dir}/${manifestName(old)}`).catch(() => {});
    }
  }
}

const writeDurably = async (file: File, bytes: readonly Uint8Array[]): Promise<void> => {
  await file.write(bytes, 0);
  await file.datasync();
};

const applyRecords = (state: ManifestState, { records }: ManifestScan, file: string): void => {
  for (const { kind, offset, payload } of records) {
    if (kind !== RECORD.edit && kind !== RECORD.snapshot) continue;
    try {
      state.apply(decodeEdit(payload));
    } catch (error) {
      if (!(error instanceof LsmError)) throw error;
      throw new LsmError(error.code, `${file}, offset ${offset}: ${error.message}`, { file, offset });
    }
  }
};

const readManifest = async (fs: FileSystem, path: string): Promise<Uint8Array> => {
  if ((await fs.stat(path)) === undefined) {
    throw new LsmError('LSM_CORRUPT_MANIFEST', `${path}, which CURRENT names, is missing. Restore it from a backup.`, {
      file: path,
      offset: 0,
    });
  }
  return readWhole(fs, path);
};
