// Exactly-once application of retried writes (design rule 9), one instance a shard, changed only by applying entries, so
// that every replica decides alike.
//
// For each client the shard keeps the outcomes of its sequences at or above its floor. A retry is answered with the
// first outcome. What was forgotten is remembered as a bound: below the floor the client itself has said that nobody
// asks any more; above it, outcomes forgotten for want of room or for age leave a *watermark*, and a retry that is not
// found and was first sent before the watermark is answered OUTCOME_UNKNOWN and never applied.
//
// An age of 0 says that a write is sent for the first time: such a write cannot have been applied before, whatever was
// forgotten. "First sent" of a retry is the entry's time less the age that the client states: no clock but the
// shard's is involved. The watermark of a forgotten client lies a margin ahead, since a retry's way to the node, and the
// difference between two leaders' clocks, are not part of the age. Within one client the greatest evicted sequence is
// a second bound that needs no clock.
import { LIMITS } from 'norikv-protocol';
import type { ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import { hexToBytes, toHex } from './hex.js';
import type { WriteIdentity } from './operation.js';

/** Outcomes kept in one shard; beyond it the client idle for longest is forgotten. */
export const OUTCOMES_PER_SHARD_MAX = 4096;
/** Clients kept in one shard; beyond it the one idle for longest is forgotten. */
export const CLIENTS_PER_SHARD_MAX = 1024;
/** Clients idle for longer (in shard time) are forgotten. */
export const CLIENT_RETENTION_MS = 10 * 60_000;
/** How far ahead of the forgetting the watermark lies: transit times, and differences between leaders' clocks. */
export const CLOCK_MARGIN_MS = 60_000;

/** The result of a write's first application. Versions are (term, index); zero where the key had none. */
export interface Outcome {
  readonly status: 'done' | 'version_mismatch' | 'already_exists';
  /** Of the write if done, else the key's version that made its condition fail. */
  readonly term: number;
  readonly index: number;
  /** Done: whether operation i found its key. Failed: the operation that failed. */
  readonly existed: readonly boolean[];
  readonly failedOperation: number;
  /** The entry's time. */
  readonly timeMs: number;
}

/** What {@link ClientOutcomes.admit} decides. */
export type Admission = Outcome | 'new' | 'below_floor' | 'unknown';

interface ClientRecord {
  floor: number;
  lastTimeMs: number;
  /** The greatest sequence forgotten for want of room; a lower one that is not found may have been applied. */
  evictedSequence: number;
  /** Time of the newest outcome forgotten for want of room; at first, the shard's watermark when the record was made. */
  watermarkMs: number;
  readonly outcomes: OutcomeList;
}

/** Outcomes by sequence, in log order. Mostly there are few, come and gone with each write: too few and too often for a Map. */
class OutcomeList {
  readonly sequences: number[] = [];
  readonly outcomes: Outcome[] = [];

  get size(): number {
    return this.sequences.length;
  }

  get(sequence: number): Outcome | undefined {
    // A retry is looked for among the latest.
    const at = this.sequences.lastIndexOf(sequence);
    return at === -1 ? undefined : this.outcomes[at];
  }

  add(sequence: number, outcome: Outcome): void {
    this.sequences.push(sequence);
    this.outcomes.push(outcome);
  }

  /** Drops all below `floor`. @returns how many */
  dropBelow(floor: number): number {
    const { sequences, outcomes } = this;
    let kept = 0;
    for (let i = 0; i < sequences.length; i++) {
      if (sequences[i]! < floor) continue;
      sequences[kept] = sequences[i]!;
      outcomes[kept++] = outcomes[i]!;
    }
    const dropped = sequences.length - kept;
    sequences.length = kept;
    outcomes.length = kept;
    return dropped;
  }

  /** Drops the oldest. @returns its sequence and outcome */
  shift(): { readonly sequence: number; readonly outcome: Outcome } {
    return { sequence: this.sequences.shift()!, outcome: this.outcomes.shift()! };
  }
}

const STATUSES = ['done', 'version_mismatch', 'already_exists'] as const;

/** The outcomes one shard remembers. */
export class ClientOutcomes {
  /** In order of last use, longest idle first. */
  readonly #clients = new Map<string, ClientRecord>();
  /** The last of them, which is mostly the next one, too. */
  #newestId = '';
  #newest: ClientRecord | undefined;
  #outcomeCount = 0;
  #watermarkMs = 0;

  /** Clients remembered. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /**
   * Decides whether a write in an entry of time `timeMs` is to be applied, and takes note of its floor. A write that is
   * new must be followed by {@link record}, unless it could not be decided.
   */
  admit(identity: WriteIdentity, timeMs: number): Admission {
    const { clientId, sequence, floor, ageMs } = identity;
    const isRetry = ageMs > 0;
    const firstSentMs = timeMs - ageMs;
    const client = this.#find(clientId);
    if (client === undefined) {
      if (isRetry && firstSentMs <= this.#watermarkMs) return 'unknown';
      this.#add(clientId, floor, timeMs);
      return 'new';
    }
    const outcome = client.outcomes.get(sequence);
    if (outcome !== undefined) return outcome;
    if (sequence < client.floor) return 'below_floor';
    if (sequence <= client.evictedSequence || (isRetry && firstSentMs <= client.watermarkMs)) return 'unknown';
    this.#raiseFloor(client, floor);
    return 'new';
  }

  /** Remembers the outcome of a write that {@link admit} called new. */
  record(identity: WriteIdentity, outcome: Outcome): void {
    const { clientId, sequence, floor } = identity;
    let client = this.#find(clientId);
    if (client === undefined) client = this.#add(clientId, floor, outcome.timeMs);
    else {
      if (client !== this.#newest) {
        // To the end of the order of use.
        this.#clients.delete(clientId);
        this.#append(clientId, client);
      }
      client.lastTimeMs = outcome.timeMs;
    }
    client.outcomes.add(sequence, outcome);
    this.#outcomeCount++;
    if (client.outcomes.size > LIMITS.outcomesPerClientMax) this.#evictOldest(client);
    this.#forgetIdle(outcome.timeMs);
  }

  #add(clientId: string, floor: number, timeMs: number): ClientRecord {
    // The client may have been here before, and been forgotten.
    const watermarkMs = this.#watermarkMs;
    const client = { floor, lastTimeMs: timeMs, evictedSequence: 0, watermarkMs, outcomes: new OutcomeList() };
    this.#append(clientId, client);
    return client;
  }

  #find(clientId: string): ClientRecord | undefined {
    return clientId === this.#newestId ? this.#newest : this.#clients.get(clientId);
  }

  #append(clientId: string, client: ClientRecord): void {
    this.#clients.set(clientId, client);
    this.#newestId = clientId;
    this.#newest = client;
  }

  #raiseFloor(client: ClientRecord, floor: number): void {
    if (floor <= client.floor) return;
    client.floor = floor;
    this.#outcomeCount -= client.outcomes.dropBelow(floor);
  }

  #evictOldest(client: ClientRecord): void {
    const { sequence, outcome } = client.outcomes.shift();
    this.#outcomeCount--;
    client.evictedSequence = Math.max(client.evictedSequence, sequence);
    client.watermarkMs = Math.max(client.watermarkMs, outcome.timeMs);
  }

  /** Forgets clients that are idle for too long, or are too many; never the one that was just used. */
  #forgetIdle(timeMs: number): void {
    if (this.#clients.size === 1) return;
    for (const [clientId, client] of this.#clients) {
      const isCrowded = this.#clients.size > CLIENTS_PER_SHARD_MAX || this.#outcomeCount > OUTCOMES_PER_SHARD_MAX;
      if (!isCrowded && client.lastTimeMs + CLIENT_RETENTION_MS > timeMs) return;
      if (this.#clients.size === 1) return;
      this.#clients.delete(clientId);
      this.#outcomeCount -= client.outcomes.size;
      this.#watermarkMs = Math.max(this.#watermarkMs, timeMs + CLOCK_MARGIN_MS);
    }
  }

  /** Appends everything, for the shard's mark. */
  encode(to: ByteWriter): void {
    to.varint(this.#watermarkMs);
    to.varint(this.#clients.size);
    for (const [clientId, client] of this.#clients) {
      to.bytes(hexToBytes(clientId));
      to.varint(client.floor);
      to.varint(client.lastTimeMs);
      to.varint(client.evictedSequence);
      to.varint(client.watermarkMs);
      to.varint(client.outcomes.size);
      const { sequences, outcomes } = client.outcomes;
      for (let i = 0; i < sequences.length; i++) {
        to.varint(sequences[i]!);
        encodeOutcome(outcomes[i]!, to);
      }
    }
  }

  /** @throws RangeError if the bytes are not what {@link encode} writes. */
  static decode(from: ByteReader): ClientOutcomes {
    const all = new ClientOutcomes();
    all.#watermarkMs = from.varint();
    const clientCount = from.varint();
    for (let i = 0; i < clientCount; i++) {
      const clientId = toHex(from.bytes(16));
      const client: ClientRecord = {
        floor: from.varint(),
        lastTimeMs: from.varint(),
        evictedSequence: from.varint(),
        watermarkMs: from.varint(),
        outcomes: new OutcomeList(),
      };
      const outcomeCount = from.varint();
      for (let j = 0; j < outcomeCount; j++) client.outcomes.add(from.varint(), decodeOutcome(from));
      all.#outcomeCount += outcomeCount;
      all.#append(clientId, client);
    }
    return all;
  }
}

const encodeOutcome = (outcome: Outcome, to: ByteWriter): void => {
  to.u8(STATUSES.indexOf(outcome.status));
  to.varint(outcome.term);
  to.varint(outcome.index);
  to.varint(outcome.timeMs);
  to.varint(outcome.failedOperation);
  to.varint(outcome.existed.length);
  for (const existed of outcome.existed) to.u8(existed ? 1 : 0);
};

const decodeOutcome = (from: ByteReader): Outcome => {
  const status = STATUSES[from.u8()];
  if (status === undefined) throw new RangeError('an outcome has an unknown status');
  const term = from.varint();
  const index = from.varint();
  const timeMs = from.varint();
  const failedOperation = from.varint();
  const count = from.varint();
  if (count > from.remaining) throw new RangeError('an outcome claims more operations than it has bytes');
  const existed: boolean[] = [];
  for (let i = 0; i < count; i++) existed.push(from.u8() === 1);
  return { status, term, index, existed, failedOperation, timeMs };
};
