// One measurement in a process of its own: the job comes as JSON on the command line, the result goes to the parent.

import { layerWorkloads } from '../embedded/layer.mjs';
import { rangeWorkloads } from '../embedded/ranges.mjs';
import { smallCallWorkloads } from '../embedded/small-calls.mjs';
import { upkeepWorkloads } from '../embedded/upkeep.mjs';
import { load } from './load.mjs';
import { appends } from './log.mjs';
import { fill, fillLog, open, replay } from './opening.mjs';
import { workloads } from './workloads.mjs';

const WORKLOADS = {
  ...workloads,
  load,
  fill,
  open,
  fillLog,
  replay,
  appends,
  ...upkeepWorkloads,
  ...smallCallWorkloads,
  ...layerWorkloads,
  ...rangeWorkloads,
};

const job = JSON.parse(process.argv[2]);
try {
  const result = await WORKLOADS[job.workload](job);
  process.send({ result });
  if (result.mustBeKilled) setInterval(() => undefined, 1000);
  else process.disconnect();
} catch (error) {
  process.send({ error: error.stack }, () => process.exit(1));
}
