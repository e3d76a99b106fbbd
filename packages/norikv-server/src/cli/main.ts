// The norikv command. This file knows the commands and how they end; each command is a file beside it and loads what is
// heavy (the SDK, the node) only when it runs.
import { Command, CommanderError } from 'commander';
import { version } from '../../package.json';
import { benchCommand } from './bench.js';
import { clusterCommand } from './cluster.js';
import { configCommand } from './config-print.js';
import { deleteCommand } from './delete.js';
import { CommandFailure, describeFailure, EXIT, type ExitCode } from './failure.js';
import { getCommand } from './get.js';
import { endOnBrokenPipe, flushOut } from './output.js';
import { putCommand } from './put.js';
import { scanCommand } from './scan.js';
import { addSessionOptions } from './session.js';
import { startCommand } from './start.js';
import { statusCommand } from './status.js';

const EXIT_CODES = 'Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 no such key';

const buildProgram = (): Command => {
  const program = addSessionOptions(new Command('norikv'))
    .description('A sharded, replicated key-value store: the node and its command line')
    .version(version, '-V, --version')
    .addHelpText('after', `\n${EXIT_CODES}`);
  const commands = [
    startCommand(),
    clusterCommand(),
    putCommand(),
    getCommand(),
    deleteCommand(),
    scanCommand(),
    statusCommand(),
    benchCommand(),
    configCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  forEachCommand(program, (command) =>
    command
      .exitOverride()
      .showSuggestionAfterError(true)
      .configureHelp({ showGlobalOptions: command !== program })
      .configureOutput({ writeErr: () => undefined }),
  );
  return program;
};

const forEachCommand = (command: Command, visit: (command: Command) => void): void => {
  visit(command);
  for (const child of command.commands) forEachCommand(child, visit);
};

/** Commander's refusals of a command line; asking for help or the version is none. */
const describeRefusal = (error: CommanderError): { exitCode: ExitCode; line: string } => {
  if (error.code === 'commander.help') {
    return describeFailure(new CommandFailure('USAGE', 'a command is missing; `norikv --help` lists them', EXIT.usage));
  }
  return describeFailure(new CommandFailure('USAGE', error.message.replace(/^error: /, ''), EXIT.usage));
};

const run = async (): Promise<ExitCode> => {
  try {
    await buildProgram().parseAsync(process.argv);
    return EXIT.done;
  } catch (error) {
    const refused = error instanceof CommanderError;
    if (refused && error.exitCode === 0) return EXIT.done;
    const { exitCode, line } = refused ? describeRefusal(error) : describeFailure(error);
    process.stderr.write(`${line}\n`);
    return exitCode;
  }
};

endOnBrokenPipe();
const exitCode = await run();
await flushOut();
process.exit(exitCode);
