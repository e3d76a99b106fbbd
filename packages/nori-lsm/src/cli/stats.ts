// nori-lsm stats: levels, sizes, sequence number, marks.
import { nodeFileSystem } from 'nori-io';
import { LOG_DIR } from '../directory.js';
import type { LsmStats } from '../types.js';
import type { Command } from './command.js';
import { EXIT } from './failure.js';
import { keepsOwnLog, openToRead } from './open.js';
import { formatTable, mib, writeOut } from './output.js';

export const stats: Command = {
  usage: 'DIR [--json]',
  summary: 'Prints levels, sizes, the last sequence number and how many marks there are',
  help: [['--json', 'one object']],
  options: { json: { type: 'boolean' } },
  positionals: ['DIR'],
  async run(args) {
    const dir = args.positionals[0]!;
    const ownLog = await keepsOwnLog(dir);
    const db = await openToRead(dir);
    try {
      const found = db.stats();
      const marks = db.durableMarks().size;
      const logBytes = await sizeOfLog(dir);
      await writeOut(
        args.has('json')
          ? `${JSON.stringify({ dir, ownLog, logBytes, marks, ...asJson(found) })}\n`
          : asText(found, ownLog, logBytes, marks),
      );
    } finally {
      await db.close();
    }
    return EXIT.done;
  },
};

/** Numbers that JSON does not have become null. */
const asJson = (found: LsmStats) => ({ ...found, backgroundError: found.backgroundError?.message });

const asText = (found: LsmStats, ownLog: boolean, logBytes: number, marks: number): string => {
  const rows = [['level', 'tables', 'bytes', 'target', 'score']];
  for (const { level, tables, bytes, targetBytes, score } of found.levels) {
    const target = Number.isFinite(targetBytes) ? mib(targetBytes) : '-';
    rows.push([`L${level}`, String(tables), mib(bytes), target, score.toFixed(2)]);
  }
  const tables = found.levels.reduce((sum, level) => sum + level.tables, 0);
  const inMemory = found.memtableEntries === 0 ? '' : `, ${found.memtableEntries} entries of it not in tables yet`;
  const lines = [
    `tables: ${tables}, ${mib(found.tableBytes)}`,
    ownLog ? `log: ${mib(logBytes)}${inMemory}` : 'log: none of its own',
    `space amplification: ${found.spaceAmplification.toFixed(2)}`,
    `compaction debt: ${mib(found.pendingCompactionBytes)}`,
    `last sequence number: ${found.lastSequence}`,
    `marks: ${marks}`,
  ];
  return `${formatTable(rows)}${lines.join('\n')}\n`;
};

const sizeOfLog = async (dir: string): Promise<number> => {
  const log = `${dir}/${LOG_DIR}`;
  if ((await nodeFileSystem.stat(log)) === undefined) return 0;
  let bytes = 0;
  for (const name of await nodeFileSystem.readdir(log)) {
    if (name.endsWith('.wal')) bytes += (await nodeFileSystem.stat(`${log}/${name}`))?.sizeBytes ?? 0;
  }
  return bytes;
};
