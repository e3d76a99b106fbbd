// An open file of the real file system: positioned I/O on a descriptor. Partial reads and writes are continued here, so
// that callers see all or an error.
import fs from 'node:fs';
import type { File } from './file-system.js';
import { fromNodeError, ioError } from './io-error.js';

const IOV_MAX = 1024;

/** Built by `nodeFileSystem.open` only. */
export class NodeFile implements File {
  readonly path: string;
  #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  read(buffer: Uint8Array, position: number): Promise<number> {
    const fd = this.#open('read');
    return new Promise((resolve, reject) => {
      let done = 0;
      const next = (): void => {
        fs.read(fd, buffer, done, buffer.length - done, position + done, (error, count) => {
          if (error) return reject(fromNodeError(error, 'read', this.path));
          done += count;
          if (count === 0 || done === buffer.length) resolve(done);
          else next();
        });
      };
      if (buffer.length === 0) resolve(0);
      else next();
    });
  }

  readSync(buffer: Uint8Array, position: number): number {
    const fd = this.#open('read');
    try {
      let done = 0;
      while (done < buffer.length) {
        const count = fs.readSync(fd, buffer, done, buffer.length - done, position + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    } catch (error) {
      throw fromNodeError(error, 'read', this.path);
    }
  }

  write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    const fd = this.#open('write');
    return new Promise((resolve, reject) => {
      let rest = buffers;
      let at = position;
      const done = (error: Error | null, count: number): void => {
        if (error) {
          reject(fromNodeError(error, 'write', this.path));
          return;
        }
        at += count;
        rest = without(rest, count);
        if (rest.length === 0) resolve();
        else next();
      };
      const next = (): void => {
        if (rest.length === 1) fs.write(fd, rest[0]!, 0, rest[0]!.length, at, done);
        else fs.writev(fd, rest.length > IOV_MAX ? rest.slice(0, IOV_MAX) : rest, at, done);
      };
      rest = without(rest, 0);
      if (rest.length === 0) resolve();
      else next();
    });
  }

  writeSync(buffer: Uint8Array, position: number): void {
    const fd = this.#open('write');
    try {
      let done = 0;
      while (done < buffer.length) done += fs.writeSync(fd, buffer, done, buffer.length - done, position + done);
    } catch (error) {
      throw fromNodeError(error, 'write', this.path);
    }
  }

  datasync(): Promise<void> {
    const fd = this.#open('sync');
    return new Promise((resolve, reject) => {
      fs.fdatasync(fd, (error) => (error ? reject(fromNodeError(error, 'sync', this.path)) : resolve()));
    });
  }

  datasyncSync(): void {
    const fd = this.#open('sync');
    try {
      fs.fdatasyncSync(fd);
    } catch (error) {
      throw fromNodeError(error, 'sync', this.path);
    }
  }

  truncate(sizeBytes: number): Promise<void> {
    const fd = this.#open('truncate');
    return new Promise((resolve, reject) => {
      fs.ftruncate(fd, sizeBytes, (error) => (error ? reject(fromNodeError(error, 'truncate', this.path)) : resolve()));
    });
  }

  sizeSync(): number {
    const fd = this.#open('stat');
    try {
      return fs.fstatSync(fd).size;
    } catch (error) {
      throw fromNodeError(error, 'stat', this.path);
    }
  }

  close(): Promise<void> {
    const fd = this.#take();
    if (fd === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      fs.close(fd, (error) => (error ? reject(fromNodeError(error, 'close', this.path)) : resolve()));
    });
  }

  closeSync(): void {
    const fd = this.#take();
    if (fd === undefined) return;
    try {
      fs.closeSync(fd);
    } catch (error) {
      throw fromNodeError(error, 'close', this.path);
    }
  }

  /** The descriptor. A closed number may already belong to someone else's file, so it is never used again. */
  #open(action: string): number {
    if (this.#fd < 0) throw ioError('IO_CLOSED', action, this.path);
    return this.#fd;
  }

  #take(): number | undefined {
    const fd = this.#fd;
    this.#fd = -1;
    return fd < 0 ? undefined : fd;
  }
}

/** What is left of `buffers` once `count` bytes are written; empty buffers in front are dropped. */
function without(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count;
  let index = 0;
  while (index < buffers.length && left >= buffers[index]!.length) left -= buffers[index++]!.length;
  if (index === buffers.length) return [];
  if (left === 0) return index === 0 ? buffers : buffers.slice(index);
  return [buffers[index]!.subarray(left), ...buffers.slice(index + 1)];
}
