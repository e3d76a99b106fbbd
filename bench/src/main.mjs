// Measures a table of figures and prints it as Markdown, with the machine it was measured on. Progress goes to stderr;
// all that was measured goes to bench/results/<table>.json.
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { measureBaseline } from './baseline.mjs';
import { describeMachine } from './machine.mjs';
import { median } from './median.mjs';
import { stopEverything } from './node-process.mjs';
import { renderSideBySide, renderTable } from './report.mjs';
import { measureSideBySide } from './side-by-side.mjs';
import { STORES } from './storage/settings.mjs';
import { cluster } from './tables/cluster.mjs';
import { embedded } from './tables/embedded.mjs';
import { foundation } from './tables/foundation.mjs';
import { raftCore } from './tables/raft-core.mjs';
import { raftMulti } from './tables/raft-multi.mjs';
import { storage } from './tables/storage.mjs';

/** A list of rows that are measured one after the other, or `measurements` made with several stores side by side. */
const TABLES = { foundation, storage, embedded, 'raft-core': raftCore, 'raft-multi': raftMulti, cluster };
const DEFAULTS = { repetitions: 3, durationS: 30, warmupS: 5 };
const QUICK = { repetitions: 1, durationS: 3, warmupS: 1 };
const USAGE = `npm run bench -- [TABLE] [options]

Tables: ${Object.keys(TABLES).join(', ')} (default: foundation)

  --quick            little data and short measurements, one instead of three: to see that it runs
  --only ROW,...     only these rows
  --cpu-prof ROW     all but foundation: profiles one measurement of ROW with nori, and shows where its threads spend their time
  --repetitions N    how often each row is measured; the median is shown (default 3; cluster: 1)
  --duration-s N     foundation, raft-multi, cluster: how long each measurement takes after its warm-up (default 30; cluster: 60)
  --warmup-s N       foundation, raft-multi, cluster: how long the warm-up takes (default 5; cluster: 10)
`;

const options = {
  quick: { type: 'boolean', default: false },
  only: { type: 'string' },
  'cpu-prof': { type: 'string' },
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

/** The entries of `list` that `--only` names, all of them without it. */
const select = (list, text) => {
  const ids = list.map((entry) => entry.id);
  const only = text?.split(',') ?? ids;
  for (const id of only) {
    if (!ids.includes(id)) wrongUsage(`--only: there is no row "${id}"; there are ${ids.join(', ')}`);
  }
  return list.filter((entry) => only.includes(entry.id));
};

const measureRows = async (rows, plan) => {
  const baseline = await measureBaseline();
  const measured = [];
  for (const row of rows) measured.push(await measureRow(row, plan));
  return { baseline, rows: measured };
};

const measureBesides = async (table, measurements, plan) => {
  const baseline = await measureBaseline({ dir: tmpdir(), withNetwork: false });
  const { available, missing } = await table.findStores();
  for (const [store, reason] of Object.entries(missing)) say(`bench: ${store} cannot be used: ${reason}`);
  const results = [];
  for (const measurement of measurements) {
    results.push(await measureSideBySide(measurement, available, plan, say));
    measurement.after?.();
  }
  const { stores = STORES, usesDisk = true, isTimed = false } = table;
  return { baseline, stores, usesDisk, isTimed, versions: table.versions(), missing, results };
};

const main = async () => {
  const { values, positionals } = readCommandLine();
  if (values.help) return void process.stdout.write(USAGE);
  const name = positionals[0] ?? 'foundation';
  const table = Object.hasOwn(TABLES, name) ? TABLES[name] : wrongUsage(`there is no table "${name}"`);
  const defaults = values.quick ? QUICK : { ...DEFAULTS, ...table.defaults };
  const plan = {
    quick: values.quick,
    repetitions: positive('repetitions', values.repetitions, defaults.repetitions),
    durationS: positive('duration-s', values['duration-s'], defaults.durationS),
    warmupS: positive('warmup-s', values['warmup-s'], defaults.warmupS),
  };
  const isSideBySide = table.measurements !== undefined;
  if (values['cpu-prof'] !== undefined) {
    if (!isSideBySide) wrongUsage('--cpu-prof is for all tables but foundation');
    const [measurement] = select(table.measurements, values['cpu-prof']);
    return void process.stdout.write(await table.profile(measurement, plan));
  }
  const selected = select(table.measurements ?? table, values.only);
  const measured = isSideBySide ? await measureBesides(table, selected, plan) : await measureRows(selected, plan);
  const report = { name, machine: describeMachine(), plan, ...measured };
  const results = new URL('../results/', import.meta.url);
  mkdirSync(results, { recursive: true });
  writeFileSync(new URL(`${name}.json`, results), `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(isSideBySide ? renderSideBySide(report) : renderTable(report));
  if (measured.results?.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
};

const stop = () => {
  stopEverything();
  for (const table of Object.values(TABLES)) table.stop?.();
};

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stop();
    process.exit(1);
  });
}

try {
  await main();
} catch (error) {
  say(`bench: ${error.message}`);
  process.exitCode = 1;
} finally {
  stop();
}
