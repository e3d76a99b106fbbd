// One measurement of MultiRaft in a process of its own: the job comes as JSON on the command line, the result goes to the parent.
import { multiWorkloads } from './workloads.mjs';

const job = JSON.parse(process.argv[2]);
try {
  const result = await multiWorkloads[job.workload](job);
  process.send({ result }, () => process.exit(0));
} catch (error) {
  process.send({ error: error.stack }, () => process.exit(1));
}
