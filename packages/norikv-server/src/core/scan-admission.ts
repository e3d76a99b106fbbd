// How many scans over all shards a node puts together at the same time: each reads a thousand groups, here and on the other nodes. With more at
// once none would be ready before all are, and the first ones would be past their deadline by then. The others wait in order.
import type { Clock, TimerHandle } from 'nori-io';
import { NodeError } from '../domain/node-error.js';
import type { ScanQuery } from '../ports/kv.js';

const RUNNING_MAX = 4;
const WAITING_MAX = 1024;
const RETRY_AFTER_MS = 100;

interface Waiting {
  readonly start: () => void;
  readonly fail: (error: NodeError) => void;
}

/** See the top of this file. */
export class ScanAdmission {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  #running = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Calls `read` when it is its turn.
   * @throws NodeError `RESOURCE_EXHAUSTED` when too many wait, `DEADLINE_EXCEEDED`, `CANCELLED`, and what `read` throws
   */
  async run<T>(query: Pick<ScanQuery, 'deadlineMs' | 'signal'>, read: () => Promise<T>): Promise<T> {
    if (this.#running >= RUNNING_MAX) await this.#wait(query);
    else this.#running++;
    try {
      return await read();
    } finally {
      const next = this.#waiting.values().next();
      if (next.done === true) this.#running--;
      else next.value.start();
    }
  }

  #wait({ deadlineMs, signal }: Pick<ScanQuery, 'deadlineMs' | 'signal'>): Promise<void> {
    if (this.#waiting.size >= WAITING_MAX) {
      const message = `Too many scans over all shards wait on this node (${this.#waiting.size}). Try again later, or another node.`;
      return Promise.reject(new NodeError('RESOURCE_EXHAUSTED', message, { retryAfterMs: RETRY_AFTER_MS }));
    }
    return new Promise((resolve, reject) => {
      let timer: TimerHandle | undefined;
      const end = (): void => {
        this.#waiting.delete(waiting);
        timer?.cancel();
        signal?.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => waiting.fail(new NodeError('CANCELLED', 'The scan was cancelled.'));
      const waiting: Waiting = {
        start: () => {
          end();
          resolve();
        },
        fail: (error) => {
          end();
          reject(error);
        },
      };
      this.#waiting.add(waiting);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (deadlineMs === Number.POSITIVE_INFINITY) return;
      const late = new NodeError(
        'DEADLINE_EXCEEDED',
        'The deadline passed while the scan waited for others on this node.',
      );
      timer = this.#clock.setTimer(Math.max(0, deadlineMs - this.#clock.monotonic()), () => waiting.fail(late), {
        unref: true,
      });
    });
  }
}
