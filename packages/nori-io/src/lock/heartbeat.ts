// Touching the lock file at intervals, for takers that can neither look for the holder's process nor reach its socket: on
// another machine, or where the file system has no sockets.
import fs from 'node:fs';

/** How often a holder touches its lock file. */
export const BEAT_MS = 2000;
/** A holder that missed so many beats is dead. */
const BEATS_MISSED_MAX = 15;
const POLLS_PER_BEAT = 2;

/** What watching showed: a beat, none for as long as it takes, or that the lock changed hands. */
export type Watched = 'beats' | 'silent' | 'changed';

/** Touches an open file until stopped, without keeping the process alive. */
export class Heartbeat {
  readonly #file: fs.promises.FileHandle;
  readonly #timer: NodeJS.Timeout;
  #beating: Promise<void> = Promise.resolve();

  constructor(file: fs.promises.FileHandle) {
    this.#file = file;
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
    await this.#file.close();
  }

  #beat(): void {
    const now = Date.now() / 1000;
    // A beat that fails is as one that was missed: the next may do.
    this.#beating = this.#file.utimes(now, now).catch(() => undefined);
  }
}

/** Watches the file at `path` for a beat of a holder that promised one every `beatMs`. */
export async function watchBeats(path: string, beatMs: number, sleep: (ms: number) => Promise<void>): Promise<Watched> {
  const first = await lookAt(path);
  for (let poll = 0; poll < BEATS_MISSED_MAX * POLLS_PER_BEAT; poll++) {
    await sleep(beatMs / POLLS_PER_BEAT);
    const now = await lookAt(path);
    if (first === undefined || now === undefined || now.ino !== first.ino) return 'changed';
    if (now.mtimeNs !== first.mtimeNs) return 'beats';
  }
  return 'silent';
}

/** Opens the file to look at it: a network file system then asks its server instead of its cache. */
async function lookAt(path: string): Promise<fs.BigIntStats | undefined> {
  try {
    const file = await fs.promises.open(path, 'r');
    try {
      return await file.stat({ bigint: true });
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
