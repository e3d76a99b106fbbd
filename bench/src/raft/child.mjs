// One measurement of the Raft core in a process of its own: the job comes as JSON on the command line, the result goes to the parent.
import { simulate } from './simulation.mjs';
import { raftWorkloads } from './workloads.mjs';

const WORKLOADS = { ...raftWorkloads, simulate };

const job = JSON.parse(process.argv[2]);
try {
  const result = await WORKLOADS[job.workload](job);
  process.send({ result });
  process.disconnect();
} catch (error) {
  process.send({ error: error.stack }, () => process.exit(1));
}
