// The file system as NoriKV's storage needs it: positioned I/O, data sync, and directory sync as a step of its own.
// Two implementations: `nodeFileSystem` (the real one) and `MemoryFileSystem` (nori-io/memory: crash simulation, error
// injection). Durability is as on POSIX: bytes are durable after `datasync` of the file, names after `syncDir` of the
// directory. Every failure is an `IoError` with a stable code; Node's own error is its `cause`.

/**
 * How a file is opened.
 * - `read`: existing file, reading only (`IO_NOT_FOUND` if missing)
 * - `write`: existing file, reading and writing (`IO_NOT_FOUND` if missing)
 * - `create`: new file, reading and writing (`IO_EXISTS` if there is one)
 */
export type OpenMode = 'read' | 'write' | 'create';

/** What {@link FileSystem.stat} tells. */
export interface FileStat {
  readonly kind: 'file' | 'directory' | 'other';
  readonly sizeBytes: number;
}

/** An open file. Positions and sizes are bytes from the start. Methods must not be called after `close`. */
export interface File {
  readonly path: string;
  /** Fills `buffer` from `position`; returns how many bytes were read (fewer only at the end of the file). */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** As {@link File.read}, on the calling thread. */
  readSync(buffer: Uint8Array, position: number): number;
  /** Writes all of `buffers`, one after the other, at `position`; on error an unknown part may be written. */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>;
  /** As {@link File.write} for one buffer, on the calling thread. */
  writeSync(buffer: Uint8Array, position: number): void;
  /** Makes written bytes and the size durable (fdatasync). After an error nothing may be assumed: do not retry. */
  datasync(): Promise<void>;
  datasyncSync(): void;
  /** Cuts or extends (with zeros) to `sizeBytes`; durable after the next data sync. */
  truncate(sizeBytes: number): Promise<void>;
  sizeSync(): number;
  close(): Promise<void>;
  closeSync(): void;
}

/** Who holds a lock, as written into the lock file. */
export interface LockHolder {
  readonly pid: number;
  readonly hostname: string;
  /** Command line of the holder, shortened. */
  readonly command: string;
  readonly sinceMs: number;
}

/** A held lock. */
export interface DirectoryLock {
  release(): Promise<void>;
}

/** The file system, injected into everything that stores. Paths are absolute or relative to the working directory. */
export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<File>;
  openSync(path: string, mode: OpenMode): File;
  /** Names in a directory, sorted. */
  readdir(path: string): Promise<string[]>;
  /** Creates a directory and its parents; existing ones are fine. Durable after `syncDir` of the parents. */
  mkdir(path: string): Promise<void>;
  stat(path: string): Promise<FileStat | undefined>;
  /** Replaces `to` atomically. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Hard link. */
  link(existing: string, path: string): Promise<void>;
  /** Makes the names in a directory durable (fsync of the directory). */
  syncDir(path: string): Promise<void>;
  /** Bytes a writer may still allocate on the file system of `path`. */
  freeBytes(path: string): Promise<number>;
  /**
   * Takes the exclusive lock at `path`: a file of that name, and others whose names begin with it and a dot. A lock left by a
   * dead process is taken over.
   * @throws IoError `IO_LOCKED` naming the holder when a live process has it, or one of which it cannot be told.
   */
  lock(path: string): Promise<DirectoryLock>;
}
