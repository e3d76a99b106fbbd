// An open file of a memory file system. Asynchronous methods take effect when they are called, unless the hook holds them
// back, and complete in a microtask.
import type { File } from '../file-system.js';
import { type IoErrorCode, ioError } from '../io-error.js';
import type { FaultRule } from './faults.js';
import { MEMORY_PAGE_BYTES, type MemoryInode } from './memory-inode.js';
import type { OperationKind } from './operations.js';

/** What a file needs of its file system. */
export interface MemoryHost {
  /** Counts an operation and calls the hook. */
  begin(kind: OperationKind, path: string, offset?: number, length?: number): Promise<void> | undefined;
  /** The rule that makes this operation fail. */
  fault(kind: OperationKind, path: string): FaultRule | undefined;
  /** Unused capacity in bytes. */
  free(): number;
  wrote(bytes: number): void;
  closed(inode: MemoryInode): void;
}

/** Built by `MemoryFileSystem.open` only. */
export class MemoryFile implements File {
  readonly path: string;
  readonly #host: MemoryHost;
  /** Normalized path at the time of opening, for hooks and rules. */
  readonly #key: string;
  readonly #inode: MemoryInode;
  readonly #writable: boolean;
  #closed = false;

  constructor(host: MemoryHost, path: string, key: string, inode: MemoryInode, writable: boolean) {
    this.#host = host;
    this.path = path;
    this.#key = key;
    this.#inode = inode;
    this.#writable = writable;
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    return this.readSync(buffer, position);
  }

  readSync(buffer: Uint8Array, position: number): number {
    this.#check('read');
    this.#host.begin('read', this.#key);
    this.#failIfRuled('read', 'read');
    return this.#inode.read(buffer, position);
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    this.#check('write', true);
    let length = 0;
    for (const buffer of buffers) length += buffer.length;
    const held = this.#host.begin('write', this.#key, position, length);
    if (held) await held;
    this.#write(buffers, position, length);
  }

  writeSync(buffer: Uint8Array, position: number): void {
    this.#check('write', true);
    this.#host.begin('write', this.#key, position, buffer.length);
    this.#write([buffer], position, buffer.length);
  }

  async datasync(): Promise<void> {
    this.#check('sync');
    const held = this.#host.begin('datasync', this.#key);
    if (held) await held;
    this.#datasync();
  }

  datasyncSync(): void {
    this.#check('sync');
    this.#host.begin('datasync', this.#key);
    this.#datasync();
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#check('truncate', true);
    const held = this.#host.begin('truncate', this.#key, sizeBytes);
    if (held) await held;
    this.#failIfRuled('truncate', 'truncate');
    this.#inode.truncate(sizeBytes);
  }

  sizeSync(): number {
    this.#check('stat');
    return this.#inode.sizeBytes;
  }

  async close(): Promise<void> {
    this.closeSync();
  }

  closeSync(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#host.closed(this.#inode);
  }

  #write(buffers: readonly Uint8Array[], position: number, length: number): void {
    const rule = this.#host.fault('write', this.#key);
    const allowed = rule ? Math.floor(length * (rule.writtenFraction ?? 0)) : length;
    const fitting = Math.min(allowed, this.#fitting(position, length));
    let at = position;
    for (const buffer of buffers) {
      const part = buffer.subarray(0, Math.min(buffer.length, position + fitting - at));
      this.#inode.write(part, at);
      at += part.length;
    }
    this.#host.wrote(fitting);
    if (rule) throw injected(rule.code, 'write', this.path);
    if (fitting < length) throw ioError('IO_NO_SPACE', 'write', this.path);
  }

  /** How many bytes of a write there is room for. */
  #fitting(position: number, length: number): number {
    const allocated = this.#inode.allocatedBytes;
    if (position + length <= allocated) return length;
    const free = this.#host.free();
    const end = allocated + Math.floor(free / MEMORY_PAGE_BYTES) * MEMORY_PAGE_BYTES;
    return Math.max(0, Math.min(length, end - position));
  }

  #datasync(): void {
    const rule = this.#host.fault('datasync', this.#key);
    if (rule) {
      this.#inode.failDatasync();
      throw injected(rule.code, 'sync', this.path);
    }
    this.#inode.datasync();
  }

  #failIfRuled(kind: OperationKind, action: string): void {
    const rule = this.#host.fault(kind, this.#key);
    if (rule) throw injected(rule.code, action, this.path);
  }

  #check(action: string, writing = false): void {
    if (this.#closed) throw ioError('IO_CLOSED', action, this.path);
    if (writing && !this.#writable) {
      throw ioError('IO_FAILED', action, this.path, new Error('the file was opened for reading only'));
    }
  }
}

/** The error of a fault rule. */
export function injected(code: IoErrorCode | undefined, action: string, path: string): Error {
  return ioError(code ?? 'IO_FAILED', action, path, new Error('injected'));
}
