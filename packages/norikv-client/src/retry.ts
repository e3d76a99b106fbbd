// When an operation is tried again, and when its caller hears of the failure.
//
//   NOT_LEADER           follow the hint at once, a few times; without one wait for a newer view, 10 to 100 ms
//   UNAVAILABLE          nothing was done: wait, longer each time, or as long as the node says
//   COMMIT_TIMEOUT       the same; the write keeps its sequence, so that it cannot be applied twice
//   RESOURCE_EXHAUSTED   only if the node says how long to wait, and the deadline allows it
//   connection lost      the same as UNAVAILABLE; a write that had been sent keeps its sequence
//   stream refused       the same: its status may be due to another operation's frame, and says nothing of this one
//   everything else      the caller's to handle
//
// Retries that a node's answer caused take tokens from a budget that successes refill. With none left each waits a second
// at least, so that a sick cluster is not hammered.
import type { ErrorCodeName } from 'norikv-protocol';

const HINTS_FOLLOWED_MAX = 3;
const DELAY_MIN_MS = 10;
const DELAY_MAX_MS = 1_000;
const TOKENS_PER_SUCCESS = 0.1;

/** What came of one attempt. */
export interface Failure {
  readonly code: ErrorCodeName;
  /** 0: the node did not say. */
  readonly retryAfterMs: number;
  /** Address of another node that leads the shard, if the answer named one. */
  readonly leaderAddress: string;
}

/** Milliseconds to wait before the next attempt; 0: none; undefined: no further attempt. */
export const retryDelayMs = (failure: Failure, failures: number, random: () => number): number | undefined => {
  switch (failure.code) {
    case 'NOT_LEADER':
      if (failure.leaderAddress !== '' && failures <= HINTS_FOLLOWED_MAX) return 0;
      return 10 + random() * 90;
    case 'UNAVAILABLE':
    case 'COMMIT_TIMEOUT':
      return failure.retryAfterMs > 0 ? failure.retryAfterMs : backoffMs(failures, DELAY_MIN_MS, DELAY_MAX_MS, random);
    case 'RESOURCE_EXHAUSTED':
      return failure.retryAfterMs > 0 ? failure.retryAfterMs * (1 + random() * 0.2) : undefined;
    default:
      return undefined;
  }
};

/** Exponential backoff: doubles with each failure from `minMs` up to `maxMs`, less a random half. */
export const backoffMs = (failures: number, minMs: number, maxMs: number, random: () => number): number =>
  Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 30)) * (0.5 + random() * 0.5);

/**
 * Codes of a node's answer to the operation itself that say for certain that a write, sent before with the same sequence,
 * was not applied.
 */
const NOT_APPLIED: ReadonlySet<string> = new Set([
  'INVALID_ARGUMENT',
  'VERSION_MISMATCH',
  'ALREADY_EXISTS',
  'CROSS_SHARD',
  'OUTCOME_UNKNOWN',
]);

/** Whether a failure settles what became of a write whose earlier attempt may have been applied. */
export const isDefinitive = (code: string): boolean => NOT_APPLIED.has(code);

/** A token bucket of retries. */
export class RetryBudget {
  readonly #max: number;
  #tokens: number;

  constructor(max: number) {
    this.#max = max;
    this.#tokens = max;
  }

  /** Takes a token; false if there is none. */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** An operation has succeeded. */
  earn(): void {
    if (this.#tokens < this.#max) this.#tokens = Math.min(this.#max, this.#tokens + TOKENS_PER_SUCCESS);
  }
}
