// Calls of one group that wait for their configuration change to be applied.
import type { RaftError } from '../errors.js';
import type { ConfState, EntryId } from '../types.js';
import { proposalLost } from './proposals.js';
import { outcomeUnknown, type Waiter } from './waiting.js';

export class ConfChangeCalls {
  #waiting: { readonly id: EntryId; readonly waiter: Waiter<ConfState> }[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Waits for the change that was proposed as entry `id`. */
  push(id: EntryId, waiter: Waiter<ConfState>): void {
    this.#waiting.push({ id, waiter });
  }

  /** Everything up to (term, index) is applied; `config`: what a change at that index has led to. */
  applied(term: number, index: number, config: ConfState | undefined): void {
    if (this.#waiting.length === 0) return;
    this.#waiting = this.#waiting.filter(({ id, waiter }) => {
      if (id.index > index) return true;
      if (id.index === index && id.term === term && config !== undefined) waiter.resolve(config);
      else waiter.reject(proposalLost());
      return false;
    });
  }

  /** A snapshot stands for everything up to `index`: what became of the changes among it, it does not say. */
  skippedTo(index: number): void {
    for (const { id, waiter } of this.#waiting) if (id.index <= index) waiter.reject(outcomeUnknown());
  }

  /** Gives up what is past its deadline. */
  expire(nowMs: number): void {
    if (this.#waiting.length === 0) return;
    for (const { waiter } of this.#waiting) if (waiter.deadlineMs <= nowMs) waiter.reject(outcomeUnknown());
    this.#waiting = this.#waiting.filter(({ waiter }) => !waiter.settled);
  }

  /** The end. */
  fail(error: RaftError): void {
    for (const { waiter } of this.#waiting.splice(0)) waiter.reject(outcomeUnknown(error));
  }
}
