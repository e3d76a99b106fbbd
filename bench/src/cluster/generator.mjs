// Load by a client for Node, from a process of its own. The job comes as JSON on the command line; what happens is told on stdout, a
// line of JSON each: `measuring` and `measured` as the measured time begins and ends, then the `result`. The program in etcd-client/ takes
// the same jobs.
import { setTimeout as sleep } from 'node:timers/promises';
import { DRIVERS } from './drivers.mjs';
import { keyAt, valuesOf } from './keys.mjs';
import { closedLoop, gaps, openLoop, writeAll } from './loops.mjs';

const VALUES = 64;

const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

let announced;

const announce = ({ fromMs, toMs }) => {
  announced = (async () => {
    await sleep(fromMs - performance.now());
    tell({ event: 'measuring' });
    await sleep(toMs - performance.now());
    tell({ event: 'measured' });
  })();
};

const run = async (job, driver) => {
  const keys = Array.from({ length: job.keys }, (_, index) => driver.keyForm(keyAt(index)));
  const values = valuesOf(VALUES, job.valueBytes);
  let turn = 0;
  const write = (index) => driver.put(keys[index] ?? driver.keyForm(keyAt(index)), values[turn++ % VALUES]);
  const random = () => Math.floor(Math.random() * keys.length);
  const operation = driver[job.operation];
  const call = job.operation === 'put' ? () => write(random()) : () => operation(keys[random()]);
  switch (job.task) {
    case 'write-all':
      return writeAll(job, write);
    case 'closed':
      return closedLoop(job, call, announce);
    case 'open':
      return openLoop(job, call, announce);
    case 'gaps':
      return gaps(job, write, announce);
    default:
      throw new Error(`there is no task "${job.task}"`);
  }
};

const job = JSON.parse(process.argv[2]);
const driver = await DRIVERS[job.driver](job);
const result = await run(job, driver);
await announced;
await driver.close();
process.stdout.write(`${JSON.stringify({ event: 'result', result })}\n`, () => process.exit(0));
