// Fills a queue, lets a worker die in the middle of a job, and starts another one.
import { spawnSync } from 'node:child_process';
import { JobQueue } from './job-queue.js';

const dir = process.argv[2] ?? './data';

const work = (...args) => {
  const { signal } = spawnSync(process.execPath, ['worker.js', dir, ...args], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  console.log(signal === null ? 'the worker is done' : `the worker ended by ${signal}`);
};

let queue = await JobQueue.open(dir);
await queue.enqueue('a', 'b', 'c');
await queue.enqueue('d', 'e');
await queue.close();

work('3'); // dies in the third job
work(); // starts with that one

// Not dead, but slow: whoever holds a job too long loses it.
queue = await JobQueue.open(dir);
await queue.enqueue('f');
const slow = await queue.reserve(1);
await new Promise((resolve) => setTimeout(resolve, 20));
const again = await queue.reserve();
console.log(`${again.payload} again (attempt ${again.attempts})`);
console.log('the slow one may say that it is done:', await queue.ack(slow));
console.log('so may the other:', await queue.ack(again));
console.log('left:', await queue.reserve());
await queue.close();
