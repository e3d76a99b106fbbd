// Adapter: runs background tasks in worker threads, one for flushes, one for compactions and one for exports, so that a flush never waits
// for a long compaction. Threads are shared by all databases of the process, start with the first task or shortly before, do not
// keep the process alive while idle, and end when the last database is closed.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { LsmError, type LsmErrorCode } from './errors.js';
import type { TaskExecutor } from './executor.js';
import type { Task, TaskResult } from './task.js';

/** What goes to the thread and what comes back. */
export interface TaskRequest {
  readonly id: number;
  readonly task: Task;
}
export type TaskReply =
  | { readonly id: number; readonly result: TaskResult }
  | {
      readonly id: number;
      readonly error: {
        readonly code: string;
        readonly message: string;
        readonly file?: string | undefined;
        readonly offset?: number | undefined;
      };
    };

interface Pending {
  readonly resolve: (result: TaskResult) => void;
  readonly reject: (error: Error) => void;
}

/** One thread and the tasks it was given. */
class Thread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  /** @param ended called when the thread can take no more tasks */
  constructor(ended: () => void) {
    const worker = new Worker(entryPath(), { name: 'nori-lsm' });
    this.#worker = worker;
    worker.on('message', (reply: TaskReply) => this.#settle(reply));
    const fail = (cause: unknown): void => {
      ended();
      const pending = [...this.#pending.values()];
      this.#pending.clear();
      for (const { reject } of pending) {
        reject(new LsmError('LSM_IO_FAILED', 'The worker thread of nori-lsm ended; a new one is started.', { cause }));
      }
    };
    worker.on('error', fail);
    worker.on('exit', (exitCode) => fail(new Error(`exit code ${exitCode}`)));
    worker.unref();
  }

  run(task: Task): Promise<TaskResult> {
    this.#worker.ref();
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ id, task } satisfies TaskRequest);
    });
  }

  stop(): void {
    void this.#worker.terminate();
  }

  #settle(reply: TaskReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (this.#pending.size === 0) this.#worker.unref();
    if (pending === undefined) return;
    if ('result' in reply) pending.resolve(reply.result);
    else pending.reject(errorOf(reply.error));
  }
}

/** Tasks of one kind, and their thread while there is one. */
class Lane {
  #thread: Thread | undefined;

  run(task: Task): Promise<TaskResult> {
    return this.#started().run(task);
  }

  prepare(): void {
    this.#started();
  }

  stop(): void {
    this.#thread?.stop();
    this.#thread = undefined;
  }

  #started(): Thread {
    if (this.#thread !== undefined) return this.#thread;
    const thread = new Thread(() => {
      if (this.#thread === thread) this.#thread = undefined;
    });
    this.#thread = thread;
    return thread;
  }
}

/** The threads and who uses them. */
class WorkerExecutor implements TaskExecutor {
  readonly #flushes = new Lane();
  readonly #compactions = new Lane();
  readonly #exports = new Lane();
  #users = 0;

  async run(task: Task): Promise<TaskResult> {
    const lane = { flush: this.#flushes, compact: this.#compactions, export: this.#exports }[task.kind];
    return lane.run(task);
  }

  prepare(): void {
    if (this.#users > 0) this.#flushes.prepare();
  }

  acquire(): void {
    this.#users++;
  }

  release(): void {
    if (--this.#users > 0) return;
    this.#flushes.stop();
    this.#compactions.stop();
    this.#exports.stop();
  }
}

let shared: WorkerExecutor | undefined;

/** The executor with worker threads on the real file system, shared by the whole process. */
export const workerExecutor = (): TaskExecutor => (shared ??= new WorkerExecutor());

/** The thread's entry lies beside this file when built; from the sources, in the build's folder. */
const entryPath = (): string => {
  for (const relative of ['./lsm-worker.js', '../dist/lsm-worker.js']) {
    const path = fileURLToPath(new URL(relative, import.meta.url));
    if (existsSync(path)) return path;
  }
  const message =
    'The entry of the worker thread, lsm-worker.js, is missing. Build the package, or pass inlineExecutor.';
  throw new LsmError('LSM_INTERNAL', message);
};

const errorOf = (error: { code: string; message: string; file?: string | undefined; offset?: number | undefined }) => {
  const code = error.code as LsmErrorCode;
  return new LsmError(code, error.message, { file: error.file, offset: error.offset });
};
