// Waits for SIGTERM or SIGINT. One Ctrl-C can arrive twice (from the terminal, and handed on by npm), so signals that
// follow at once count as the same wish; a later one ends the process on the spot, for those who do not want to wait.
import { EXIT } from './failure.js';

/** A signal later than this after the first is a second wish, milliseconds. */
const SAME_WISH_MS = 1000;

/** Listens from construction until the process ends. */
export class StopSignal {
  /** Resolves to the name of the first signal. */
  readonly received: Promise<NodeJS.Signals>;
  #firstAtMs: number | undefined;

  constructor() {
    this.received = new Promise((resolve) => {
      const onSignal = (signal: NodeJS.Signals): void => {
        const nowMs = process.uptime() * 1000;
        if (this.#firstAtMs !== undefined && nowMs - this.#firstAtMs > SAME_WISH_MS) process.exit(EXIT.failed);
        this.#firstAtMs ??= nowMs;
        resolve(signal);
      };
      process.on('SIGTERM', onSignal);
      process.on('SIGINT', onSignal);
      // Started by a process that keeps a channel to its nodes (`norikv cluster`): when that one is gone, so are its nodes.
      if (process.connected) {
        process.once('disconnect', () => onSignal('SIGTERM'));
        process.channel?.unref();
      }
    });
  }
}
