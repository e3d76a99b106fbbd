// Runs background tasks on the calling thread, in slices: between them the event loop gets its turn. For file systems that
// live in this thread only (tests, simulation), and for places without worker threads.
import type { Clock, FileSystem } from 'nori-io';
import type { TaskExecutor } from './executor.js';
import { runTask } from './run-task.js';
import type { Task, TaskResult } from './task.js';
import type { Pacer } from './throttle.js';

/** Options of {@link inlineExecutor}. */
export interface InlineExecutorOptions {
  /** Gives turns between slices. Default: none; slices are then separated by microtasks only, without any timer. */
  readonly clock?: Clock;
}

/** Makes an executor that works on the calling thread with this file system. */
export const inlineExecutor = (fs: FileSystem, options: InlineExecutorOptions = {}): TaskExecutor => {
  const { clock } = options;
  const pause = (): Promise<void> =>
    clock === undefined ? Promise.resolve() : new Promise((resolve) => clock.nextTurn(resolve));
  return {
    run: (task: Task): Promise<TaskResult> => runTask(fs, task, { pause, pacer: clock && timerPacer(clock) }),
    acquire: () => {},
    release: () => {},
  };
};

const timerPacer = (clock: Clock): Pacer => ({
  monotonic: () => clock.monotonic(),
  wait: (ms) => new Promise((resolve) => clock.setTimer(ms, resolve)),
});
