// Heartbeat rounds of a leader, and what they prove: a round acknowledged by a quorum shows that this replica still led
// when the round began. Reads wait for such a round (read index), leases run from its beginning (design: leases).
//
// Rounds are numbered from 1 in each term. Nothing here knows of messages.

/** Reads that were asked for before a round began and are answered once a quorum has acknowledged it. */
export interface ReadBatch {
  readonly round: number;
  readonly index: number;
  /** Tokens of reads of this replica. */
  readonly tokens: readonly number[];
  /** Reads of followers, as (replica, token) pairs. */
  readonly remote: readonly { readonly from: number; readonly token: number }[];
}

/** Beginnings of rounds that are remembered while nobody acknowledges them. */
const STARTS_MAX = 64;

export class HeartbeatRounds {
  /** Number of the last round that began; 0: none. */
  last = 0;
  /** Last round that a quorum has acknowledged. */
  confirmed = 0;
  /** When that round began, or undefined. */
  confirmedStartMs: number | undefined;
  /** When the rounds behind `confirmed` began, oldest first; the last of them belongs to `last`. */
  #startsMs: number[] = [];
  #batches: ReadBatch[] = [];

  begin(nowMs: number): number {
    this.last++;
    this.#startsMs.push(nowMs);
    if (this.#startsMs.length > STARTS_MAX) this.#startsMs.shift();
    return this.last;
  }

  /** Lets a batch of reads wait for the round that began last. */
  wait(batch: ReadBatch): void {
    this.#batches.push(batch);
  }

  /** Whether reads wait for a round. */
  get waiting(): boolean {
    return this.#batches.length > 0;
  }

  /** A quorum has acknowledged `round`. @returns the reads that may be answered now */
  confirm(round: number): readonly ReadBatch[] {
    if (round <= this.confirmed) return NONE;
    this.confirmed = round;
    const kept = this.last - round;
    // The start is forgotten only if over STARTS_MAX rounds went unanswered: then this one proves nothing for a lease.
    const start = this.#startsMs[this.#startsMs.length - 1 - kept];
    if (start !== undefined) this.confirmedStartMs = start;
    this.#startsMs = kept === 0 ? [] : this.#startsMs.slice(-kept);
    let n = 0;
    while (n < this.#batches.length && this.#batches[n]!.round <= round) n++;
    return n === 0 ? NONE : this.#batches.splice(0, n);
  }

  /** A new term: all is forgotten. @returns tokens of this replica's reads that will not be answered */
  reset(): readonly number[] {
    const lost = this.#batches.length === 0 ? NO_TOKENS : this.#batches.flatMap((batch) => batch.tokens);
    this.last = 0;
    this.confirmed = 0;
    this.confirmedStartMs = undefined;
    if (this.#startsMs.length > 0) this.#startsMs = [];
    if (this.#batches.length > 0) this.#batches = [];
    return lost;
  }
}

const NONE: readonly ReadBatch[] = [];
const NO_TOKENS: readonly number[] = [];
