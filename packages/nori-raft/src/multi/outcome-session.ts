// A client of groups whose state machines are wrapped by `exactlyOnce`: counts its requests, and makes the attempts.
//
//   const session = new OutcomeSession(crypto.getRandomValues(new Uint8Array(16)));
//   const request = session.request(payload);
//   try {
//     for (;;) {
//       const attempt = request.attempt(clock.now(), clock.monotonic());
//       try {
//         return (await group.propose(attempt)).result; // an Outcome
//       } catch (error) {
//         if (!worthTryingAgain(error)) throw error;    // the same request, a new attempt, perhaps at another leader
//       }
//     }
//   } finally {
//     request.resolve(); // answered, or given up: never attempted again
//   }
//
// Use one session for each group: sequences count per client and group.
import { RaftError } from '../errors.js';
import { OUTCOME_LIMITS } from './outcome-table.js';
import { CLIENT_ID_BYTES, encodeRequest, type RequestIdentity } from './request-codec.js';

/** A request that may be attempted many times and is applied once. */
export interface OutcomeRequest {
  readonly sequence: number;
  /**
   * Data for one proposal. Propose it once, and within a minute: for the next try make a new attempt, except when the
   * error says that the proposal certainly did not happen.
   * @param nowMs the wall clock, milliseconds since the epoch
   * @param monotonicMs a clock that does not jump; the age is the longer of what the two have advanced. Default: `nowMs`,
   * which is right only if the wall clock is never set back
   * @throws RaftError RAFT_MISUSE when it is resolved, or the payload empty
   */
  attempt(nowMs: number, monotonicMs?: number): Uint8Array;
  /**
   * As {@link OutcomeRequest.attempt}, for those who are not on the leader's machine: what to send there with the payload,
   * for the leader to call `encodeRequest` with its own clock.
   */
  identity(nowMs: number, monotonicMs?: number): RequestIdentity;
  /** It is never attempted again: answered, or given up. An attempt still under way may be applied, or refused. */
  resolve(): void;
}

/** One client's requests to one group. */
export class OutcomeSession {
  readonly clientId: Uint8Array;
  #next = 1;
  #floor = 1;
  /** Of the sequences from the floor on, by their remainders: 1 is resolved. */
  readonly #resolved = new Uint8Array(OUTCOME_LIMITS.outcomesPerClientMax);

  /** @param clientId 16 random bytes, new each time a session is made. @throws RaftError RAFT_INVALID_OPTION */
  constructor(clientId: Uint8Array) {
    if (clientId.length !== CLIENT_ID_BYTES) {
      throw new RaftError('RAFT_INVALID_OPTION', `A client id has ${CLIENT_ID_BYTES} bytes, not ${clientId.length}.`);
    }
    this.clientId = clientId.slice();
  }

  /** All requests below are resolved. */
  get floor(): number {
    return this.#floor;
  }

  /** @throws RaftError RAFT_BUSY while the oldest unresolved request is 1,024 back: a group remembers no more */
  request(payload: Uint8Array): OutcomeRequest {
    if (this.#next - this.#floor >= this.#resolved.length) {
      throw new RaftError(
        'RAFT_BUSY',
        `Request ${this.#floor} is not resolved, ${this.#resolved.length} requests ago: resolve it first.`,
      );
    }
    const sequence = this.#next++;
    let first: { readonly nowMs: number; readonly monotonicMs: number } | undefined;
    let resolved = false;
    const identity = (nowMs: number, monotonicMs = nowMs): RequestIdentity => {
      if (resolved)
        throw new RaftError('RAFT_MISUSE', `Request ${sequence} is resolved: it cannot be attempted again.`);
      const { clientId, floor } = this;
      if (first === undefined) {
        first = { nowMs, monotonicMs };
        return { clientId, sequence, floor, ageMs: 0 };
      }
      const ageMs = Math.ceil(Math.max(1, nowMs - first.nowMs, monotonicMs - first.monotonicMs));
      return { clientId, sequence, floor, ageMs };
    };
    return {
      sequence,
      identity,
      attempt: (nowMs, monotonicMs) =>
        encodeRequest({ ...identity(nowMs, monotonicMs), timeMs: Math.floor(nowMs) }, payload),
      resolve: () => {
        if (!resolved) this.#resolve(sequence);
        resolved = true;
      },
    };
  }

  #resolve(sequence: number): void {
    const { length } = this.#resolved;
    this.#resolved[sequence % length] = 1;
    while (this.#floor < this.#next && this.#resolved[this.#floor % length] === 1) {
      this.#resolved[this.#floor % length] = 0;
      this.#floor++;
    }
  }
}
