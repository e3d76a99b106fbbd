// nori-lsm verify: reads and checks everything, without opening the database or changing it, so that it does not end at the first damage.
import { nodeFileSystem } from 'nori-io';
import { toLsmError } from '../errors.js';
import { type Examination, examine } from '../repair/examine.js';
import { whileLocked } from '../repair.js';
import type { Command } from './command.js';
import { EXIT, problemLine } from './failure.js';
import { mib, Progress, writeOut } from './output.js';

export const verify: Command = {
  usage: 'DIR [--json]',
  summary: 'Checks every block of every table, the manifest and the whole log',
  help: [['--json', 'one object']],
  options: { json: { type: 'boolean' } },
  positionals: ['DIR'],
  async run(args) {
    const dir = args.positionals[0]!;
    const found = await examineLocked(dir);
    const { problems } = found;
    if (args.has('json')) {
      await writeOut(
        `${JSON.stringify({ dir, sound: problems.length === 0, ...countsOf(found), problems: problems.map(asJson) })}\n`,
      );
    } else await writeOut(asText(found));
    return problems.length === 0 ? EXIT.done : EXIT.failed;
  },
};

const examineLocked = async (dir: string): Promise<Examination> => {
  const progress = new Progress();
  const show = ({ done, total }: { readonly done: number; readonly total: number | undefined }): void =>
    progress.update(() => `checked ${done} of ${total} tables`);
  try {
    return await whileLocked(nodeFileSystem, dir, () => examine(nodeFileSystem, dir, show));
  } catch (error) {
    throw toLsmError(error, `Cannot check ${dir}`);
  } finally {
    progress.end();
  }
};

const countsOf = ({ tables, unlisted, log }: Examination) => ({
  tables: tables.length,
  entries: tables.reduce((sum, { entriesKept }) => sum + entriesKept, 0),
  bytes: tables.reduce((sum, { properties }) => sum + (properties?.fileBytes ?? 0), 0),
  unlistedTables: unlisted.length,
  logSegments: log.segments,
  logRecords: log.records,
  operationsInLogAlone: log.operations,
});

const asText = (found: Examination): string => {
  const counts = countsOf(found);
  const lines = found.problems.map((problem) => problemLine(problem));
  const log =
    found.log.state === 'none' ? 'no own log' : `log: ${counts.logSegments} segments, ${counts.logRecords} records`;
  lines.push(`${counts.tables} tables, ${counts.entries} entries, ${mib(counts.bytes)}; ${log}`);
  if (counts.unlistedTables > 0)
    lines.push(`${counts.unlistedTables} tables are leftovers of a crash; opening removes them`);
  lines.push(found.problems.length === 0 ? 'sound' : `${found.problems.length} problems`);
  return `${lines.join('\n')}\n`;
};

const asJson = ({ code, message, file, offset }: Examination['problems'][number]) => ({ code, message, file, offset });
