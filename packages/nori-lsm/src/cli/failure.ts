// How a command ends: exit codes, and the line on stderr that says why.
import { LsmError, toLsmError } from '../errors.js';

/** Exit codes. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Wrong usage: exit 2. */
export class UsageFailure extends Error {
  override readonly name = 'UsageFailure';
}

export const usageFailure = (message: string): UsageFailure => new UsageFailure(message);

/** Nobody reads what is written any more: a reason to end, but no failure. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/** `error CODE: message (file F, offset N)` on one line. */
export const describe = (thrown: unknown): string => {
  if (thrown instanceof UsageFailure) return `error USAGE: ${oneLine(thrown.message)}`;
  const error = thrown instanceof LsmError ? thrown : toLsmError(thrown, 'The command failed');
  return `error ${problemLine(error)}`;
};

/** A problem on one line; file and offset only if the message does not name them. */
export const problemLine = ({ code, message, file, offset }: LsmError): string => {
  const place = [
    ...(file === undefined || message.includes(file) ? [] : [`file ${file}`]),
    ...(offset === undefined || message.includes(`offset ${offset}`) ? [] : [`offset ${offset}`]),
  ];
  return `${code}: ${oneLine(message)}${place.length === 0 ? '' : ` (${place.join(', ')})`}`;
};

const oneLine = (text: string): string => text.trim().replace(/\s*[\r\n]+\s*/g, ' ');
