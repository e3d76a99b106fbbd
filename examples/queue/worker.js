// Works until there is nothing left to do. `node worker.js DIR [number]` kills itself in the middle of the job of that number,
// the first time it gets it.
import { JobQueue } from './job-queue.js';

const [dir, fatal] = process.argv.slice(2);
const queue = await JobQueue.open(dir);

for (let job = await queue.reserve(); job !== undefined; job = await queue.reserve()) {
  console.log(`doing ${job.payload} (attempt ${job.attempts})`);
  // No warning, no cleaning up: as if the machine had lost its power.
  if (job.number === Number(fatal) && job.attempts === 1) process.kill(process.pid, 'SIGKILL');
  await queue.ack(job);
}

await queue.close();
