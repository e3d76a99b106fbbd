// Writes what can be read of a damaged table as a new one.
import type { FileSystem } from 'nori-io';
import { SSTableWriter, salvageTable, type TableProperties } from 'nori-sstable';
import { type TableMeta, tableName } from '../table-meta.js';
import { metaOf } from '../table-output.js';
import type { TableFinding } from './examine-tables.js';
import type { LostFolder } from './lost-folder.js';

/** Writes the entries of a damaged table as table `number`, data durable, under its name in the database. */
export const rewriteTable = async (
  fs: FileSystem,
  dir: string,
  table: TableFinding,
  number: number,
  lost: LostFolder,
): Promise<TableMeta> => {
  const name = tableName(number);
  const writer = await SSTableWriter.create({
    fs,
    path: `${lost.staging}/${name}`,
    level: table.level ?? 0,
    ...writerSettings(table.properties),
    ...(table.properties === undefined ? {} : { properties: userProperties(table.properties) }),
  });
  let properties: TableProperties;
  try {
    for await (const item of salvageTable(fs, `${dir}/${table.file}`)) {
      if (item.type !== 'block') continue;
      for (const { key, seq, kind, expiresAtMs, value } of item.entries) writer.add(key, seq, kind, expiresAtMs, value);
      if (writer.needsDrain) await writer.drain();
    }
    properties = await writer.finish();
  } catch (error) {
    await writer.abandon().catch(() => {});
    throw error;
  }
  await lost.finishTable(name);
  return metaOf(number, properties);
};

/** How a table was written, as far as its properties can tell. */
export const writerSettings = (properties: TableProperties | undefined) => {
  if (properties === undefined) return { blockBytes: 4096, bloomBitsPerKey: 10 };
  const { blockBytes, bloomBitsPerKey, compression } = properties;
  return { blockBytes: blockBytes || 4096, bloomBitsPerKey, compression };
};

/** Properties that are not the format's. */
const userProperties = ({ extra }: TableProperties): [string, Uint8Array][] =>
  [...extra].filter(([name]) => !name.startsWith('nori.'));
