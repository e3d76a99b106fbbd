// The folder in which everything ends up that a repair replaces or gives up. Nothing is deleted; each repair has a folder of its own.
//
//   lost/001/CURRENT, MANIFEST-000007   copies            lost/001/000042.sst   the damaged table
//   lost/001/wal/000000000001.wal       the damaged log   lost/unfinished/      tables that a repair is writing
//
// A file that is to be replaced gets its second name, here, before that; it loses the first one only when what replaces
// it is in force. A file that is in nobody's way is renamed.
import type { FileSystem } from 'nori-io';
import { copyFile, linkOrCopy } from '../checkpoint.js';
import { LOG_DIR, LOST_DIR } from '../directory.js';

const UNFINISHED = 'unfinished';

/** See the top of the file. */
export class LostFolder {
  /** Its path. */
  readonly path: string;
  /** Where tables are written before they get their names in the database. */
  readonly staging: string;
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #moved = new Set<string>();
  /** Names in the database that are to go, now that the files are here. */
  readonly #replaced = new Set<string>();

  private constructor(fs: FileSystem, dir: string, number: number) {
    this.#fs = fs;
    this.#dir = dir;
    this.path = `${dir}/${LOST_DIR}/${String(number).padStart(3, '0')}`;
    this.staging = `${dir}/${LOST_DIR}/${UNFINISHED}`;
  }

  /** Makes the next folder. What an earlier repair did not finish writing is removed. */
  static async open(fs: FileSystem, dir: string): Promise<LostFolder> {
    const parent = `${dir}/${LOST_DIR}`;
    await fs.mkdir(parent);
    const numbers = (await fs.readdir(parent)).filter((name) => /^\d{3,9}$/.test(name)).map(Number);
    const folder = new LostFolder(fs, dir, Math.max(0, ...numbers) + 1);
    await fs.mkdir(folder.staging);
    await fs.mkdir(folder.path);
    await fs.syncDir(dir);
    await fs.syncDir(parent);
    for (const name of await fs.readdir(folder.staging)) await fs.unlink(`${folder.staging}/${name}`);
    return folder;
  }

  /** The file system, but what is created in the database, or removed there, is in the staging folder. For whoever writes tables. */
  get staged(): FileSystem {
    const fs = this.#fs;
    const inStaging = (path: string): string => `${this.staging}${path.slice(this.#dir.length)}`;
    return {
      open: (path, mode) => fs.open(mode === 'create' ? inStaging(path) : path, mode),
      openSync: (path, mode) => fs.openSync(mode === 'create' ? inStaging(path) : path, mode),
      readdir: (path) => fs.readdir(path),
      mkdir: (path) => fs.mkdir(path),
      stat: (path) => fs.stat(path),
      rename: (from, to) => fs.rename(from, to),
      unlink: (path) => fs.unlink(inStaging(path)),
      link: (existing, path) => fs.link(existing, path),
      syncDir: (path) => fs.syncDir(path),
      freeBytes: (path) => fs.freeBytes(path),
      lock: (path) => fs.lock(path),
    };
  }

  /** What is in it, relative to it. */
  get moved(): readonly string[] {
    return [...this.#moved].sort();
  }

  /** Copies a file that may be written to in its place, or replaced there. */
  async copy(name: string): Promise<void> {
    if ((await this.#fs.stat(`${this.#dir}/${name}`)) === undefined) return;
    await copyFile(this.#fs, `${this.#dir}/${name}`, `${this.path}/${name}`);
    this.#moved.add(name);
  }

  /** Gives a file that is to be replaced its name here; {@link dropReplaced} takes the other one away. */
  async keep(name: string): Promise<void> {
    await linkOrCopy(this.#fs, `${this.#dir}/${name}`, `${this.path}/${name}`);
    this.#moved.add(name);
    this.#replaced.add(name);
  }

  /** Moves a file that nothing refers to. */
  async move(name: string): Promise<void> {
    await this.#fs.rename(`${this.#dir}/${name}`, `${this.path}/${name}`);
    this.#moved.add(name);
  }

  /** Makes all that was copied, kept and moved so far durable. */
  async sync(): Promise<void> {
    // A rename is durable once both directories are.
    for (const dir of [this.path, this.staging, this.#dir]) await this.#fs.syncDir(dir);
  }

  /** Moves a finished table from the staging folder into the database; durable after {@link sync}. */
  async finishTable(name: string): Promise<void> {
    await this.#fs.rename(`${this.staging}/${name}`, `${this.#dir}/${name}`);
  }

  /** Takes the names of what was {@link keep kept} out of the database. */
  async dropReplaced(): Promise<void> {
    for (const name of this.#replaced) await this.#fs.unlink(`${this.#dir}/${name}`).catch(ignoreMissing);
    this.#replaced.clear();
    await this.#fs.syncDir(this.#dir);
  }

  /** Moves all files of the own log. */
  async moveLog(): Promise<void> {
    const from = `${this.#dir}/${LOG_DIR}`;
    if ((await this.#fs.stat(from)) === undefined) return;
    const to = `${this.path}/${LOG_DIR}`;
    await this.#fs.mkdir(to);
    await this.#fs.syncDir(this.path);
    for (const name of await this.#fs.readdir(from)) {
      if (!/\.(wal|spare)$/.test(name)) continue;
      await this.#fs.rename(`${from}/${name}`, `${to}/${name}`);
      this.#moved.add(`${LOG_DIR}/${name}`);
    }
    await this.#fs.syncDir(to);
    await this.#fs.syncDir(from);
  }
}

const ignoreMissing = (error: unknown): void => {
  if ((error as { code?: string }).code !== 'IO_NOT_FOUND') throw error;
};
