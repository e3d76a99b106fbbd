// Structured logging as a dependency: the part of pino's interface that the node uses.

/** One level: fields first, then a sentence. Never a key's or value's bytes at `info` and above. */
export type LogMethod = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** Where the node writes its log; a pino logger has this shape. */
export interface Logger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
}

const ignore: LogMethod = () => {};

/** Throws everything away. */
export const silentLogger: Logger = Object.freeze({ debug: ignore, info: ignore, warn: ignore, error: ignore });
