// Where flushes and compactions run. A task is plain data, so that it can cross to another thread; its bytes may be
// shared memory. A task writes whole tables and makes their bytes durable; the names are the caller's to sync.
import type { Task, TaskResult } from './task.js';

/** Runs background tasks: in worker threads (`workerExecutor`) or on the calling thread (`inlineExecutor`). */
export interface TaskExecutor {
  /**
   * Runs one task to its end. Tasks of one kind run one after the other, a flush beside a compaction.
   * Fails with the error of the task; tables it had begun are then removed as far as possible.
   */
  run(task: Task): Promise<TaskResult>;
  /** Says that a flush is to be expected: may start a thread. Optional; `run` works without. */
  prepare?(): void;
  /** Says that a database uses it; calls are counted. */
  acquire(): void;
  /** The counterpart of {@link TaskExecutor.acquire}: threads end when nobody is left. */
  release(): void;
}
