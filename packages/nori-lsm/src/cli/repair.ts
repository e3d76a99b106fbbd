// nori-lsm repair: salvages what can be read, and says what was lost.
import type { LostRange, RepairedTable, RepairReport } from '../repair.js';
import { repair as repairDatabase } from '../repair.js';
import type { Command } from './command.js';
import { show } from './encoding.js';
import { EXIT, problemLine } from './failure.js';
import { Progress, writeOut } from './output.js';

const PHASES = {
  tables: 'checked tables',
  rewrite: 'rewrote tables',
  merge: 'merged tables',
  log: 'writes of the log',
};

export const repair: Command = {
  usage: 'DIR [--json]',
  summary: 'Salvages what can be read of a damaged database; what it replaces or gives up goes to DIR/lost',
  help: [['--json', 'the report as one object; keys in base64']],
  options: { json: { type: 'boolean' } },
  positionals: ['DIR'],
  async run(args) {
    const progress = new Progress();
    let report: RepairReport;
    try {
      report = await repairDatabase({
        dir: args.positionals[0]!,
        onProgress: ({ phase, done, total }) =>
          progress.update(() => `${PHASES[phase]}: ${done}${total === undefined ? '' : ` of ${total}`}`),
      });
    } finally {
      progress.end();
    }
    await writeOut(args.has('json') ? `${JSON.stringify(report, asJson)}\n` : asText(report));
    return report.damaged ? EXIT.failed : EXIT.done;
  },
};

const asJson = (_: string, value: unknown): unknown => {
  if (value instanceof Uint8Array) return show(value, 'base64');
  if (!(value instanceof Error)) return value;
  const { code, message, file, offset } = value as RepairReport['problems'][number];
  return { code, message, file, offset };
};

const asText = (report: RepairReport): string => {
  if (!report.damaged) return `sound: ${report.tablesSound} tables; nothing was changed\n`;
  const lines = report.problems.map((problem) => `found ${problemLine(problem)}`);
  if (report.manifest === 'rebuilt') lines.push('The list of tables was made anew, of all tables that were found.');
  if (report.manifest === 'current-mended') lines.push('CURRENT names the newest manifest again.');
  lines.push(...report.tables.flatMap(tableLines));
  const { log } = report;
  if (log.outcome === 'salvaged') {
    const missing =
      log.operationsMissing === 0 ? '' : `, ${log.operationsMissing} sequence numbers between them are missing`;
    lines.push(`log: ${log.operationsKept} writes kept${missing}`);
  } else if (log.outcome === 'kept')
    lines.push(`log: sound, ${log.operationsKept} writes to be taken when it is opened`);
  for (const { id, name } of report.recoveredKeyspaces) lines.push(`keyspace ${id} is named ${name} now`);
  lines.push(`${report.tablesSound} tables were sound`, ...report.notes.map((note) => `note: ${note}`));
  lines.push(`${report.moved.length} files are in ${report.lostDir}`);
  return `${lines.join('\n')}\n`;
};

const tableLines = (table: RepairedTable): string[] => {
  const { file, outcome, entriesKept, entriesLost, lost } = table;
  const level = table.level === undefined ? '' : ` (L${table.level})`;
  const gone = entriesLost === undefined ? 'an unknown number' : String(entriesLost);
  return [
    `table ${file}${level}: ${outcome}, ${entriesKept} entries kept, ${gone} lost`,
    ...lost.map((range) => `  lost keys ${rangeText(range)}`),
  ];
};

const rangeText = ({ from, to }: LostRange): string =>
  `from ${from === undefined ? 'the first one' : show(from, 'utf8')} to ${to === undefined ? 'the last one' : show(to, 'utf8')}`;
