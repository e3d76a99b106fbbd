// A file system in memory that knows what a power failure leaves behind. It behaves as POSIX promises and no better: bytes
// are durable after a data sync, names after a sync of their directory. Everything is deterministic; asynchronous methods
// complete in microtasks. A crash or a kill makes a new file system; the old one stays as it was and can be used on.
import { posix } from 'node:path';
import type { DirectoryLock, File, FileStat, FileSystem, LockHolder, OpenMode } from '../file-system.js';
import { IoError, ioError } from '../io-error.js';
import { type Fault, type FaultRule, FaultRules } from './faults.js';
import { injected, MemoryFile, type MemoryHost } from './memory-file.js';
import { MemoryInode, type RandomSource } from './memory-inode.js';
import { MemoryNames } from './memory-names.js';
import { type MemoryOperation, MUTATING_KINDS, type OperationKind } from './operations.js';

/** Options of a {@link MemoryFileSystem}. */
export interface MemoryFileSystemOptions {
  /** Capacity in bytes; files take whole 4 KiB pages of it. Default: no limit. */
  readonly capacityBytes?: number;
}

/** What a {@link MemoryFileSystem} has done so far. */
export interface MemoryStats {
  /** Operations by kind; kinds that did not occur are 0. */
  readonly operations: Readonly<Record<OperationKind, number>>;
  /** Mutating operations in all. */
  readonly mutations: number;
  readonly bytesWritten: number;
}

const KINDS: readonly OperationKind[] = [...MUTATING_KINDS, 'open', 'read', 'readdir'];
const MUTATING: ReadonlySet<OperationKind> = new Set(MUTATING_KINDS);
const HOLDER: LockHolder = { pid: 0, hostname: 'memory', command: 'memory', sinceMs: 0 };

/** See the top of this file. */
export class MemoryFileSystem implements FileSystem {
  /** Capacity in bytes; may be changed at any time. */
  capacityBytes: number;
  /**
   * Called before each mutating operation takes effect. It may take a {@link crash} of this moment, or throw to refuse the
   * operation. A promise it returns holds back the operation (asynchronous methods only).
   */
  onOperation: ((operation: MemoryOperation) => void | Promise<void>) | undefined;
  #names = new MemoryNames();
  readonly #rules = new FaultRules();
  readonly #locks = new Set<string>();
  readonly #openFiles = new Map<MemoryInode, number>();
  readonly #counts = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<OperationKind, number>;
  #mutations = 0;
  #bytesWritten = 0;
  readonly #host: MemoryHost;

  constructor(options: MemoryFileSystemOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
    this.#host = {
      begin: (kind, path, offset, length) => this.#begin(kind, path, offset, length),
      fault: (kind, path) => this.#rules.match(kind, path),
      free: () => this.#free(),
      wrote: (bytes) => {
        this.#bytesWritten += bytes;
      },
      closed: (inode) => this.#closed(inode),
    };
  }

  /**
   * What is found after a power failure now: everything that was synced, and of the rest a random subset of pages and of
   * operations on names. Per call, `rng` also draws how much survives: nothing, all, or something between. Without locks,
   * hook, rules and open files; everything in it is durable. Its {@link crashFingerprint} tells it from others.
   */
  crash(rng: RandomSource): MemoryFileSystem {
    const mood = rng.next();
    const keep = mood < 0.15 ? 0 : mood > 0.85 ? 1 : rng.next();
    const found = new MemoryFileSystem({ capacityBytes: this.capacityBytes });
    found.#names = this.#names.crash(
      rng,
      keep,
      onceEach((inode) => inode.crash(rng, keep)),
    );
    return found;
  }

  /** What the next process finds when all processes die now but the machine lives: everything, durable or not yet. */
  kill(): MemoryFileSystem {
    const found = new MemoryFileSystem({ capacityBytes: this.capacityBytes });
    found.#names = this.#names.clone(onceEach((inode) => inode.clone()));
    return found;
  }

  /**
   * Of a file system made by {@link crash}: 16 hexadecimal digits that stand for what was found, which names, and of each file
   * the size and how much of each unsynced page. Two crashes of the same moment that found the same have the same one, so a test
   * can count distinct pairs of moment and outcome. Content that was durable is not in it. Undefined if this was not made by a crash.
   */
  get crashFingerprint(): string | undefined {
    return this.#names.crashFingerprint;
  }

  /** Makes matching operations fail. A failed `datasync` loses the bytes it was to sync, as on Linux. */
  inject(rule: FaultRule): Fault {
    return this.#rules.add(rule);
  }

  stats(): MemoryStats {
    return { operations: { ...this.#counts }, mutations: this.#mutations, bytesWritten: this.#bytesWritten };
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    if (mode === 'create') {
      const held = this.#begin('create', key(path));
      if (held) await held;
      return this.#create(path);
    }
    return this.#openExisting(path, mode);
  }

  openSync(path: string, mode: OpenMode): File {
    if (mode !== 'create') return this.#openExisting(path, mode);
    this.#begin('create', key(path));
    return this.#create(path);
  }

  async readdir(path: string): Promise<string[]> {
    const name = key(path);
    this.#begin('readdir', name);
    this.#failIfRuled('readdir', name, 'list');
    if (this.#names.file(name)) throw ioError('IO_WRONG_KIND', 'list', path);
    if (!this.#names.isDirectory(name)) throw ioError('IO_NOT_FOUND', 'list', path);
    return this.#names.list(name);
  }

  async mkdir(path: string): Promise<void> {
    const name = key(path);
    await this.#begin('mkdir', name);
    this.#failIfRuled('mkdir', name, 'create directory');
    let at = '';
    for (const part of name.split('/').slice(1)) {
      at += `/${part}`;
      if (this.#names.file(at)) throw ioError(at === name ? 'IO_EXISTS' : 'IO_WRONG_KIND', 'create directory', path);
      if (at !== '/' && !this.#names.isDirectory(at)) this.#names.makeDirectory(at);
    }
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const name = key(path);
    const inode = this.#names.file(name);
    if (inode) return { kind: 'file', sizeBytes: inode.sizeBytes };
    return this.#names.isDirectory(name) ? { kind: 'directory', sizeBytes: 0 } : undefined;
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin('rename', key(to));
    this.#failIfRuled('rename', key(to), 'rename');
    const inode = this.#existing(from, 'rename');
    this.#names.checkParent(key(to), 'rename');
    if (this.#names.isDirectory(key(to))) throw ioError('IO_WRONG_KIND', 'rename', from);
    if (this.#names.file(key(to)) !== inode) this.#names.rename(key(from), key(to), inode);
  }

  async unlink(path: string): Promise<void> {
    await this.#begin('unlink', key(path));
    this.#failIfRuled('unlink', key(path), 'remove');
    this.#existing(path, 'remove');
    this.#names.unlink(key(path));
  }

  async link(existing: string, path: string): Promise<void> {
    await this.#begin('link', key(path));
    this.#failIfRuled('link', key(path), 'link');
    const inode = this.#existing(existing, 'link');
    this.#names.checkParent(key(path), 'link');
    if (this.#names.exists(key(path))) throw ioError('IO_EXISTS', 'link', path);
    this.#names.link(key(path), inode);
  }

  async syncDir(path: string): Promise<void> {
    await this.#begin('sync-dir', key(path));
    this.#failIfRuled('sync-dir', key(path), 'sync directory');
    if (!this.#names.isDirectory(key(path))) throw ioError('IO_NOT_FOUND', 'sync directory', path);
    this.#names.sync(key(path));
  }

  async freeBytes(_path: string): Promise<number> {
    return Math.min(this.#free(), Number.MAX_SAFE_INTEGER);
  }

  /** Held until released, or until {@link crash} or {@link kill}; a lock file found without a holder is taken over. */
  async lock(path: string): Promise<DirectoryLock> {
    const name = key(path);
    if (this.#locks.has(name)) {
      throw new IoError('IO_LOCKED', `Cannot lock ${path}: it is locked already`, { path, holder: HOLDER });
    }
    this.#locks.add(name);
    try {
      await this.#begin('lock', name);
      this.#failIfRuled('lock', name, 'lock');
      this.#names.checkParent(name, 'lock');
      if (!this.#names.exists(name)) this.#names.link(name, new MemoryInode());
    } catch (error) {
      this.#locks.delete(name);
      throw error;
    }
    return { release: () => this.#unlock(name) };
  }

  async #unlock(name: string): Promise<void> {
    if (!this.#locks.has(name)) return;
    await this.#begin('unlock', name);
    if (this.#names.file(name)) this.#names.unlink(name);
    this.#locks.delete(name);
  }

  #create(path: string): File {
    const name = key(path);
    this.#failIfRuled('create', name, 'create');
    this.#names.checkParent(name, 'create');
    if (this.#names.exists(name)) throw ioError('IO_EXISTS', 'create', path);
    const inode = new MemoryInode();
    this.#names.link(name, inode);
    return this.#handle(path, inode, true);
  }

  #openExisting(path: string, mode: OpenMode): File {
    this.#begin('open', key(path));
    this.#failIfRuled('open', key(path), 'open');
    return this.#handle(path, this.#existing(path, 'open'), mode === 'write');
  }

  #handle(path: string, inode: MemoryInode, writable: boolean): File {
    this.#openFiles.set(inode, (this.#openFiles.get(inode) ?? 0) + 1);
    return new MemoryFile(this.#host, path, key(path), inode, writable);
  }

  #existing(path: string, action: string): MemoryInode {
    const inode = this.#names.file(key(path));
    if (inode) return inode;
    throw ioError(this.#names.isDirectory(key(path)) ? 'IO_WRONG_KIND' : 'IO_NOT_FOUND', action, path);
  }

  #closed(inode: MemoryInode): void {
    const left = this.#openFiles.get(inode)! - 1;
    if (left === 0) this.#openFiles.delete(inode);
    else this.#openFiles.set(inode, left);
  }

  #begin(kind: OperationKind, path: string, offset = 0, length = 0): Promise<void> | undefined {
    this.#counts[kind] += 1;
    if (!MUTATING.has(kind)) return undefined;
    const index = this.#mutations++;
    return this.onOperation?.({ index, kind, path, offset, length }) ?? undefined;
  }

  #failIfRuled(kind: OperationKind, path: string, action: string): void {
    const rule = this.#rules.match(kind, path);
    if (rule) throw injected(rule.code, action, path);
  }

  #free(): number {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return this.capacityBytes;
    let used = 0;
    for (const inode of new Set([...this.#names.inodes(), ...this.#openFiles.keys()])) used += inode.allocatedBytes;
    return Math.max(0, this.capacityBytes - used);
  }
}

/** Paths are kept absolute and normalized; relative ones start at the root. */
const key = (path: string): string => posix.resolve('/', path);

/** Copies each file once, however many names it has. */
function onceEach(copy: (inode: MemoryInode) => MemoryInode): (inode: MemoryInode) => MemoryInode {
  const copies = new Map<MemoryInode, MemoryInode>();
  return (inode) => {
    let made = copies.get(inode);
    if (!made) {
      made = copy(inode);
      copies.set(inode, made);
    }
    return made;
  };
}
