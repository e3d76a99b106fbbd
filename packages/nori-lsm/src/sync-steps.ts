// Spreads the write-back of tables: a file system that data-syncs each file it creates every so many bytes. Else a table's
// bytes gather in the page cache until the table is complete, and its one long sync holds up the log's, which shares the disk.
// Only for the synchronous calls of a worker thread; a failed sync fails the write that ran into it, and with it the table.
import type { File, FileSystem } from 'nori-io';

/** `fs`, but files opened with `create` are synced in steps. */
export const withSyncSteps = (fs: FileSystem, stepBytes: number): FileSystem => ({
  open: (path, mode) => fs.open(path, mode),
  openSync: (path, mode) => {
    const file = fs.openSync(path, mode);
    return mode === 'create' ? new SteppedFile(file, stepBytes) : file;
  },
  readdir: (path) => fs.readdir(path),
  mkdir: (path) => fs.mkdir(path),
  stat: (path) => fs.stat(path),
  rename: (from, to) => fs.rename(from, to),
  unlink: (path) => fs.unlink(path),
  link: (existing, path) => fs.link(existing, path),
  syncDir: (path) => fs.syncDir(path),
  freeBytes: (path) => fs.freeBytes(path),
  lock: (path) => fs.lock(path),
});

class SteppedFile implements File {
  readonly path: string;
  readonly #file: File;
  readonly #stepBytes: number;
  #unsynced = 0;

  constructor(file: File, stepBytes: number) {
    this.#file = file;
    this.path = file.path;
    this.#stepBytes = stepBytes;
  }

  writeSync(buffer: Uint8Array, position: number): void {
    this.#file.writeSync(buffer, position);
    this.#unsynced += buffer.length;
    if (this.#unsynced < this.#stepBytes) return;
    this.#unsynced = 0;
    this.#file.datasyncSync();
  }

  read(buffer: Uint8Array, position: number): Promise<number> {
    return this.#file.read(buffer, position);
  }

  readSync(buffer: Uint8Array, position: number): number {
    return this.#file.readSync(buffer, position);
  }

  write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    return this.#file.write(buffers, position);
  }

  datasync(): Promise<void> {
    return this.#file.datasync();
  }

  datasyncSync(): void {
    this.#file.datasyncSync();
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#file.truncate(sizeBytes);
  }

  sizeSync(): number {
    return this.#file.sizeSync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  closeSync(): void {
    this.#file.closeSync();
  }
}
