// For tests of exactlyOnce: a state machine whose results show what was applied and when, a random history of what clients
// propose, and a naive model of what must become of it.
import { type Entry, encodeRequest, type Outcome, type OutcomeRequest, OutcomeSession } from 'nori-raft';
import type { Rng } from 'nori-testkit';
import type { OutcomeLimits } from '../../../src/multi/outcome-table.js';
import type { Mark, SnapshotSource, StagedSnapshot, StateMachine } from '../../../src/multi/ports.js';

export const START_MS = 1_700_000_000_000;
export const CONFIG = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
export const FIRST_MARK: Mark = { term: 1, index: 1, config: CONFIG };

/** What a disk keeps of a {@link Tally}. */
export interface StoredTally {
  readonly mark: Mark;
  readonly attachment: Uint8Array | undefined;
  readonly applied: readonly string[];
}

export const FRESH: StoredTally = { mark: FIRST_MARK, attachment: undefined, applied: [] };

/** Keeps each payload it is given; a result is how many there are with that one, and the payload. */
export class Tally implements StateMachine<string> {
  mark: Mark;
  applied_: string[];
  stored: StoredTally;
  /** Whether results come later. */
  readonly isLate: () => boolean;

  constructor(stored: StoredTally = FRESH, isLate = () => false) {
    const { mark, attachment, applied } = stored;
    this.mark = { ...mark, attachment: attachment === undefined ? undefined : () => attachment };
    this.applied_ = [...applied];
    this.stored = stored;
    this.isLate = isLate;
  }

  apply(entries: readonly Entry[]): readonly string[] | Promise<readonly string[]> {
    const run = () => entries.map(({ data }) => this.#apply(new TextDecoder().decode(data)));
    return this.isLate() ? Promise.resolve().then(run) : run();
  }

  #apply(payload: string): string {
    this.applied_.push(payload);
    return `${this.applied_.length} ${payload}`;
  }

  applied(mark: Mark): void {
    this.mark = mark;
  }

  /** Makes what is there durable. */
  store(): void {
    this.stored = { mark: this.mark, attachment: this.mark.attachment?.(), applied: [...this.applied_] };
  }

  durableIndex(): number {
    return this.stored.mark.index;
  }

  snapshot(): SnapshotSource {
    const { term, index, config } = this.mark;
    const bytes = new TextEncoder().encode(JSON.stringify(this.applied_));
    return {
      term,
      index,
      config,
      async *read(offset: number) {
        for (let at = offset; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100);
      },
      release() {},
    };
  }

  async stage(mark: Mark, chunks: AsyncIterable<Uint8Array>): Promise<StagedSnapshot> {
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
    return {
      install: async () => {
        this.applied_ = JSON.parse(text);
        this.mark = mark;
        this.store();
      },
      discard: async () => {},
    };
  }
}

export const TEXT_RESULTS = {
  encodeResult: (result: string) => new TextEncoder().encode(result),
  decodeResult: (bytes: Uint8Array) => new TextDecoder().decode(bytes),
};

/** A request as the log has it, readable. */
export interface LoggedRequest {
  readonly client: string;
  readonly sequence: number;
  readonly floor: number;
  readonly ageMs: number;
  readonly timeMs: number;
  readonly payload: string;
}

export interface History {
  readonly entries: readonly Entry[];
  /** Undefined: without identity. */
  readonly requests: readonly (LoggedRequest | undefined)[];
}

interface Open {
  readonly session: OutcomeSession;
  readonly request: OutcomeRequest;
  readonly payload: string;
}

/** Times on the way are below 25 s, leaders' clocks at most 15 s wrong: within the margin. */
const TRANSIT_MAX_MS = 25_000;
const CLOCK_ERROR_MAX_MS = 15_000;

/** What reaches the log when clients send, lose, repeat, overtake, give up and begin anew. */
export function randomHistory(rng: Rng, steps: number): History {
  const entries: Entry[] = [];
  const requests: (LoggedRequest | undefined)[] = [];
  let nowMs = START_MS;
  let clockErrorMs = 0;
  let count = 0;
  let index = 1;
  const sessions = Array.from({ length: rng.range(2, 7) }, () => new OutcomeSession(rng.bytes(16)));
  let open: Open[] = [];
  const onTheWay: { readonly arrivesMs: number; readonly deliver: () => void }[] = [];

  const log = (data: Uint8Array, request: LoggedRequest | undefined) => {
    // New leaders' entries and configuration changes take indexes too.
    index += rng.chance(0.1) ? 2 : 1;
    entries.push({ type: 'normal', term: 1, index, data });
    requests.push(request);
  };
  const send = ({ request, payload }: Open) => {
    const identity = request.identity(nowMs);
    const { clientId, sequence, floor, ageMs } = identity;
    const deliver = () => {
      const timeMs = nowMs + clockErrorMs;
      const client = String.fromCharCode(...clientId);
      log(encodeRequest({ ...identity, timeMs }, new TextEncoder().encode(payload)), {
        client,
        sequence,
        floor,
        ageMs,
        timeMs,
        payload,
      });
    };
    // A first attempt is not overtaken by later ones: it is in the log at once, or never.
    if (ageMs === 0) {
      if (rng.chance(0.7)) deliver();
    } else
      for (let i = rng.pick([0, 1, 1, 1, 2]); i > 0; i--)
        onTheWay.push({ arrivesMs: nowMs + rng.int(TRANSIT_MAX_MS), deliver });
  };
  const arrive = () => {
    onTheWay.sort((a, b) => a.arrivesMs - b.arrivesMs);
    while (onTheWay.length > 0 && onTheWay[0]!.arrivesMs <= nowMs) onTheWay.shift()!.deliver();
  };

  while (entries.length < steps) {
    const action = rng.next();
    if (action < 0.35) {
      const session = rng.pick(sessions);
      const payload = `${count++}${rng.chance(0.05) ? '#'.repeat(80) : ''}`;
      const opened = { session, request: session.request(new TextEncoder().encode(payload)), payload };
      open.push(opened);
      send(opened);
    } else if (action < 0.65) {
      if (open.length > 0) send(rng.pick(open));
    } else if (action < 0.85) {
      const [resolved] = open.splice(rng.int(open.length), 1);
      resolved?.request.resolve();
    } else if (action < 0.87) {
      const at = rng.int(sessions.length);
      open = open.filter(({ session }) => session !== sessions[at]);
      sessions[at] = new OutcomeSession(rng.bytes(16));
    } else if (action < 0.9) {
      log(encodeRequest(undefined, new TextEncoder().encode(`anonymous ${count++}`)), undefined);
    } else if (action < 0.92) clockErrorMs = rng.range(-CLOCK_ERROR_MAX_MS, CLOCK_ERROR_MAX_MS);
    // Time passes: what is on the way then arrives in its order, not all at the end.
    const untilMs = nowMs + (rng.chance(0.01) ? rng.int(1_800_000) : rng.chance(0.1) ? rng.int(20_000) : rng.int(300));
    while (nowMs < untilMs) {
      nowMs = Math.min(untilMs, Math.max(nowMs + 1, onTheWay[0]?.arrivesMs ?? untilMs));
      arrive();
    }
  }
  return { entries, requests };
}

interface Remembered {
  readonly client: string;
  readonly sequence: number;
  readonly result: string;
}

interface KnownClient {
  readonly client: string;
  readonly watermarkMs: number;
  floor: number;
  lastTimeMs: number;
  evicted: number[];
}

/** Says what must become of each request. Everything is a list that is searched from end to end. */
export class NaiveOutcomes {
  readonly #limits: OutcomeLimits;
  /** Longest idle first. */
  #clients: KnownClient[] = [];
  #outcomes: Remembered[] = [];
  #timeMs = 0;
  #watermarkMs = 0;
  /** All that was ever applied, by client and sequence: nothing twice. */
  readonly everApplied = new Set<string>();
  applied: string[] = [];

  constructor(limits: OutcomeLimits) {
    this.#limits = limits;
  }

  decide(request: LoggedRequest | undefined, payload: string): Outcome<string> {
    if (request === undefined) return { status: 'applied', result: this.#apply(payload) };
    const { client, sequence, floor, ageMs, timeMs } = request;
    this.#timeMs = Math.max(this.#timeMs, timeMs);
    let known = this.#clients.find((each) => each.client === client);
    if (known !== undefined) {
      known.floor = Math.max(known.floor, floor);
      const { floor: raised } = known;
      this.#outcomes = this.#outcomes.filter((each) => each.client !== client || each.sequence >= raised);
    }
    const first = this.#outcomes.find((each) => each.client === client && each.sequence === sequence);
    if (first !== undefined) {
      if (first.result.length > this.#limits.resultBytesMax) return { status: 'result-forgotten' };
      return { status: 'applied', result: first.result };
    }
    if (known !== undefined && sequence < known.floor) return { status: 'below-floor' };
    const watermarkMs = known?.watermarkMs ?? this.#watermarkMs;
    if (ageMs > 0 && this.#timeMs - ageMs <= watermarkMs) return { status: 'unknown' };
    if (known?.evicted.some((each) => sequence <= each)) return { status: 'unknown' };
    const key = `${client} ${sequence}`;
    if (this.everApplied.has(key)) throw new Error(`Sequence ${sequence} would be applied twice.`);
    this.everApplied.add(key);
    known ??= { client, watermarkMs, floor, lastTimeMs: 0, evicted: [] };
    known.lastTimeMs = this.#timeMs;
    this.#clients = [...this.#clients.filter((each) => each !== known), known];
    const result = this.#apply(payload);
    this.#outcomes.push({ client, sequence, result });
    const own = this.#outcomes.filter((each) => each.client === client);
    if (own.length > this.#limits.outcomesPerClientMax) {
      known.evicted.push(own[0]!.sequence);
      this.#outcomes = this.#outcomes.filter((each) => each !== own[0]);
    }
    while (this.#clients.length > this.#limits.clientsMax || this.#outcomes.length > this.#limits.outcomesMax) {
      const idle = this.#clients.shift()!;
      this.#outcomes = this.#outcomes.filter((each) => each.client !== idle.client);
      this.#watermarkMs = Math.max(this.#watermarkMs, Math.min(this.#timeMs, idle.lastTimeMs + 600_000) + 60_000);
    }
    return { status: 'applied', result };
  }

  #apply(payload: string): string {
    this.applied.push(payload);
    return `${this.applied.length} ${payload}`;
  }
}
