// norikv put KEY VALUE
import { Command } from 'commander';
import { parseDurationMs, parseVersion } from './arguments.js';
import { usageFailure } from './failure.js';
import { formatTable, formatVersion, writeJson, writeOut } from './output.js';
import { sessionOptions, withClient } from './session.js';

interface PutFlags {
  readonly ttl?: string;
  readonly ifAbsent?: boolean;
  readonly ifVersion?: string;
}

export const putCommand = (): Command =>
  new Command('put')
    .description('write a value')
    .argument('<key>', 'key, 1 to 1024 bytes')
    .argument('<value>', 'value; -: all of stdin')
    .option('--ttl <TIME>', 'forget the key after this time: 500ms, 30s, 5m, 2h, 1d; a bare number: milliseconds')
    .option('--if-absent', 'only if there is no such key')
    .option('--if-version <TERM.INDEX>', 'only if the key has this version')
    .action(async (key: string, value: string, flags: PutFlags, command: Command) => {
      const session = sessionOptions(command);
      if (flags.ifAbsent && flags.ifVersion !== undefined) {
        throw usageFailure('--if-absent and --if-version exclude each other');
      }
      const conditions = {
        ...(flags.ttl === undefined ? {} : { ttlMs: parseDurationMs('--ttl', flags.ttl) }),
        ...(flags.ifAbsent ? { ifAbsent: true } : {}),
        ...(flags.ifVersion === undefined ? {} : { ifVersion: parseVersion('--if-version', flags.ifVersion) }),
      };
      const bytes = value === '-' ? await readStdin() : value;
      const { version } = await withClient(session, (client) => client.put(key, bytes, conditions));
      if (session.output === 'json') await writeJson({ key, version });
      else if (session.output === 'table')
        await writeOut(
          formatTable([
            ['KEY', 'VERSION'],
            [key, formatVersion(version)],
          ]),
        );
      else await writeOut(`OK ${formatVersion(version)}\n`);
    });

const readStdin = async (): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
};
