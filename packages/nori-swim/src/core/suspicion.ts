// One suspicion: since when, by whom, how long it may last. It gets shorter with each member that confirms it.
import type { NodeId } from '../member.js';
import { suspicionTimeoutMs } from './formulas.js';

export class Suspicion {
  /** When it began; later, if this node stood still meanwhile. */
  #countsFromMs: number;
  readonly sinceMs: number;
  /** The first accuser, then those that confirmed it. */
  readonly accusers: NodeId[];
  /** Not before this is the member asked out of turn. */
  nextCheckMs: number;
  readonly #wanted: number;
  readonly #minMs: number;
  readonly #maxMs: number;

  constructor(nowMs: number, accuser: NodeId, wanted: number, minMs: number, maxMs: number) {
    this.sinceMs = nowMs;
    this.#countsFromMs = nowMs;
    // Most refutations are there by then.
    this.nextCheckMs = nowMs + minMs / 4;
    this.accusers = [accuser];
    this.#wanted = wanted;
    this.#minMs = minMs;
    this.#maxMs = maxMs;
  }

  /** When the member counts as dead. */
  get deadlineMs(): number {
    const confirmations = Math.min(this.accusers.length - 1, this.#wanted);
    return this.#countsFromMs + suspicionTimeoutMs(confirmations, this.#wanted, this.#minMs, this.#maxMs);
  }

  /** True if this accuser is new and was still wanted: then others should hear of it. */
  confirm(accuser: NodeId): boolean {
    if (this.accusers.length > this.#wanted || this.accusers.includes(accuser)) return false;
    this.accusers.push(accuser);
    return true;
  }

  /** It is being asked. */
  checked(nowMs: number): void {
    this.nextCheckMs = nowMs + this.#minMs / 2;
  }

  /** Begins to count anew: what happened until now, this node could not hear. */
  restart(nowMs: number): void {
    this.#countsFromMs = nowMs;
  }
}
