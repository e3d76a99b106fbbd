// A small file that is replaced as a whole: written beside, synced, renamed. Its bytes end with a CRC32C, little-endian.
import { crc32c, type FileSystem, readU32LE, writeU32LE } from 'nori-io';
import { StartupError } from '../domain/startup-error.js';
import type { MetaFile } from '../ports/meta-file.js';

const CHECKSUM_BYTES = 4;

/** {@link MetaFile} at a path; the directory exists. */
export class AtomicFile implements MetaFile {
  readonly #fs: FileSystem;
  readonly #path: string;

  constructor(fs: FileSystem, path: string) {
    this.#fs = fs;
    this.#path = path;
  }

  async load(): Promise<Uint8Array | undefined> {
    if ((await this.#fs.stat(this.#path)) === undefined) return undefined;
    const file = await this.#fs.open(this.#path, 'read');
    try {
      const all = new Uint8Array(file.sizeSync());
      const length = await file.read(all, 0);
      const end = length - CHECKSUM_BYTES;
      if (end < 0 || crc32c(all.subarray(0, end)) !== readU32LE(all, end)) {
        throw new StartupError('DATA_CORRUPT', `${this.#path} is damaged; restore it from a backup.`);
      }
      return all.subarray(0, end);
    } finally {
      await file.close();
    }
  }

  async save(bytes: Uint8Array): Promise<void> {
    const temporary = `${this.#path}.tmp`;
    if ((await this.#fs.stat(temporary)) !== undefined) await this.#fs.unlink(temporary);
    const file = await this.#fs.open(temporary, 'create');
    try {
      const checksum = new Uint8Array(CHECKSUM_BYTES);
      writeU32LE(checksum, 0, crc32c(bytes));
      await file.write([bytes, checksum], 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await this.#fs.rename(temporary, this.#path);
    await this.#fs.syncDir(this.#path.slice(0, this.#path.lastIndexOf('/')));
  }
}
