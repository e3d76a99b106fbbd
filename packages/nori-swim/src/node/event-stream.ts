// Events for one reader, as an async iterator. What is not read in time is dropped, the oldest first, and counted.
import type { MembershipEvent } from '../membership-events.js';

/** Events that wait for a reader. */
const WAITING_MAX = 4_096;

export class EventStream implements AsyncIterableIterator<MembershipEvent> {
  readonly #waiting: MembershipEvent[] = [];
  readonly #readers: ((result: IteratorResult<MembershipEvent>) => void)[] = [];
  readonly #onEnd: (stream: EventStream) => void;
  #lost = 0;
  #isEnded = false;

  constructor(onEnd: (stream: EventStream) => void) {
    this.#onEnd = onEnd;
  }

  push(event: MembershipEvent): void {
    if (this.#isEnded) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader({ value: event, done: false });
      return;
    }
    this.#waiting.push(event);
    if (this.#waiting.length <= WAITING_MAX) return;
    this.#waiting.shift();
    this.#lost++;
  }

  /** No more events come; those that wait can still be read. */
  end(): void {
    this.#isEnded = true;
    for (const reader of this.#readers.splice(0)) reader({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<MembershipEvent>> {
    if (this.#lost > 0) {
      const events = this.#lost;
      this.#lost = 0;
      return Promise.resolve({ value: { type: 'lost', events }, done: false });
    }
    const value = this.#waiting.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (this.#isEnded) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  return(): Promise<IteratorResult<MembershipEvent>> {
    this.#waiting.length = 0;
    this.end();
    this.#onEnd(this);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
