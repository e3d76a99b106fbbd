// norikv scan: keys and values in byte order, written as they arrive.
import { Command } from 'commander';
import { parseInteger } from './arguments.js';
import { bytesCell, bytesField, formatTable, formatVersion, writeOut } from './output.js';
import { sessionOptions, withClient } from './session.js';

interface ScanFlags {
  readonly prefix?: string;
  readonly limit?: string;
  readonly reverse?: boolean;
}

interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: { readonly term: number; readonly index: number };
}

const PLAIN_CHUNK_BYTES = 64 * 1024;

export const scanCommand = (): Command =>
  new Command('scan')
    .description('list keys and values in byte order, key<TAB>value a line')
    .option('--prefix <TEXT>', 'only keys that begin with this')
    .option('--limit <N>', 'stop after this many keys')
    .option('--reverse', 'descending order')
    .action(async (flags: ScanFlags, command: Command) => {
      const session = sessionOptions(command);
      const limit =
        flags.limit === undefined ? undefined : parseInteger('--limit', flags.limit, 1, Number.MAX_SAFE_INTEGER);
      const query = {
        ...(flags.prefix === undefined ? {} : { prefix: flags.prefix }),
        ...(limit === undefined ? {} : { limit }),
        ...(flags.reverse ? { reverse: true } : {}),
      };
      const write = { plain: writePlain, json: writeArray, table: writeTable }[session.output];
      await withClient(session, (client) => write(client.scan(query)));
    });

const writePlain = async (entries: AsyncIterable<Entry>): Promise<void> => {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  const tab = Buffer.from('\t');
  const newline = Buffer.from('\n');
  for await (const { key, value } of entries) {
    parts.push(key, tab, value, newline);
    bytes += key.length + value.length + 2;
    if (bytes < PLAIN_CHUNK_BYTES) continue;
    await writeOut(Buffer.concat(parts));
    parts = [];
    bytes = 0;
  }
  await writeOut(Buffer.concat(parts));
};

/** One JSON array, one entry a line. */
const writeArray = async (entries: AsyncIterable<Entry>): Promise<void> => {
  let opening = '[\n';
  for await (const { key, value, version } of entries) {
    await writeOut(
      `${opening}${JSON.stringify({ ...bytesField('key', key), ...bytesField('value', value), version })}`,
    );
    opening = ',\n';
  }
  await writeOut(opening === '[\n' ? '[]\n' : '\n]\n');
};

const writeTable = async (entries: AsyncIterable<Entry>): Promise<void> => {
  const rows = [['KEY', 'VALUE', 'VERSION']];
  for await (const { key, value, version } of entries) {
    rows.push([bytesCell(key), bytesCell(value), formatVersion(version)]);
  }
  await writeOut(formatTable(rows));
};
