// nori-lsm stats: levels, sizes, sequence number, keyspaces, deletes of ranges, marks.
import { nodeFileSystem } from 'nori-io';
import { toBytes } from '../bytes.js';
import { LOG_DIR } from '../directory.js';
import type { KeyspaceSettings, LsmStats } from '../types.js';
import type { Command } from './command.js';
import { show } from './encoding.js';
import { EXIT } from './failure.js';
import { openToRead } from './open.js';
import { formatTable, mib, writeOut } from './output.js';

export const stats: Command = {
  usage: 'DIR [--json]',
  summary:
    'Prints levels, sizes, the last sequence number, keyspaces, deletes of ranges under way and how many marks there are',
  help: [['--json', 'one object']],
  options: { json: { type: 'boolean' } },
  positionals: ['DIR'],
  async run(args) {
    const dir = args.positionals[0]!;
    const db = await openToRead(dir);
    try {
      const seen: Seen = {
        stats: db.stats(),
        keyspaces: db.keyspaces().map((name) => ({ name, ...db.keyspace(name).settings })),
        marks: db.durableMarks().size,
        logBytes: await sizeOfLog(dir),
      };
      await writeOut(args.has('json') ? `${JSON.stringify({ dir, ...asJson(seen) })}\n` : asText(seen));
    } finally {
      await db.close();
    }
    return EXIT.done;
  },
};

/** What there is to tell. */
interface Seen {
  readonly stats: LsmStats;
  readonly keyspaces: readonly ({ readonly name: string } & KeyspaceSettings)[];
  readonly marks: number;
  /** Undefined: the database keeps no own log. */
  readonly logBytes: number | undefined;
}

/** Numbers that JSON does not have become null. */
const asJson = ({ stats: found, keyspaces, marks, logBytes }: Seen) => ({
  ownLog: logBytes !== undefined,
  logBytes: logBytes ?? 0,
  marks,
  keyspaces,
  ...found,
  backgroundError: found.backgroundError?.message,
});

const asText = ({ stats: found, keyspaces, marks, logBytes }: Seen): string => {
  const rows = [['level', 'tables', 'bytes', 'target', 'score']];
  for (const { level, tables, bytes, targetBytes, score } of found.levels) {
    const target = Number.isFinite(targetBytes) ? mib(targetBytes) : '-';
    rows.push([`L${level}`, String(tables), mib(bytes), target, score.toFixed(2)]);
  }
  const tables = found.levels.reduce((sum, level) => sum + level.tables, 0);
  const inMemory = found.memtableEntries === 0 ? '' : `, ${found.memtableEntries} entries of it not in tables yet`;
  const lines = [
    `tables: ${tables}, ${mib(found.tableBytes)}`,
    logBytes === undefined ? 'log: none of its own' : `log: ${mib(logBytes)}${inMemory}`,
    `space amplification: ${found.spaceAmplification.toFixed(2)}`,
    `compaction debt: ${mib(found.pendingCompactionBytes)}`,
    `last sequence number: ${found.lastSequence}`,
    `keyspaces: ${keyspaces.length === 0 ? 'only the default one' : keyspaces.map(keyspaceText).join(', ')}`,
    `range tombstones: ${found.rangeTombstones}`,
    `marks: ${marks}`,
  ];
  return `${formatTable(rows)}${lines.join('\n')}\n`;
};

/** `name`, or `name (ttlMs 1000)`. */
const keyspaceText = ({ name, ...settings }: Seen['keyspaces'][number]): string => {
  const given = Object.entries(settings).map(([setting, value]) => `${setting} ${value}`);
  return given.length === 0 ? show(toBytes(name), 'utf8') : `${show(toBytes(name), 'utf8')} (${given.join(', ')})`;
};

/** Bytes of the own log's files; undefined if there is no folder for it. A writer may remove some meanwhile. */
const sizeOfLog = async (dir: string): Promise<number | undefined> => {
  const log = `${dir}/${LOG_DIR}`;
  if ((await nodeFileSystem.stat(log)) === undefined) return undefined;
  let bytes = 0;
  for (const name of await nodeFileSystem.readdir(log)) {
    if (name.endsWith('.wal')) bytes += (await nodeFileSystem.stat(`${log}/${name}`))?.sizeBytes ?? 0;
  }
  return bytes;
};
