// The node's log: structured lines on stderr through pino, as JSON for machines or as text for people. Keys and values
// of users are never logged at info or above.
import { type DestinationStream, destination, type LoggerOptions, pino, stdTimeFunctions } from 'pino';
import type { LogFormat, LogLevel } from '../config/node-config.js';
import type { Logger } from '../ports/logger.js';

/** How a log is written. */
export interface LoggerSettings {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly nodeId: string;
  /** Whether the lines go to a terminal; decides what `auto` means. */
  readonly terminal: boolean;
  /** Where lines go; default: stderr, written synchronously, so that none is lost when the process ends. */
  readonly stream?: DestinationStream;
}

const STDERR = 2;

/** Makes the log of a node. */
export const createLogger = (settings: LoggerSettings): Logger => {
  const stream = settings.stream ?? stderrStream();
  const text = settings.format === 'text' || (settings.format === 'auto' && settings.terminal);
  const options: LoggerOptions = {
    level: settings.level,
    base: { node: settings.nodeId },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    messageKey: 'message',
  };
  return pino(options, text ? { write: (line) => stream.write(formatLine(line)) } : stream);
};

const stderrStream = (): DestinationStream => {
  const stream = destination({ fd: STDERR, sync: true });
  // Nobody reads the log any more: a node goes on without it.
  stream.on('error', () => undefined);
  return stream;
};

/** `12:00:00.000 INFO  Opened the log  segments=3 bytes=1024`. */
const formatLine = (line: string): string => {
  const { time, level, message, node: _, err, ...facts } = JSON.parse(line) as Record<string, unknown>;
  const clock = String(time).slice(11, 23);
  const pairs = Object.entries(facts).map(([name, value]) => `${name}=${formatValue(value)}`);
  const failure = err === undefined ? '' : `\n  ${formatError(err)}`;
  const tail = pairs.length === 0 ? '' : `  ${pairs.join(' ')}`;
  return `${clock} ${String(level).toUpperCase().padEnd(5)} ${String(message)}${tail}${failure}\n`;
};

const formatValue = (value: unknown): string => {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
};

const formatError = (error: unknown): string => {
  const { stack, message } = error as { stack?: string; message?: string };
  return (stack ?? message ?? JSON.stringify(error)).replaceAll('\n', '\n  ');
};
