// Descriptors of tables that are about to be read, taken as soon as their names are known: a file that is open stays readable when
// another process removes it. They are kept from one try to the next, so that each try has only to open what is new, however fast
// tables come and go. Numbers of tables are used once: a file that was opened under a name is what the name stands for.
import type { File, FileSystem } from 'nori-io';
import { codeOf, LsmError } from './errors.js';
import { tableName } from './table-meta.js';

const OPEN_AT_ONCE = 64;

/** See the top of the file. */
export class HeldTables {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #held = new Map<string, File>();

  constructor(fs: FileSystem, dir: string) {
    this.#fs = fs;
    this.#dir = dir;
  }

  /**
   * Opens these tables, all that can be, and closes others.
   * @throws LsmError `LSM_MISSING_TABLE`, or what opening one threw
   */
  async hold(numbers: readonly number[]): Promise<void> {
    const paths = new Set(numbers.map((number) => `${this.#dir}/${tableName(number)}`));
    for (const [path, file] of this.#held) if (!paths.has(path) && this.#held.delete(path)) await file.close();
    const missing = [...paths].filter((path) => !this.#held.has(path));
    const failures: unknown[] = [];
    for (let i = 0; i < missing.length; i += OPEN_AT_ONCE) {
      await Promise.all(missing.slice(i, i + OPEN_AT_ONCE).map((path) => this.#open(path, failures)));
    }
    if (failures.length > 0) throw failures[0];
  }

  /** The file system with the held files in it: who opens one takes it over. */
  get fs(): FileSystem {
    const fs = this.#fs;
    return {
      open: (path, mode) => this.#take(path) ?? fs.open(path, mode),
      openSync: (path, mode) => fs.openSync(path, mode),
      readdir: (path) => fs.readdir(path),
      mkdir: (path) => fs.mkdir(path),
      stat: (path) => fs.stat(path),
      rename: (from, to) => fs.rename(from, to),
      unlink: (path) => fs.unlink(path),
      link: (existing, path) => fs.link(existing, path),
      syncDir: (path) => fs.syncDir(path),
      freeBytes: (path) => fs.freeBytes(path),
      lock: (path) => fs.lock(path),
    };
  }

  /** Closes what nobody took. */
  async close(): Promise<void> {
    const files = [...this.#held.values()];
    this.#held.clear();
    for (const file of files) await file.close();
  }

  #take(path: string): Promise<File> | undefined {
    const file = this.#held.get(path);
    return file !== undefined && this.#held.delete(path) ? Promise.resolve(file) : undefined;
  }

  async #open(path: string, failures: unknown[]): Promise<void> {
    try {
      this.#held.set(path, await this.#fs.open(path, 'read'));
    } catch (cause) {
      const isMissing = codeOf(cause) === 'IO_NOT_FOUND';
      const what = `${path} is missing. Restore it from a backup.`;
      failures.push(isMissing ? new LsmError('LSM_MISSING_TABLE', what, { file: path, cause }) : cause);
    }
  }
}
