// Exactly-once application of retried writes (design rule 9), one instance a shard, changed only by applying entries, so
// that every replica decides alike.
//
// For each client the shard keeps the outcomes of its sequences at or above its floor. A retry is answered with the
// first outcome. What was forgotten is remembered as a bound: below the floor the client itself has said that nobody
// asks any more; above it, an outcome forgotten for want of room or for age leaves a *watermark*, and a write that is
// not found and was first sent before the watermark is answered OUTCOME_UNKNOWN and never applied.
//
// "First sent" is the entry's time less the age that the client states: no clock but the shard's is involved. Ages are
// compared with a margin, since two leaders' clocks may differ; within one client the evicted sequence is a second
// bound that needs no clock.

import type { ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import { hexToBytes, toHex } from './hex.js';
import type { WriteIdentity } from './operation.js';

/** Outcomes kept for one client in one shard. */
export const OUTCOMES_PER_CLIENT_MAX = 1024;
/** Clients kept in one shard; beyond it the one idle for longest is forgotten. */
export const CLIENTS_PER_SHARD_MAX = 1024;
/** Clients idle for longer (in shard time) are forgotten. */
export const CLIENT_RETENTION_MS = 10 * 60_000;
/** Difference between two leaders' clocks that the watermark of forgotten clients allows for. */
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

/** What {@link ClientOutcomes.check} found. */
export type Admission = Outcome | 'new' | 'below_floor' | 'unknown';

interface ClientRecord {
  floor: number;
  lastTimeMs: number;
  /** The greatest sequence forgotten for want of room; a lower one that is not found may have been applied. */
  evictedSequence: number;
  /** Time of the newest outcome forgotten for want of room. */
  watermarkMs: number;
  /** In log order. */
  readonly outcomes: Map<number, Outcome>;
}

const STATUSES = ['done', 'version_mismatch', 'already_exists'] as const;

/** The outcomes one shard remembers. */
export class ClientOutcomes {
  /** In order of last use, longest idle first. */
  readonly #clients = new Map<string, ClientRecord>();
  #watermarkMs = 0;

  /** Clients remembered. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** Looks a write up before it is applied in an entry of time `timeMs`. */
  check(identity: WriteIdentity, timeMs: number): Admission {
    const client = this.#clients.get(identity.clientId);
    const firstSentMs = timeMs - identity.ageMs;
    if (client === undefined) return firstSentMs <= this.#watermarkMs ? 'unknown' : 'new';
    const outcome = client.outcomes.get(identity.sequence);
    if (outcome !== undefined) return outcome;
    if (identity.sequence < client.floor) return 'below_floor';
    if (identity.sequence <= client.evictedSequence || firstSentMs < client.watermarkMs) return 'unknown';
    return firstSentMs <= this.#watermarkMs ? 'unknown' : 'new';
  }

  /** Remembers the outcome of a write that {@link check} called new. */
  record(identity: WriteIdentity, outcome: Outcome): void {
    const client = this.#touch(identity.clientId, outcome.timeMs);
    this.#raiseFloor(client, identity.floor);
    client.outcomes.set(identity.sequence, outcome);
    if (client.outcomes.size > OUTCOMES_PER_CLIENT_MAX) evictOldest(client);
    this.#forgetIdle(outcome.timeMs);
  }

  #touch(clientId: string, timeMs: number): ClientRecord {
    let client = this.#clients.get(clientId);
    if (client === undefined) {
      client = { floor: 0, lastTimeMs: timeMs, evictedSequence: 0, watermarkMs: 0, outcomes: new Map() };
    } else {
      this.#clients.delete(clientId);
      client.lastTimeMs = timeMs;
    }
    this.#clients.set(clientId, client);
    return client;
  }

  #raiseFloor(client: ClientRecord, floor: number): void {
    if (floor <= client.floor) return;
    client.floor = floor;
    for (const sequence of client.outcomes.keys()) if (sequence < floor) client.outcomes.delete(sequence);
  }

  #forgetIdle(timeMs: number): void {
    for (const [clientId, client] of this.#clients) {
      const expired = client.lastTimeMs + CLIENT_RETENTION_MS <= timeMs;
      if (!expired && this.#clients.size <= CLIENTS_PER_SHARD_MAX) return;
      this.#clients.delete(clientId);
      const margin = expired ? CLOCK_MARGIN_MS : 0;
      this.#watermarkMs = Math.max(this.#watermarkMs, client.lastTimeMs + margin);
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
      for (const [sequence, outcome] of client.outcomes) {
        to.varint(sequence);
        encodeOutcome(outcome, to);
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
        outcomes: new Map(),
      };
      const outcomeCount = from.varint();
      for (let j = 0; j < outcomeCount; j++) client.outcomes.set(from.varint(), decodeOutcome(from));
      all.#clients.set(clientId, client);
    }
    return all;
  }
}

const evictOldest = (client: ClientRecord): void => {
  for (const [sequence, outcome] of client.outcomes) {
    client.outcomes.delete(sequence);
    client.evictedSequence = Math.max(client.evictedSequence, sequence);
    client.watermarkMs = Math.max(client.watermarkMs, outcome.timeMs);
    return;
  }
};

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
