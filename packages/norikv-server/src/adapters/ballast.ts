// A ballast file: space on the disk that is given up when a write finds none, so that what is under way can still be stored and files can be
// closed. While it is gone the node takes no writes; it is written anew as soon as there is room for it, and for a little more.
//
//   absent → present ⇄ given up        absent: the node has just begun, or there was never room for it
import type { Clock, FileSystem, TimerHandle } from 'nori-io';

/** How often room for it is looked for. */
const RETRY_MS = 1_000;
/** It takes at most this part of what is free when it is made. */
const FREE_SHARE = 1 / 16;
/** It comes back when there is room for this many of it. */
const RETURN_FACTOR = 1.5;
const CHUNK_BYTES = 1024 * 1024;

/** How a ballast is made. */
export interface BallastOptions {
  readonly path: string;
  /** Size wanted; small disks get less. 0: none. */
  readonly bytes: number;
  readonly fs: FileSystem;
  readonly clock: Clock;
}

export class Ballast {
  readonly #options: BallastOptions;
  #state: 'absent' | 'present' | 'given-up' = 'absent';
  /** What the file has, or had. */
  #bytes = 0;
  #timer: TimerHandle | undefined;
  #work: Promise<void> = Promise.resolve();
  #closed = false;
  /** Called when it is there again. */
  onReturned: () => void = () => {};

  private constructor(options: BallastOptions) {
    this.#options = options;
  }

  /** Finds the file; if there is none it is made soon, not now: a start does not wait for it. */
  static async open(options: BallastOptions): Promise<Ballast> {
    const ballast = new Ballast(options);
    const found = await options.fs.stat(options.path);
    if (options.bytes > 0 && found?.kind === 'file' && found.sizeBytes > 0 && found.sizeBytes <= options.bytes) {
      ballast.#bytes = found.sizeBytes;
      ballast.#state = 'present';
    } else {
      if (found !== undefined) await options.fs.unlink(options.path);
      ballast.#schedule();
    }
    return ballast;
  }

  /** Bytes that are, or were, put aside. */
  get bytes(): number {
    return this.#bytes;
  }

  get isGivenUp(): boolean {
    return this.#state === 'given-up';
  }

  /** Gives the space back to the disk. Resolves with whether there was any. */
  async giveUp(): Promise<boolean> {
    if (this.#state !== 'present') return false;
    this.#state = 'given-up';
    const { fs, path } = this.#options;
    await (this.#work = fs.unlink(path).catch(() => {}));
    this.#schedule();
    return true;
  }

  #schedule(): void {
    if (this.#closed || this.#options.bytes === 0) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(RETRY_MS, () => void (this.#work = this.#make()), { unref: true });
  }

  async #make(): Promise<void> {
    const { fs, path } = this.#options;
    try {
      if (await this.#write()) {
        if (this.#closed) return;
        const wasGivenUp = this.isGivenUp;
        this.#state = 'present';
        if (wasGivenUp) this.onReturned();
        return;
      }
    } catch {
      // No room after all; or a disk that has other troubles, of which the log will tell.
      if ((await fs.stat(path).catch(() => undefined)) !== undefined) await fs.unlink(path).catch(() => {});
    }
    this.#schedule();
  }

  /** @returns whether there was room for it */
  async #write(): Promise<boolean> {
    const { fs, path } = this.#options;
    const free = await fs.freeBytes(dirOf(path));
    const bytes = this.isGivenUp ? this.#bytes : Math.min(this.#options.bytes, Math.floor(free * FREE_SHARE));
    if (bytes === 0 || free < bytes * RETURN_FACTOR) return false;
    if ((await fs.stat(path)) !== undefined) await fs.unlink(path);
    const file = await fs.open(path, 'create');
    try {
      for (let at = 0; at < bytes && !this.#closed; at += CHUNK_BYTES) {
        await file.write([noise(Math.min(CHUNK_BYTES, bytes - at), at)], at);
      }
      await file.datasync();
    } finally {
      await file.close();
    }
    await fs.syncDir(dirOf(path));
    if (this.#closed) throw new Error('closed');
    this.#bytes = bytes;
    return true;
  }

  /** Stops what is under way; the file stays. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#work;
  }
}

const dirOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

/** Bytes that no file system makes smaller. */
const noise = (length: number, seed: number): Uint8Array => {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed ^ 0x9e3779b9) | 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
};
