// What a group remembers of its clients' requests, so that a retry is never applied a second time. Changed only by applying
// entries, in order, so that all replicas decide alike.
//
// Of each client the table keeps the outcomes at or above its floor. What it had to forget it remembers as bounds:
//
//   floor              below it the client itself has said that nobody asks any more
//   evicted sequence   of outcomes forgotten because the client had too many
//   watermark          a time, for clients forgotten because there were too many; see `#forget`
//
// A retry that is not found and may be among what was forgotten is `unknown` and never applied. A retry's "first sent" is
// its entry's time less the age that the client states, so no client's clock is compared with any other. An age of 0 says
// that the request was never sent before: it cannot have been applied, whatever was forgotten.
//
// A record that begins after others were forgotten may be of a client that was among them. It inherits the watermark.
import type { DecodedRequest } from './request-codec.js';

type Identity = NonNullable<DecodedRequest['identity']>;

/** Bounds of a table. The same at all replicas: decisions depend on them. */
export interface OutcomeLimits {
  /** Clients remembered; beyond it the one idle for longest is forgotten. */
  readonly clientsMax: number;
  /** Outcomes of all clients together, likewise. At least `outcomesPerClientMax`. */
  readonly outcomesMax: number;
  /** Outcomes of one client; beyond it its oldest is forgotten. */
  readonly outcomesPerClientMax: number;
  /** A result that takes more bytes is not kept, only that there was one. */
  readonly resultBytesMax: number;
}

/** Constants, not options: with different bounds replicas would diverge. */
export const OUTCOME_LIMITS: OutcomeLimits = {
  clientsMax: 1024,
  outcomesMax: 4096,
  outcomesPerClientMax: 1024,
  resultBytesMax: 4096,
};

/** Bound of what is not part of ages: the way from the client to the log, and differences between leaders' clocks. */
export const CLOCK_MARGIN_MS = 60_000;
/** A client that has been idle for so long has no retries under way, even if a leader's clock has jumped by that much. */
export const LONG_IDLE_MS = 10 * 60_000;

/** The place of an outcome. Filled once the state machine has applied the request. */
export interface OutcomeSlot {
  /** Encoded; undefined: not known yet, or over `resultBytesMax`. */
  result: Uint8Array | undefined;
}

/** What a table knows of a client. */
export interface ClientRecord {
  floor: number;
  /** Index and time of the last entry that was recorded. */
  lastIndex: number;
  lastTimeMs: number;
  /** The greatest sequence forgotten while the client was not; 0: none. */
  evictedSequence: number;
  /** The table's watermark when the record began. */
  readonly watermarkMs: number;
  /** By sequence, in log order. */
  readonly outcomes: Map<number, OutcomeSlot>;
}

/** The content of a table at an index. */
export interface OutcomeState {
  /** The greatest time of any entry so far. */
  readonly timeMs: number;
  readonly watermarkMs: number;
  /** In the order of their last indexes. */
  readonly clients: ReadonlyMap<string, ClientRecord>;
}

export const EMPTY_OUTCOME_STATE: OutcomeState = { timeMs: 0, watermarkMs: 0, clients: new Map() };

/** The outcomes that one group remembers. */
export class OutcomeTable {
  readonly #limits: OutcomeLimits;
  /** In the order of last use, longest idle first. */
  #clients: Map<string, ClientRecord>;
  #outcomeCount = 0;
  #timeMs: number;
  #watermarkMs: number;
  /** How things were at the last {@link OutcomeTable.settle}: clients that have changed since, and the two times. */
  readonly #before = new Map<string, ClientRecord | undefined>();
  #settledTimeMs: number;
  #settledWatermarkMs: number;

  /** Takes over the maps of `state`. */
  constructor(limits: OutcomeLimits, state: OutcomeState = EMPTY_OUTCOME_STATE) {
    this.#limits = limits;
    this.#clients = new Map(state.clients);
    for (const { outcomes } of state.clients.values()) this.#outcomeCount += outcomes.size;
    this.#timeMs = this.#settledTimeMs = state.timeMs;
    this.#watermarkMs = this.#settledWatermarkMs = state.watermarkMs;
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  get outcomeCount(): number {
    return this.#outcomeCount;
  }

  /**
   * Decides about a request: its place if it was applied before, undefined if it is to be applied now. Then call
   * {@link OutcomeTable.record} before anything else.
   */
  admit({ client, sequence, floor, ageMs, timeMs }: Identity): OutcomeSlot | 'below-floor' | 'unknown' | undefined {
    this.#timeMs = Math.max(this.#timeMs, timeMs);
    const isRetry = ageMs > 0;
    const firstSentMs = this.#timeMs - ageMs;
    const record = this.#clients.get(client);
    if (record === undefined) return isRetry && firstSentMs <= this.#watermarkMs ? 'unknown' : undefined;
    if (floor > record.floor) this.#raiseFloor(client, record, floor);
    const slot = record.outcomes.get(sequence);
    if (slot !== undefined) return slot;
    if (sequence < record.floor) return 'below-floor';
    if (sequence <= record.evictedSequence) return 'unknown';
    return isRetry && firstSentMs <= record.watermarkMs ? 'unknown' : undefined;
  }

  /** Makes a place for the outcome of a request that is applied by the entry at `index`. */
  record({ client, sequence, floor }: Identity, index: number): OutcomeSlot {
    this.#keepBefore(client);
    let record = this.#clients.get(client);
    if (record === undefined) {
      const watermarkMs = this.#watermarkMs;
      record = { floor, lastIndex: 0, lastTimeMs: 0, evictedSequence: 0, watermarkMs, outcomes: new Map() };
    } else this.#clients.delete(client);
    this.#clients.set(client, record);
    record.lastIndex = index;
    record.lastTimeMs = this.#timeMs;
    const slot: OutcomeSlot = { result: undefined };
    record.outcomes.set(sequence, slot);
    this.#outcomeCount++;
    if (record.outcomes.size > this.#limits.outcomesPerClientMax) this.#evictOldest(record);
    const { clientsMax, outcomesMax } = this.#limits;
    while (this.#clients.size > 1 && (this.#clients.size > clientsMax || this.#outcomeCount > outcomesMax)) {
      this.#forgetLongestIdle();
    }
    return slot;
  }

  /** From now on {@link OutcomeTable.settled} is what is now. All places are filled. */
  settle(): void {
    this.#before.clear();
    this.#settledTimeMs = this.#timeMs;
    this.#settledWatermarkMs = this.#watermarkMs;
  }

  /** What was when {@link OutcomeTable.settle} was last called: a view, good until the next call of anything else. */
  get settled(): OutcomeState {
    return { timeMs: this.#settledTimeMs, watermarkMs: this.#settledWatermarkMs, clients: this.#settledClients() };
  }

  #settledClients(): ReadonlyMap<string, ClientRecord> {
    if (this.#before.size === 0) return this.#clients;
    const clients = [...this.#clients].filter(([client]) => !this.#before.has(client));
    for (const [client, record] of this.#before) if (record !== undefined) clients.push([client, record]);
    return new Map(clients.sort(([, a], [, b]) => a.lastIndex - b.lastIndex));
  }

  /** To be called before a client's record changes. */
  #keepBefore(client: string): void {
    if (this.#before.has(client)) return;
    const record = this.#clients.get(client);
    this.#before.set(client, record === undefined ? undefined : { ...record, outcomes: new Map(record.outcomes) });
  }

  #raiseFloor(client: string, record: ClientRecord, floor: number): void {
    this.#keepBefore(client);
    const { outcomes } = record;
    this.#outcomeCount -= outcomes.size;
    // The shorter way: mostly the floor rises by few, and many outcomes are kept.
    if (floor - record.floor < outcomes.size) for (let s = record.floor; s < floor; s++) outcomes.delete(s);
    else for (const sequence of outcomes.keys()) if (sequence < floor) outcomes.delete(sequence);
    this.#outcomeCount += outcomes.size;
    record.floor = floor;
  }

  #evictOldest(record: ClientRecord): void {
    for (const sequence of record.outcomes.keys()) {
      record.outcomes.delete(sequence);
      this.#outcomeCount--;
      record.evictedSequence = Math.max(record.evictedSequence, sequence);
      return;
    }
  }

  /**
   * All that was applied for the client was first sent before its last time plus the margin. The watermark lies further
   * ahead, at now plus the margin, unless the client has long been idle: so a leader's clock that has jumped ahead does no
   * harm. But a watermark ahead of now makes retries of new clients unknown, which a client long gone is not worth.
   */
  #forgetLongestIdle(): void {
    for (const [client, record] of this.#clients) {
      this.#keepBefore(client);
      this.#clients.delete(client);
      this.#outcomeCount -= record.outcomes.size;
      const sinceMs = Math.min(this.#timeMs, record.lastTimeMs + LONG_IDLE_MS);
      this.#watermarkMs = Math.max(this.#watermarkMs, sinceMs + CLOCK_MARGIN_MS);
      return;
    }
  }
}
