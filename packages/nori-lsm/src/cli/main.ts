#!/usr/bin/env node
// The nori-lsm command. This file knows the commands and how they end; each command is a file beside it.
import { version } from '../../package.json';
import { type Command, readArguments } from './command.js';
import { compact } from './compact.js';
import { dump } from './dump.js';
import { describe, EXIT, type ExitCode, OutputClosed, UsageFailure, usageFailure } from './failure.js';
import { importCommand } from './import.js';
import { flushOut, tell, watchOutput, writeOut } from './output.js';
import { repair } from './repair.js';
import { stats } from './stats.js';
import { verify } from './verify.js';

const COMMANDS: Readonly<Record<string, Command>> = { dump, verify, stats, compact, import: importCommand, repair };

const EXIT_CODES = 'Exit codes: 0 done, 1 failed (verify, repair: also damage was found), 2 wrong usage';

const helpOf = (name: string, { usage, summary, help }: Command): string => {
  const width = Math.max(0, ...help.map(([option]) => option.length));
  const lines = help.map(([option, what]) => `  ${option.padEnd(width)}  ${what}\n`).join('');
  return `nori-lsm ${name} ${usage}\n\n${summary}.\n${lines === '' ? '' : `\n${lines}`}\n${EXIT_CODES}\n`;
};

const helpOfAll = (): string => {
  const lines = Object.entries(COMMANDS).map(([name, { usage, summary }]) => `  ${name} ${usage}\n      ${summary}\n`);
  return `Usage: nori-lsm COMMAND …\n\n${lines.join('')}\nnori-lsm COMMAND --help tells more. --version prints the version.\n${EXIT_CODES}\n`;
};

const run = async (args: readonly string[]): Promise<ExitCode> => {
  const [name, ...rest] = args;
  if (name === undefined) throw usageFailure('a command is missing; nori-lsm --help lists them');
  if (name === '--help' || name === '-h') await writeOut(helpOfAll());
  else if (name === '--version') await writeOut(`${version}\n`);
  else {
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) throw usageFailure(`there is no command ${name}; nori-lsm --help lists them`);
    if (!rest.includes('--help') && !rest.includes('-h')) return command.run(readArguments(name, command, rest));
    await writeOut(helpOf(name, command));
  }
  return EXIT.done;
};

const runToEnd = async (): Promise<ExitCode> => {
  try {
    return await run(process.argv.slice(2));
  } catch (error) {
    if (error instanceof OutputClosed) return EXIT.done;
    tell(describe(error));
    return error instanceof UsageFailure ? EXIT.usage : EXIT.failed;
  }
};

watchOutput();
const exitCode = await runToEnd();
await flushOut();
process.exit(exitCode);
