// The directory tree: names as programs see them now, names as the disk has them, and the operations between the two.
// An operation on names is durable once every directory it changed was synced. A crash keeps what is durable and any
// subset of the rest; each operation, a rename too, survives whole or not at all.
import { ioError } from '../io-error.js';
import { Fingerprint } from './fingerprint.js';
import type { MemoryInode, RandomSource } from './memory-inode.js';

interface Tree {
  readonly files: Map<string, MemoryInode>;
  readonly directories: Set<string>;
}

/** A change of names; `inode` is the file that gets the name `path`. */
interface NameChange {
  readonly kind: 'mkdir' | 'link' | 'unlink' | 'rename';
  readonly path: string;
  readonly from?: string;
  readonly inode?: MemoryInode;
}

interface PendingChange {
  readonly change: NameChange;
  /** Directories that were changed and not synced since. */
  readonly unsynced: Set<string>;
}

/** Path of the directory that holds `path` (both normalized). */
export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** Names of one memory file system. Paths are normalized and absolute. */
export class MemoryNames {
  #current: Tree = { files: new Map(), directories: new Set(['/']) };
  #durable: Tree = { files: new Map(), directories: new Set(['/']) };
  #pending: PendingChange[] = [];
  #crashFingerprint: string | undefined;

  /** Of names made by {@link crash}: stands for the names, and for what survived of the files. */
  get crashFingerprint(): string | undefined {
    return this.#crashFingerprint;
  }

  file(path: string): MemoryInode | undefined {
    return this.#current.files.get(path);
  }

  isDirectory(path: string): boolean {
    return this.#current.directories.has(path);
  }

  exists(path: string): boolean {
    return this.#current.files.has(path) || this.#current.directories.has(path);
  }

  inodes(): Iterable<MemoryInode> {
    return this.#current.files.values();
  }

  list(directory: string): string[] {
    const names: string[] = [];
    for (const path of this.#current.files.keys()) if (parentOf(path) === directory) names.push(baseName(path));
    for (const path of this.#current.directories) {
      if (path !== '/' && parentOf(path) === directory) names.push(baseName(path));
    }
    return names.sort();
  }

  makeDirectory(path: string): void {
    this.#perform({ kind: 'mkdir', path });
  }

  link(path: string, inode: MemoryInode): void {
    this.#perform({ kind: 'link', path, inode });
  }

  unlink(path: string): void {
    this.#perform({ kind: 'unlink', path });
  }

  rename(from: string, path: string, inode: MemoryInode): void {
    this.#perform({ kind: 'rename', path, from, inode });
  }

  /** Throws unless the directory a new name goes into exists. */
  checkParent(path: string, action: string): void {
    const parent = parentOf(path);
    if (this.#current.files.has(parent)) throw ioError('IO_WRONG_KIND', action, path);
    if (!this.isDirectory(parent)) throw ioError('IO_NOT_FOUND', action, path);
  }

  sync(directory: string): void {
    const waiting: PendingChange[] = [];
    for (const pending of this.#pending) {
      pending.unsynced.delete(directory);
      if (pending.unsynced.size === 0) apply(pending.change, this.#durable);
      else waiting.push(pending);
    }
    this.#pending = waiting;
  }

  /** The same names and the same state of durability over copies of the files. */
  clone(copy: (inode: MemoryInode) => MemoryInode): MemoryNames {
    const names = new MemoryNames();
    names.#current = copyTree(this.#current, copy);
    names.#durable = copyTree(this.#durable, copy);
    names.#pending = this.#pending.map(({ change, unsynced }) => ({
      change: change.inode ? { ...change, inode: copy(change.inode) } : change,
      unsynced: new Set(unsynced),
    }));
    return names;
  }

  /** What is found after a power failure. `keep` is the chance of an unsynced operation to survive. */
  crash(rng: RandomSource, keep: number, copy: (inode: MemoryInode) => MemoryInode): MemoryNames {
    const found: Tree = { files: new Map(this.#durable.files), directories: new Set(this.#durable.directories) };
    for (const { change } of this.#pending) if (rng.next() < keep) apply(change, found);
    for (const path of [...found.directories].sort()) {
      if (path !== '/' && !found.directories.has(parentOf(path))) found.directories.delete(path);
    }
    for (const path of found.files.keys()) if (!found.directories.has(parentOf(path))) found.files.delete(path);
    const names = new MemoryNames();
    names.#current = copyTree(found, copy);
    names.#durable = { files: new Map(names.#current.files), directories: new Set(found.directories) };
    names.#crashFingerprint = this.#fingerprint(found, names.#current);
    return names;
  }

  /** `found` has the files of before the crash, `survived` those of after it, under the same names. */
  #fingerprint(found: Tree, survived: Tree): string {
    const fingerprint = new Fingerprint();
    const numbers = this.#inodeNumbers();
    for (const path of [...found.files.keys()].sort()) {
      fingerprint.text(path);
      fingerprint.number(numbers.get(found.files.get(path)!)!);
      fingerprint.text(survived.files.get(path)!.crashFingerprint);
    }
    fingerprint.number(found.directories.size);
    for (const path of [...found.directories].sort()) fingerprint.text(path);
    return fingerprint.toString();
  }

  /** Numbers for all files, the same at each crash of the same moment. */
  #inodeNumbers(): Map<MemoryInode, number> {
    const numbers = new Map<MemoryInode, number>();
    const add = (inode: MemoryInode | undefined): void => {
      if (inode && !numbers.has(inode)) numbers.set(inode, numbers.size);
    };
    for (const inode of this.#durable.files.values()) add(inode);
    for (const { change } of this.#pending) add(change.inode);
    return numbers;
  }

  #perform(change: NameChange): void {
    apply(change, this.#current);
    const unsynced = new Set([parentOf(change.path)]);
    if (change.from !== undefined) unsynced.add(parentOf(change.from));
    this.#pending.push({ change, unsynced });
  }
}

function apply({ kind, path, from, inode }: NameChange, tree: Tree): void {
  if (kind === 'mkdir') {
    if (!tree.files.has(path)) tree.directories.add(path);
    return;
  }
  if (from !== undefined && tree.files.get(from) === inode) tree.files.delete(from);
  if (inode) tree.files.set(path, inode);
  else tree.files.delete(path);
}

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

function copyTree(tree: Tree, copy: (inode: MemoryInode) => MemoryInode): Tree {
  const files = new Map<string, MemoryInode>();
  for (const [path, inode] of tree.files) files.set(path, copy(inode));
  return { files, directories: new Set(tree.directories) };
}
