// `npm run soak -- --hours N [--nodes 3,5] [--seed S]`: the misfortunes of clusters of real nodes (packages/norikv-server/test/cluster)
// for hours. Ends with the first failure, and says with which seed it came.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const TEST = 'packages/norikv-server/test/cluster/misfortunes.test.ts';
const USAGE = 'usage: npm run soak -- --hours N [--nodes 3,5] [--seed S]';

const wrong = (text) => {
  console.error(`${text}\n${USAGE}`);
  process.exit(2);
};

const read = () => {
  try {
    const string = { type: 'string' };
    return parseArgs({ options: { hours: string, nodes: string, seed: string } }).values;
  } catch (error) {
    return wrong(error.message);
  }
};

const { hours, nodes = '3,5', seed } = read();
if (!(Number(hours) > 0)) wrong('--hours must be a number above 0');
if (!/^[1-9]\d?(,[1-9]\d?)*$/.test(nodes)) wrong('--nodes must be numbers of nodes, such as 5 or 3,5');
if (seed !== undefined && !/^\d+$/.test(seed)) wrong('--seed must be a whole number');

const env = { ...process.env, NORI_SOAK_MINUTES: String(Number(hours) * 60), NORI_SOAK_NODES: nodes };
if (seed !== undefined) env.NORI_SEED = seed;
const { status } = spawnSync('vitest', ['run', TEST], { stdio: 'inherit', env });
process.exit(status ?? 1);
