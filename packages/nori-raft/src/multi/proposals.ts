// Proposals of one group on their way: waiting for their turn, then appended and waiting to be applied.
import { RaftError } from '../errors.js';
import type { EntryId } from '../types.js';
import { expire, outcomeUnknown, timedOut, type Waiter } from './waiting.js';

/** What a proposal resolves with. */
export interface Applied<Result> extends EntryId {
  readonly result: Result;
}

interface Queued<Result> {
  readonly data: Uint8Array;
  readonly waiter: Waiter<Applied<Result>>;
}

interface Appended<Result> extends EntryId {
  readonly waiter: Waiter<Applied<Result>>;
}

export class ProposalQueue<Result> {
  #queued: Queued<Result>[] = [];
  /** In the order of their indexes. */
  #appended: Appended<Result>[] = [];
  #head = 0;
  queuedBytes = 0;

  get hasQueued(): boolean {
    return this.#queued.length > 0;
  }

  get pending(): number {
    return this.#queued.length + this.#appended.length - this.#head;
  }

  push(data: Uint8Array, waiter: Waiter<Applied<Result>>): void {
    this.#queued.push({ data, waiter });
    this.queuedBytes += data.length;
  }

  /**
   * Proposes what waits, by way of `propose`, which returns the id of the last entry or throws.
   * @returns bytes that wait no longer
   */
  append(propose: (data: readonly Uint8Array[]) => EntryId): number {
    const queued = this.#queued;
    this.#queued = [];
    const bytes = this.queuedBytes;
    this.queuedBytes = 0;
    const data: Uint8Array[] = [];
    for (let i = 0; i < queued.length; i++) if (!queued[i]!.waiter.settled) data.push(queued[i]!.data);
    if (data.length === 0) return bytes;
    try {
      const { term, index } = propose(data);
      let next = index - data.length + 1;
      this.#loseFrom(next);
      for (const { waiter } of queued) {
        if (waiter.settled) continue;
        waiter.sent = true;
        this.#appended.push({ term, index: next++, waiter });
      }
    } catch (error) {
      for (const { waiter } of queued) waiter.reject(error);
    }
    return bytes;
  }

  /** The entry (term, index) is applied. Those that were to have its index or an earlier one are lost. */
  applied(term: number, index: number, result: Result): void {
    const appended = this.#appended;
    while (this.#head < appended.length) {
      const next = appended[this.#head]!;
      if (next.index > index) break;
      this.#head++;
      if (next.index === index && next.term === term) next.waiter.resolve({ term, index, result });
      else next.waiter.reject(proposalLost());
    }
    this.#trim();
  }

  /** Lets go of what has been answered: many groups would keep much that is long over. */
  #trim(): void {
    const appended = this.#appended;
    if (this.#head === appended.length) {
      appended.length = 0;
      this.#head = 0;
    } else if (this.#head > 64 && this.#head * 2 > appended.length) {
      this.#appended = appended.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Everything up to `index` is applied, and all results are told: what is still waiting there was overtaken. */
  passed(index: number): void {
    while (this.#head < this.#appended.length && this.#appended[this.#head]!.index <= index) {
      this.#appended[this.#head++]!.waiter.reject(proposalLost());
    }
  }

  /** A leader that comes back appends from `index` on: what it had there and behind in an earlier term is lost. */
  #loseFrom(index: number): void {
    const appended = this.#appended;
    while (appended.length > this.#head && appended[appended.length - 1]!.index >= index) {
      appended.pop()!.waiter.reject(proposalLost());
    }
  }

  /** A snapshot stands for everything up to `index`: what became of the proposals among it, it does not say. */
  skippedTo(index: number): void {
    while (this.#head < this.#appended.length && this.#appended[this.#head]!.index <= index) {
      this.#appended[this.#head++]!.waiter.reject(outcomeUnknown());
    }
  }

  /** Gives up what is past its deadline. @returns bytes that wait no longer */
  expire(nowMs: number): number {
    const before = this.queuedBytes;
    expire(this.#queued, nowMs, () => timedOut('The proposal'));
    if (before > 0) this.queuedBytes = this.#queued.reduce((sum, { data }) => sum + data.length, 0);
    for (let i = this.#head; i < this.#appended.length; i++) {
      const { waiter } = this.#appended[i]!;
      if (waiter.deadlineMs <= nowMs) waiter.reject(outcomeUnknown());
    }
    return before - this.queuedBytes;
  }

  /** The end: what was not appended fails with `error`, of the rest nobody knows. @returns bytes that wait no longer */
  fail(error: RaftError): number {
    for (const { waiter } of this.#queued.splice(0)) waiter.reject(error);
    for (const { waiter } of this.#appended.splice(0)) waiter.reject(outcomeUnknown(error));
    this.#head = 0;
    const bytes = this.queuedBytes;
    this.queuedBytes = 0;
    return bytes;
  }
}

export function proposalLost(): RaftError {
  return new RaftError(
    'RAFT_PROPOSAL_LOST',
    'Another leader put a different entry in the place of the proposal: it did not happen. Propose it again.',
  );
}
