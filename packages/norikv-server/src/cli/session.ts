// What commands that talk to a node share: the options that may stand anywhere on the line, and a connected client.
import { type Command, Option } from 'commander';
import type { NoriClient } from 'norikv-client';
import { parseChoice, parseEndpoints, parseInteger } from './arguments.js';
import type { OutputFormat } from './output.js';

const TIMEOUT_MAX_MS = 3_600_000;

/** The options of every command. */
export interface SessionOptions {
  readonly endpoints: readonly string[];
  readonly output: OutputFormat;
  /** How long one operation may take. */
  readonly timeoutMs: number;
}

/** Adds the options of every command to the program; commander takes them before and after the command's name. */
export const addSessionOptions = (program: Command): Command =>
  program
    .addOption(
      new Option('--endpoints <HOST:PORT,...>', 'nodes to talk to').default('127.0.0.1:7447').env('NORIKV_ENDPOINTS'),
    )
    .addOption(new Option('-o, --output <FORMAT>', 'plain, json or table').default('plain'))
    .addOption(new Option('--timeout-ms <N>', 'how long one operation may take').default('10000'));

/** Reads the options of every command. */
export const sessionOptions = (command: Command): SessionOptions => {
  const given = command.optsWithGlobals<{ endpoints: string; output: string; timeoutMs: string }>();
  return {
    endpoints: parseEndpoints(given.endpoints),
    output: parseChoice('--output', given.output, ['plain', 'json', 'table']),
    timeoutMs: parseInteger('--timeout-ms', given.timeoutMs, 1, TIMEOUT_MAX_MS),
  };
};

/** Connects, runs `use`, and closes. The SDK is loaded only here: help and wrong usage answer at once. */
export const withClient = async <T>(options: SessionOptions, use: (client: NoriClient) => Promise<T>): Promise<T> => {
  const { NoriClient } = await import('norikv-client');
  const client = await NoriClient.connect({ endpoints: [...options.endpoints], timeoutMs: options.timeoutMs });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
};
