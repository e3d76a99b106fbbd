// Runs a load generator in a process of its own, and sees what CPU servers and generator use in the measured time.
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { cpuSecondsOf } from '../process-stats.mjs';
import { goClient } from './go-client.mjs';
import { assertAlive, startProcess } from './servers.mjs';

const GENERATOR = fileURLToPath(new URL('./generator.mjs', import.meta.url));
/** Failed operations beyond this share make a figure worthless. */
const FAILED_SHARE_MAX = 1e-3;

const cpuOf = (processes) => processes.map(({ pid }) => cpuSecondsOf(pid));

/** Percent of a core that each of `processes` uses until the function that is returned is called. */
const watchCpu = (processes) => {
  const startMs = performance.now();
  const before = cpuOf(processes);
  return () => {
    const seconds = (performance.now() - startMs) / 1000;
    return cpuOf(processes).map((after, i) => ((after - before[i]) / seconds) * 100);
  };
};

const commandOf = async (store, job, execArgv) =>
  store === 'etcd'
    ? [await goClient(), JSON.stringify(job)]
    : [process.execPath, ...execArgv, GENERATOR, JSON.stringify({ ...job, driver: store })];

/**
 * @param store whose client: `nori`, `etcd` (Go), `etcd3`, `redis`
 * @param onMeasuring called as the measured time begins
 * @returns the generator's result, with `serverCpu` (a percentage for each server) and `generatorCpu`
 */
export const generate = async (store, job, servers, { onMeasuring, execArgv = [] } = {}) => {
  const [command, ...args] = await commandOf(store, job, execArgv);
  const generator = startProcess('the load generator', command, args);
  const processes = [...servers, generator];
  let readCpu;
  let cpu = [];
  let result;
  createInterface({ input: generator.child.stdout }).on('line', (line) => {
    const message = JSON.parse(line);
    if (message.event === 'measuring') {
      readCpu = watchCpu(processes);
      onMeasuring?.();
    } else if (message.event === 'measured') cpu = readCpu();
    else result = message.result;
  });
  await generator.over;
  if (result === undefined) throw new Error(`the load generator of ${store} failed: ${generator.lastWords()}`);
  if (onMeasuring === undefined) assertAlive(servers);
  return { ...result, serverCpu: cpu.slice(0, servers.length), generatorCpu: cpu.at(-1) };
};

/** Refuses results with failed or empty answers: a figure made of errors is none. */
export const assertClean = ({ count, misses, errors }) => {
  const failed = Object.values(errors).reduce((sum, n) => sum + n, 0);
  const texts = Object.entries(errors).map(([name, n]) => `${name} ${n}`);
  if (misses > 0) throw new Error(`${misses} of ${count} reads found nothing`);
  if (failed > count * FAILED_SHARE_MAX) throw new Error(`of ${count} operations failed: ${texts.join(', ')}`);
};
