// Measures a table of figures and prints it as Markdown, with the machine it was measured on. Progress goes to stderr;
// all that was measured goes to bench/results/<table>.json.
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { measureBaseline } from './baseline.mjs';
import { describeMachine } from './machine.mjs';
import { stopEverything } from './node-process.mjs';
import { renderTable } from './report.mjs';
import { foundation } from './tables/foundation.mjs';

const TABLES = { foundation };
const USAGE = `npm run bench -- [TABLE] [options]

Tables: ${Object.keys(TABLES).join(', ')} (default: foundation)

  --quick            3 s a measurement instead of 30, one instead of three: to see that it runs
  --only ROW,...     only these rows
  --repetitions N    how often each row is measured; the median is shown (default 3)
  --duration-s N     how long each measurement takes after its warm-up (default 30)
  --warmup-s N       how long the warm-up takes (default 5)
`;

const options = {
  quick: { type: 'boolean', default: false },
  only: { type: 'string' },
  repetitions: { type: 'string' },
  'duration-s': { type: 'string' },
  'warmup-s': { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
};

const say = (line) => process.stderr.write(`${line}\n`);

const wrongUsage = (message) => {
  say(`bench: ${message}\n\n${USAGE}`);
  process.exit(2);
};

const readCommandLine = () => {
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    return wrongUsage(error.message);
  }
};

const positive = (name, text, fallback) => {
  const value = text === undefined ? fallback : Number(text);
  return value > 0 ? value : wrongUsage(`--${name}: a number above 0 is allowed`);
};

const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** Runs one row as often as asked and keeps every measurement. */
const measureRow = async (definition, plan) => {
  const row = { ...definition, what: (plan.quick && definition.quickWhat) || definition.what };
  const runs = [];
  for (let repetition = 1; repetition <= plan.repetitions; repetition++) {
    say(`\n${row.what}: ${repetition} of ${plan.repetitions}`);
    const run = await row.measure(plan, say);
    say(
      `${row.what}: ${row.format(run.figure)}, node ${run.nodeCpuPercent.toFixed(0)} % CPU, generator ${run.generatorCpuPercent.toFixed(0)} %`,
    );
    runs.push(run);
  }
  return { ...row, runs, figure: median(runs.map((run) => run.figure)) };
};

const main = async () => {
  const { values, positionals } = readCommandLine();
  if (values.help) return void process.stdout.write(USAGE);
  const name = positionals[0] ?? 'foundation';
  const table = Object.hasOwn(TABLES, name) ? TABLES[name] : wrongUsage(`there is no table "${name}"`);
  const plan = {
    quick: values.quick,
    repetitions: positive('repetitions', values.repetitions, values.quick ? 1 : 3),
    durationS: positive('duration-s', values['duration-s'], values.quick ? 3 : 30),
    warmupS: positive('warmup-s', values['warmup-s'], values.quick ? 1 : 5),
  };
  const only = values.only?.split(',');
  for (const id of only ?? []) {
    if (!table.some((row) => row.id === id)) {
      wrongUsage(`--only: there is no row "${id}"; there are ${table.map((row) => row.id).join(', ')}`);
    }
  }
  const baseline = await measureBaseline();
  const rows = [];
  for (const row of table) {
    if (only === undefined || only.includes(row.id)) rows.push(await measureRow(row, plan));
  }
  const machine = describeMachine();
  const results = new URL('../results/', import.meta.url);
  mkdirSync(results, { recursive: true });
  writeFileSync(new URL(`${name}.json`, results), `${JSON.stringify({ machine, baseline, plan, rows }, null, 2)}\n`);
  process.stdout.write(renderTable({ name, machine, baseline, plan, rows }));
};

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopEverything();
    process.exit(1);
  });
}

try {
  await main();
} catch (error) {
  say(`bench: ${error.message}`);
  process.exitCode = 1;
} finally {
  stopEverything();
}
