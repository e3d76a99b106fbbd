// A measured table as Markdown.

/** What a figure reached: `goal`, `floor` or `below the floor`. */
const verdictOf = ({ figure, floor, goal, smallerIsBetter }) => {
  if (figure === undefined) return '**not measured**';
  if (floor === undefined || goal === undefined) return '**no peer to compare with**';
  const reaches = (limit) => (smallerIsBetter ? figure <= limit : figure >= limit);
  if (reaches(goal)) return 'goal';
  return reaches(floor) ? 'floor' : '**below the floor**';
};

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const cells = (row) => [
  row.what,
  row.format(row.floor),
  row.format(row.goal),
  row.format(row.figure),
  verdictOf(row),
  row.runs.map((run) => row.format(run.figure)).join(', '),
  `${average(row.runs.map((run) => run.nodeCpuPercent)).toFixed(0)} % / ${average(row.runs.map((run) => run.generatorCpuPercent)).toFixed(0)} %`,
];

const HEADER = ['what', 'floor', 'goal', 'median', 'reached', 'each run', 'CPU node / generator'];

/** With more of the cores in use before a run, percent, it measures what others left over. */
const BUSY_PERCENT_MAX = 15;

const line = (columns) => `| ${columns.join(' | ')} |`;
const grid = (header, rows) => [line(header), `|${' --- |'.repeat(header.length)}`, ...rows.map(line)].join('\n');

const machineLine = ({ processor, cores, memoryGiB, kernel, node, commit, date }) =>
  `${processor}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, Node ${node}, commit ${commit}, ${date}`;

const busyLine = ({ busyPercent }) =>
  busyPercent > BUSY_PERCENT_MAX
    ? `\n**Not valid: ${busyPercent.toFixed(0)} % of the cores were in use before the run; measure on an idle machine.**\n`
    : '';

export const renderTable = ({ name, machine, baseline, plan, rows }) => {
  const conditions =
    `${machineLine(machine)}; ${plan.durationS} s after ${plan.warmupS} s of warm-up, ` +
    `median of ${plan.repetitions}.`;
  const floorOfMachine =
    `Without NoriKV this machine takes ${baseline.roundTripMs.toFixed(3)} ms for a TCP round trip between two processes ` +
    `and ${baseline.syncMs.toFixed(3)} ms for an append of 1 KiB with fdatasync (medians, measured just before).`;
  return `${grid(HEADER, rows.map(cells))}\n\n\`npm run bench -- ${name}\`: ${conditions}\n${floorOfMachine}\n${busyLine(baseline)}`;
};

const sideBySideHeader = (stores) => ['what', ...stores, 'floor', 'goal', 'ratio', 'reached', 'each run of nori'];

/** `1.5 x lmdb`, `1.2 x etcd and 13.0k/s`, or the number itself. */
const limitText = (limit, format) => {
  if (typeof limit === 'object') {
    const { times, of, and } = limit;
    return `${times} x ${of}${and === undefined ? '' : ` and ${format(and)}`}`;
  }
  return Number.isFinite(limit) ? format(limit) : '–';
};

/** How many times the peers that floor and goal name. */
const ratiosOf = ({ figure, figures, floor, goal }) => {
  if (figure === undefined) return '–';
  const peers = new Set([floor, goal].filter((limit) => typeof limit === 'object').map((limit) => limit.of));
  const texts = [...peers].map((peer) =>
    figures[peer] === undefined ? `${peer} not measured` : `${(figure / figures[peer]).toFixed(2)} x ${peer}`,
  );
  return texts.length === 0 ? '–' : texts.join(', ');
};

const sideBySideCells = (plan, stores) => (row) => [
  (plan.quick && row.quickWhat) || row.what,
  ...stores.map((store) => (row.figures[store] === undefined ? '–' : row.format(row.figures[store]))),
  limitText(row.floor, row.format),
  limitText(row.goal, row.format),
  ratiosOf(row),
  verdictOf({ ...row, floor: row.floorFigure, goal: row.goalFigure }),
  row.each.nori.map(row.format).join(', '),
];

export const renderSideBySide = (report) => {
  const { name, machine, baseline, plan, stores, usesDisk, isTimed, versions, missing, results } = report;
  const rows = results.flatMap((result) => result.rows).map(sideBySideCells(plan, stores));
  const installed = Object.entries(versions).map(([store, version]) => `${store} ${version}`);
  const notes = results.flatMap(({ id, notes: lines }) => lines.map((text) => `- ${id}: ${text}`));
  const absent = Object.entries(missing).map(([store, reason]) => `\n**${store} could not be measured: ${reason}**\n`);
  const failed = results.flatMap(({ id, failures }) => failures.map((text) => `\n**${id} failed with ${text}**\n`));
  const times = isTimed ? `${plan.durationS} s after ${plan.warmupS} s of warm-up, ` : '';
  const conditions = `${machineLine(machine)}; ${installed.join(', ')}; ${times}median of ${plan.repetitions}${plan.quick ? ', little data' : ''}.`;
  const floorOfMachine = usesDisk
    ? `An append of 1 KiB with fdatasync takes ${baseline.syncMs.toFixed(3)} ms here (median, measured just before).\n`
    : '';
  return (
    `${grid(sideBySideHeader(stores), rows)}\n\n\`npm run bench -- ${name}\`: ${conditions}\n${floorOfMachine}` +
    `${absent.join('')}${failed.join('')}${busyLine(baseline)}${notes.length > 0 ? `\nBeside the table:\n\n${notes.join('\n')}\n` : ''}`
  );
};
