// Reads of one group that wait: for a round of heartbeats first, then until their index is applied.
import type { RaftError } from '../errors.js';
import type { ReadState } from '../types.js';
import { expire, timedOut, type Waiter } from './waiting.js';

interface Reader {
  readonly waiter: Waiter<number>;
}

interface Question {
  readonly readers: Reader[];
  readonly askedAtMs: number;
}

export class ReadQueue {
  /** By the token of the core. All reads of a turn share one. */
  readonly #asked = new Map<number, Question>();
  #askedCount = 0;
  #unasked: Reader[] = [];
  #waiting: (Reader & { readonly index: number })[] = [];

  /** Reads that wait. */
  get size(): number {
    return this.#unasked.length + this.#waiting.length + this.#askedCount;
  }

  get isEmpty(): boolean {
    return this.#unasked.length === 0 && this.#waiting.length === 0 && this.#asked.size === 0;
  }

  get hasUnasked(): boolean {
    return this.#unasked.length > 0;
  }

  push(waiter: Waiter<number>): void {
    this.#unasked.push({ waiter });
  }

  /** Asks for a read point, by way of `readIndex`, which returns a token or throws. */
  ask(readIndex: () => number, nowMs: number): void {
    const readers = this.#unasked;
    this.#unasked = [];
    try {
      this.#asked.set(readIndex(), { readers, askedAtMs: nowMs });
      this.#askedCount += readers.length;
    } catch (error) {
      for (const { waiter } of readers) waiter.reject(error);
    }
  }

  answered(states: readonly ReadState[]): void {
    for (const { token, index } of states) {
      for (const { waiter } of this.#take(token)) this.#waiting.push({ waiter, index });
    }
  }

  /** Leadership changed: ask again. */
  failed(tokens: readonly number[]): void {
    for (const token of tokens) this.#askAgain(this.#take(token));
  }

  #askAgain(readers: readonly Reader[]): void {
    for (const reader of readers) this.#unasked.push(reader);
  }

  /** Those whose question this is, which is asked no longer. */
  #take(token: number): readonly Reader[] {
    const readers = this.#asked.get(token)?.readers ?? [];
    this.#asked.delete(token);
    this.#askedCount -= readers.length;
    return readers;
  }

  applied(index: number): void {
    if (this.#waiting.length === 0) return;
    this.#waiting = this.#waiting.filter((reader) => {
      if (reader.index > index) return true;
      reader.waiter.resolve(reader.index);
      return false;
    });
  }

  /** Gives up what is past its deadline, and lets that be asked again which was asked `againAfterMs` ago: a message was lost. */
  expire(nowMs: number, againAfterMs: number): void {
    const error = () => timedOut('The read');
    for (const [token, { readers, askedAtMs }] of this.#asked) {
      this.#askedCount -= readers.length;
      expire(readers, nowMs, error);
      this.#askedCount += readers.length;
      if (readers.length === 0 || nowMs - askedAtMs >= againAfterMs) this.#askAgain(this.#take(token));
    }
    expire(this.#unasked, nowMs, error);
    expire(this.#waiting, nowMs, error);
  }

  fail(error: RaftError): void {
    const all = [
      ...this.#unasked.splice(0),
      ...this.#waiting.splice(0),
      ...[...this.#asked.values()].flatMap(({ readers }) => readers),
    ];
    this.#asked.clear();
    this.#askedCount = 0;
    for (const { waiter } of all) waiter.reject(error);
  }
}
