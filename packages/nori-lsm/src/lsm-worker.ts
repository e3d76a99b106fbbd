// Entry of the worker thread: takes tasks one by one and answers each with its result or its error.
import { parentPort } from 'node:worker_threads';
import { nodeFileSystem, systemClock } from 'nori-io';
import { toLsmError } from './errors.js';
import { runTask } from './run-task.js';
import { lowerThreadPriority } from './thread-priority.js';
import { sleepingPacer } from './throttle.js';
import type { TaskReply, TaskRequest } from './worker-executor.js';

/** Enough for the event loop to come first; a thread alone on a core is not slower for it. */
const NICENESS = 10;

const DOING = { flush: 'Cannot write a memtable', compact: 'Cannot compact tables', export: 'Cannot export tables' };

const port = parentPort;
if (port !== null) lowerThreadPriority(NICENESS);
const host = { pacer: sleepingPacer(() => systemClock.monotonic()) };
let queue: Promise<void> = Promise.resolve();

const answer = async ({ id, task }: TaskRequest): Promise<TaskReply> => {
  try {
    return { id, result: await runTask(nodeFileSystem, task, host) };
  } catch (thrown) {
    const doing = DOING[task.kind];
    const { code, message, file, offset } = toLsmError(thrown, doing);
    return { id, error: { code, message, file, offset } };
  }
};

port?.on('message', (request: TaskRequest) => {
  queue = queue.then(async () => port.postMessage(await answer(request)));
});
