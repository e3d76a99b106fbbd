// norikv get KEY
import { Command } from 'commander';
import { parseChoice } from './arguments.js';
import { CommandFailure, EXIT } from './failure.js';
import { bytesCell, bytesField, formatTable, formatVersion, writeJson, writeOut } from './output.js';
import { sessionOptions, withClient } from './session.js';

const CONSISTENCIES = ['lease', 'linearizable', 'stale_ok'] as const;

export const getCommand = (): Command =>
  new Command('get')
    .description('read a value: its bytes and one newline; exit 3 if there is no such key')
    .argument('<key>', 'key, 1 to 1024 bytes')
    .option('--consistency <LEVEL>', CONSISTENCIES.join(', '), 'lease')
    .action(async (key: string, flags: { readonly consistency: string }, command: Command) => {
      const session = sessionOptions(command);
      const consistency = parseChoice('--consistency', flags.consistency, CONSISTENCIES);
      const found = await withClient(session, (client) => client.get(key, { consistency }));
      if (found === undefined) {
        if (session.output === 'json') await writeJson({ key, found: false });
        throw new CommandFailure('NOT_FOUND', `There is no key ${JSON.stringify(key)}.`, EXIT.notFound);
      }
      const { value, version } = found;
      if (session.output === 'json') await writeJson({ key, found: true, ...bytesField('value', value), version });
      else if (session.output === 'table') {
        await writeOut(
          formatTable([
            ['KEY', 'VALUE', 'VERSION'],
            [key, bytesCell(value), formatVersion(version)],
          ]),
        );
      } else {
        await writeOut(value);
        await writeOut('\n');
      }
    });
