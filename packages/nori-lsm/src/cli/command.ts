// What a command is, and how its arguments are read.
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { type ExitCode, usageFailure } from './failure.js';

type OptionValue = string | boolean | undefined;

/** The arguments of a command, read. */
export interface Arguments {
  readonly positionals: readonly string[];
  /** The value of an option that takes one. */
  text(name: string): string | undefined;
  /** Whether an option that takes none was given. */
  has(name: string): boolean;
}

/** One command. Its file is named as it is. */
export interface Command {
  /** Behind its name: `DIR [--option VALUE]`. */
  readonly usage: string;
  readonly summary: string;
  /** A line for each option. */
  readonly help: readonly (readonly [option: string, what: string])[];
  readonly options: NonNullable<ParseArgsConfig['options']>;
  /** Names of what must be given without an option. */
  readonly positionals: readonly string[];
  run(args: Arguments): Promise<ExitCode>;
}

/** Reads what follows the command's name. @throws UsageFailure */
export const readArguments = (name: string, command: Command, args: readonly string[]): Arguments => {
  const { values, positionals } = parse(command, args);
  if (positionals.length !== command.positionals.length) {
    throw usageFailure(`${name} takes ${command.positionals.join(' ')}; see nori-lsm ${name} --help`);
  }
  return {
    positionals,
    text: (option) => {
      const value = values[option];
      return typeof value === 'string' ? value : undefined;
    },
    has: (option) => values[option] === true,
  };
};

const parse = (
  command: Command,
  args: readonly string[],
): { readonly values: Readonly<Record<string, OptionValue>>; readonly positionals: readonly string[] } => {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: command.options, allowPositionals: true });
    return { values: values as Record<string, OptionValue>, positionals };
  } catch (error) {
    throw usageFailure((error as Error).message.split('. ')[0]!);
  }
};
