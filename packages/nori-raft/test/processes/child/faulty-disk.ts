// The real file system with a disk that stalls, fails or is full on command.
import { type File, type FileSystem, IoError } from 'nori-io';
import type { DiskMode } from '../protocol.js';

export class FaultyDisk {
  #mode: DiskMode = 'fine';
  /** Writes and syncs that are held. */
  #held: (() => void)[] = [];

  set mode(mode: DiskMode) {
    this.#mode = mode;
    if (mode !== 'stalled') for (const release of this.#held.splice(0)) release();
  }

  wrap(fs: FileSystem): FileSystem {
    const overrides: Partial<FileSystem> = {
      open: async (path, mode) => this.#wrapFile(await fs.open(path, mode)),
      openSync: (path, mode) => this.#wrapFile(fs.openSync(path, mode)),
    };
    return overriding(fs, overrides);
  }

  #wrapFile(file: File): File {
    return overriding(file, {
      datasync: async () => {
        await this.#whileStalled();
        if (this.#mode === 'failing') throw this.#error('IO_FAILED', file.path);
        await file.datasync();
      },
      write: async (buffers, position) => {
        await this.#whileStalled();
        if (this.#mode === 'full') throw this.#error('IO_NO_SPACE', file.path);
        await file.write(buffers, position);
      },
    });
  }

  async #whileStalled(): Promise<void> {
    if (this.#mode === 'stalled') await new Promise<void>((resolve) => this.#held.push(resolve));
  }

  #error(code: 'IO_FAILED' | 'IO_NO_SPACE', path: string): IoError {
    return new IoError(code, `The disk is ${this.#mode}, as it was told to be.`, { path });
  }
}

function overriding<T extends object>(target: T, overrides: Partial<T>): T {
  // Not a proxy of the target itself, which may be frozen.
  return new Proxy({} as T, {
    get: (_, name) => {
      const own = overrides[name as keyof T];
      if (own !== undefined) return own;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
