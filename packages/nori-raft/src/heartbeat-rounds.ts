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

/** Beginnings that are remembered of rounds that nobody has acknowledged. */
const STARTS_MAX = 64;

export class HeartbeatRounds {
  /** Number of the last round that began; 0: none. */
  last = 0;
  /** Last round that a quorum has acknowledged. */
  confirmed = 0;
  /** When that round began, or an earlier one that is remembered in its place; undefined: none was confirmed. */
  confirmedStartMs: number | undefined;
  /**
   * Rounds behind `confirmed`, oldest first, as pairs: number, and when it began. With reads at every turn and a long way to the
   * followers many are under way: then only those are remembered whose number `#stride` divides.
   */
  #starts: number[] = [];
  #stride = 1;
  #batches: ReadBatch[] = [];

  begin(nowMs: number): number {
    this.last++;
    if (this.last % this.#stride === 0) this.#starts.push(this.last, nowMs);
    if (this.#starts.length > 2 * STARTS_MAX) this.#thin();
    return this.last;
  }

  /** Forgets every other one: the one before it stands for it, and a lease from there ends earlier, which is safe. */
  #thin(): void {
    this.#stride *= 2;
    const starts = this.#starts;
    this.#starts = starts.filter((_, i) => starts[i - (i % 2)]! % this.#stride === 0);
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
    const starts = this.#starts;
    let known = 0;
    while (known < starts.length && starts[known]! <= round) known += 2;
    if (known > 0) this.confirmedStartMs = starts[known - 1]!;
    this.#starts = known === starts.length ? [] : starts.slice(known);
    if (this.#stride > 1 && this.#starts.length < STARTS_MAX / 2) this.#stride /= 2;
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
    if (this.#starts.length > 0) this.#starts = [];
    this.#stride = 1;
    if (this.#batches.length > 0) this.#batches = [];
    return lost;
  }
}

const NONE: readonly ReadBatch[] = [];
const NO_TOKENS: readonly number[] = [];
