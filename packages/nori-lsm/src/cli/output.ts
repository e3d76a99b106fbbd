// Where commands write: results on stdout, with back-pressure; progress and messages on stderr.
import { performance } from 'node:perf_hooks';
import { OutputClosed } from './failure.js';

const PROGRESS_MS = 1000;
const MIB = 1024 * 1024;

let isClosed = false;

/** A reader that has seen enough (`| head`) ends the command quietly. */
export const watchOutput = (): void => {
  process.stdout.on('error', () => {
    isClosed = true;
  });
  process.stderr.on('error', () => {});
};

/** Writes to stdout; resolves when more may be written. @throws OutputClosed */
export const writeOut = async (text: string): Promise<void> => {
  if (!isClosed && !process.stdout.write(text)) {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        for (const event of ['drain', 'error', 'close']) process.stdout.off(event, done);
        resolve();
      };
      for (const event of ['drain', 'error', 'close']) process.stdout.once(event, done);
    });
  }
  if (isClosed) throw new OutputClosed();
};

/** Lets everything written to stdout reach its reader. */
export const flushOut = (): Promise<void> =>
  new Promise((resolve) => {
    if (isClosed) resolve();
    else process.stdout.write('', () => resolve());
  });

/** Writes a message to stderr. */
export const tell = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** Progress on stderr, about once a second: on a terminal in one line that is written over, otherwise a line each time. */
export class Progress {
  readonly #startedMs = performance.now();
  #shownMs = this.#startedMs;
  #isShown = false;

  /** Seconds since it was begun. */
  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  /** Shows a line if the last one was shown long enough ago. */
  update(line: () => string): void {
    const nowMs = performance.now();
    if (nowMs - this.#shownMs < PROGRESS_MS) return;
    this.#shownMs = nowMs;
    this.#isShown = true;
    process.stderr.write(process.stderr.isTTY ? `\r${line()}\u001b[K` : `${line()}\n`);
  }

  /** Takes the line off the terminal. */
  end(): void {
    if (this.#isShown && process.stderr.isTTY) process.stderr.write('\r\u001b[K');
    this.#isShown = false;
  }
}

/** `1.5 MiB`. */
export const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;

/** Columns, each as wide as its widest cell, numbers to the right; the first row is the header. */
export const formatTable = (rows: readonly (readonly string[])[]): string => {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows.map((row) => `${row.map((cell, at) => cell.padStart(widths[at]!)).join('  ')}\n`).join('');
};
