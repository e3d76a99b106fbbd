// Calls that wait for their outcome: with a deadline, an AbortSignal, and an end in any case.
import { RaftError } from '../errors.js';

/** How long a call may take, and who may end it. */
export interface CallOptions {
  /** Default: `timeoutMs` of MultiRaft. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** One call that waits. */
export class Waiter<T> {
  readonly deadlineMs: number;
  /** Whether the call has been answered, one way or the other. */
  settled = false;
  /** It may happen from now on, whether anybody waits for it or not. */
  sent = false;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;

  private constructor(
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    onAbort: (waiter: Waiter<T>, reason: unknown) => void,
  ) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.deadlineMs = deadlineMs;
    if (signal !== undefined) {
      this.#signal = signal;
      this.#onAbort = () => onAbort(this, signal.reason);
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  /**
   * Makes a promise and hands its waiter to `start`.
   * @param onAbort called when the signal fires before the answer; it must settle the waiter
   */
  static promise<T>(
    deadlineMs: number,
    signal: AbortSignal | undefined,
    onAbort: (waiter: Waiter<T>, reason: unknown) => void,
    start: (waiter: Waiter<T>) => void,
  ): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => start(new Waiter(resolve, reject, deadlineMs, signal, onAbort)));
  }

  /** Without a promise: told at once, on the stack of what settles it. */
  static direct<T>(deadlineMs: number, resolve: (value: T) => void, reject: (error: unknown) => void): Waiter<T> {
    return new Waiter(resolve, reject, deadlineMs, undefined, ignore);
  }

  resolve(value: T): void {
    if (this.#settle()) this.#resolve(value);
  }

  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    if (this.#signal !== undefined) this.#signal.removeEventListener('abort', this.#onAbort!);
    return true;
  }
}

function ignore(): void {}

/** Rejects and removes what is past its deadline; keeps the order of the rest. */
export function expire<T extends { readonly waiter: Waiter<never> | Waiter<unknown> }>(
  list: T[],
  nowMs: number,
  error: () => RaftError,
): void {
  let kept = 0;
  for (let i = 0; i < list.length; i++) {
    const item = list[i]!;
    if (item.waiter.settled) continue;
    if (item.waiter.deadlineMs <= nowMs) (item.waiter as Waiter<unknown>).reject(error());
    else list[kept++] = item;
  }
  list.length = kept;
}

export function outcomeUnknown(cause?: unknown): RaftError {
  return new RaftError(
    'RAFT_OUTCOME_UNKNOWN',
    'The proposal was sent, and given up before its outcome was known: it may have happened, or may happen yet. ' +
      'Repeat it only in a way that does no harm twice.',
    0,
    cause,
  );
}

export function timedOut(what: string): RaftError {
  return new RaftError('RAFT_TIMEOUT', `${what} was not done in time; nothing has happened. Try again.`);
}
