// Adapter: runs background tasks in worker threads, one for flushes, one for compactions and one for exports, so that a flush never waits
// for a long compaction. Threads are shared by all databases of the process, start with the first task or shortly before, do not
// keep the process alive while idle, and end when the last database is closed.
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { LsmError, type LsmErrorCode } from './errors.js';
import type { TaskExecutor } from './executor.js';
import type { Task, TaskResult } from './task.js';
import { workerEntry } from './worker-entry.js';

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

  /**
   * @param entry the file it runs
   * @param ended called when it can take no more tasks
   */
  constructor(entry: string, ended: () => void) {
    const worker = new Worker(entry, { name: 'nori-lsm' });
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
  readonly #entry: string;
  #thread: Thread | undefined;

  constructor(entry: string) {
    this.#entry = entry;
  }

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
    const thread = new Thread(this.#entry, () => {
      if (this.#thread === thread) this.#thread = undefined;
    });
    this.#thread = thread;
    return thread;
  }
}

/** The threads and who uses them. */
class WorkerExecutor implements TaskExecutor {
  readonly #flushes: Lane;
  readonly #compactions: Lane;
  readonly #exports: Lane;
  #users = 0;

  constructor(entry: string) {
    this.#flushes = new Lane(entry);
    this.#compactions = new Lane(entry);
    this.#exports = new Lane(entry);
  }

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

/**
 * The executor with worker threads on the real file system, shared by the whole process.
 * @throws LsmError `LSM_INVALID_OPTIONS` if the file that threads run is missing: told now, not by the first flush
 */
export const workerExecutor = (): TaskExecutor =>
  (shared ??= new WorkerExecutor(workerEntry(import.meta.url, existsSync)));

const errorOf = (error: { code: string; message: string; file?: string | undefined; offset?: number | undefined }) => {
  const code = error.code as LsmErrorCode;
  return new LsmError(code, error.message, { file: error.file, offset: error.offset });
};
