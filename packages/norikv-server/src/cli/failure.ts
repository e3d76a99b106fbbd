// How commands end: exit codes, and the one line on stderr that says why.
import { ConfigError } from '../config/config-error.js';

/** Exit codes of the norikv command. */
export const EXIT = { done: 0, failed: 1, usage: 2, notFound: 3 } as const;

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with an exit code and the line `norikv: CODE: message`. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';

  constructor(
    readonly code: string,
    message: string,
    readonly exitCode: ExitCode = EXIT.failed,
  ) {
    super(message);
  }
}

/** Wrong usage: exit 2. */
export const usageFailure = (message: string): CommandFailure => new CommandFailure('USAGE', message, EXIT.usage);

/** The exit code and line of any error. Errors with a `code` of their own keep it. */
export const describeFailure = (error: unknown): { exitCode: ExitCode; line: string } => {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return { exitCode: exitCodeOf(error), line: `norikv: ${code}: ${message.trim().replace(/\s*[\r\n]+\s*/g, ' ')}` };
};

const codeOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && code !== '' ? code : 'INTERNAL';
};

const exitCodeOf = (error: unknown): ExitCode => {
  if (error instanceof CommandFailure) return error.exitCode;
  return error instanceof ConfigError ? EXIT.usage : EXIT.failed;
};
