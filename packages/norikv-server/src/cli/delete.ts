// norikv delete KEY
import { Command } from 'commander';
import { parseVersion } from './arguments.js';
import { CommandFailure, EXIT } from './failure.js';
import { formatTable, formatVersion, writeJson, writeOut } from './output.js';
import { sessionOptions, withClient } from './session.js';

export const deleteCommand = (): Command =>
  new Command('delete')
    .description('delete a key; exit 3 if there is no such key')
    .argument('<key>', 'key, 1 to 1024 bytes')
    .option('--if-version <TERM.INDEX>', 'only if the key has this version')
    .action(async (key: string, flags: { readonly ifVersion?: string }, command: Command) => {
      const session = sessionOptions(command);
      const condition =
        flags.ifVersion === undefined ? {} : { ifVersion: parseVersion('--if-version', flags.ifVersion) };
      const { deleted, version } = await withClient(session, (client) => client.delete(key, condition));
      if (session.output === 'json') await writeJson({ key, deleted, version });
      if (!deleted) throw new CommandFailure('NOT_FOUND', `There is no key ${JSON.stringify(key)}.`, EXIT.notFound);
      if (session.output === 'table') {
        await writeOut(
          formatTable([
            ['KEY', 'DELETED', 'VERSION'],
            [key, 'yes', formatVersion(version)],
          ]),
        );
      } else if (session.output === 'plain') await writeOut(`OK ${formatVersion(version)}\n`);
    });
