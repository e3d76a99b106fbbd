// Keeps promises that leases rest on (design: leases). A leader with a lease answers reads alone, because nobody else can
// have been elected meanwhile: everyone who acknowledged its heartbeat votes for no one within `electionTimeoutMinMs` of
// it. So each replica remembers when it last heard from a leader, whatever its term and role are since.
//
// A leadership transfer breaks that promise with the leader's consent: it drops its lease, then tells the target to
// campaign at once, and the votes asked for carry the number of the transfer. When a transfer is given up, the leader
// counts it in all later heartbeats; who has heard of that does not fall for a late vote of the transfer. The lease comes
// back with the first round that counts it.
import type { LeaseOptions } from './options.js';

export class VoteGuard {
  readonly #minMs: number;
  readonly #leaseMs: number;
  /** Nobody gets a vote before this: what was promised before a restart is unknown. */
  readonly #closedUntilMs: number;
  #heardAtMs = -Infinity;
  #heardTerm = 0;
  #heardTransfers = 0;

  /** @param restarted whether this replica has a past */
  constructor(lease: LeaseOptions | undefined, restarted: boolean) {
    this.#minMs = lease === undefined ? 0 : lease.electionTimeoutMinMs;
    this.#leaseMs = lease === undefined ? 0 : lease.electionTimeoutMinMs * (1 - lease.maxClockDrift);
    this.#closedUntilMs = lease !== undefined && restarted ? lease.nowMs + lease.electionTimeoutMaxMs : -Infinity;
  }

  /** How long a lease runs from the beginning of its round; 0: there are no leases. */
  get leaseMs(): number {
    return this.#leaseMs;
  }

  /** A message of the leader of `term` has come. */
  heard(term: number, transfers: number, nowMs: number): void {
    this.#heardAtMs = nowMs;
    if (term !== this.#heardTerm) {
      this.#heardTerm = term;
      this.#heardTransfers = transfers;
    } else if (transfers > this.#heardTransfers) {
      this.#heardTransfers = transfers;
    }
  }

  /** The leader that was heard last has said the same again. */
  heardAgain(nowMs: number): void {
    this.#heardAtMs = nowMs;
  }

  /** Whether a vote asked for in the name of a transfer (number `transfer`, 0: none) for `term` has the leader's consent. */
  isConsented(term: number, transfer: number): boolean {
    if (transfer === 0) return false;
    return this.#heardTerm !== term - 1 || transfer > this.#heardTransfers;
  }

  /** Whether a vote now, for anyone, would break a promise. @param consented by the leader, who hands over */
  forbids(consented: boolean, nowMs: number): boolean {
    if (nowMs < this.#closedUntilMs) return true;
    return !consented && nowMs - this.#heardAtMs < this.#minMs;
  }
}
