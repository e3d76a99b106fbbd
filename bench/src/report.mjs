// A measured table as Markdown.

/** What a figure reached: `goal`, `floor` or `below the floor`. */
const verdictOf = ({ figure, floor, goal, smallerIsBetter }) => {
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

export const renderTable = ({ name, machine, baseline, plan, rows }) => {
  const line = (columns) => `| ${columns.join(' | ')} |`;
  const table = [line(HEADER), `|${' --- |'.repeat(HEADER.length)}`, ...rows.map((row) => line(cells(row)))];
  const conditions =
    `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.kernel}, Node ${machine.node}, ` +
    `commit ${machine.commit}, ${machine.date}; ${plan.durationS} s after ${plan.warmupS} s of warm-up, ` +
    `median of ${plan.repetitions}.`;
  const floorOfMachine =
    `Without NoriKV this machine takes ${baseline.roundTripMs.toFixed(3)} ms for a TCP round trip between two processes ` +
    `and ${baseline.syncMs.toFixed(3)} ms for an append of 1 KiB with fdatasync (medians, measured just before).`;
  const busy =
    baseline.busyPercent > BUSY_PERCENT_MAX
      ? `\n**Not valid: ${baseline.busyPercent.toFixed(0)} % of the cores were in use before the run; measure on an idle machine.**\n`
      : '';
  return `${table.join('\n')}\n\n\`npm run bench -- ${name}\`: ${conditions}\n${floorOfMachine}\n${busy}`;
};
