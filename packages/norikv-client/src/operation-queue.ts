// Operations waiting to be sent, first in, first out. One that is done before it was sent stays as a dead entry until it
// reaches the head, or until dead entries are the larger half: then all are swept out.
import { type Operation, STATE } from './operation.js';

const DEAD_MIN = 64;

/** A queue from which entries can vanish. */
export class OperationQueue {
  #entries: Operation[] = [];
  #head = 0;
  #dead = 0;

  /** Operations that are still waiting. */
  get size(): number {
    return this.#entries.length - this.#head - this.#dead;
  }

  push(operation: Operation): void {
    this.#entries.push(operation);
  }

  /** The first operation that still waits, left in place. */
  peek(): Operation | undefined {
    for (; this.#head < this.#entries.length; this.#head++) {
      const operation = this.#entries[this.#head]!;
      if (operation.state === STATE.queued) return operation;
      this.#dead--;
    }
    this.#reset();
    return undefined;
  }

  /** Removes what {@link peek} returned. */
  shift(): void {
    this.#head++;
    if (this.#head === this.#entries.length) this.#reset();
    else if (this.#head >= 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Says that an entry, no longer in state queued, is dead. */
  noteDead(): void {
    this.#dead++;
    if (this.#dead < DEAD_MIN || this.#dead * 2 < this.#entries.length - this.#head) return;
    this.#entries = this.#entries.filter((operation, at) => at >= this.#head && operation.state === STATE.queued);
    this.#head = 0;
    this.#dead = 0;
  }

  /** Removes and returns all that wait. */
  takeAll(): Operation[] {
    const all = this.#entries.filter((operation, at) => at >= this.#head && operation.state === STATE.queued);
    this.#reset();
    return all;
  }

  #reset(): void {
    if (this.#entries.length > 0) this.#entries = [];
    this.#head = 0;
    this.#dead = 0;
  }
}
