// Messages that should not exist: malformed, misdirected, repeated, oversized, from strangers, from the far future, lies.
//
// Each replica is a pair of cores that get the same input, except that a message which the first one drops is kept from the
// second. As long as they behave alike, a dropped message has changed nothing, whatever is inside. The one exception is
// documented: who is behind is answered, so that it hears of the new term.
import { isDeepStrictEqual } from 'node:util';
import {
  type ConfState,
  type DropReason,
  type Entry,
  encodeConfChange,
  MemoryStorage,
  type Message,
  type MessageType,
  RaftCore,
  RaftError,
  type RaftOptions,
  type RaftStatus,
  type Ready,
} from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { MESSAGE_TYPES } from '../src/message.js';

const seed = seedFromEnv();
const VOTERS = [1, 2, 3];
const LEARNERS = [4];
const ENTRY_BYTES_MAX = 100;
const TICK_MS = 100;
const RUNS = 50;
const STEPS = 500;

const NUMBERS = ['from', 'to', 'term', 'index', 'logTerm', 'commit', 'rejectHint', 'context', 'transfer'] as const;

const NO_NUMBERS: readonly unknown[] = [
  Number.NaN,
  -1,
  1.5,
  2 ** 53,
  Infinity,
  -Infinity,
  undefined,
  null,
  '1',
  1n,
  {},
  [],
];

const NO_MESSAGES: readonly unknown[] = [
  undefined,
  null,
  0,
  '',
  'append',
  true,
  [],
  {},
  { type: 'append' },
  { type: 'toString' },
];

/** A replica, twice. */
class Twin {
  readonly id: number;
  readonly #a: RaftCore;
  readonly #b: RaftCore;
  readonly storage: MemoryStorage;
  readonly #storageB: MemoryStorage;
  /** Answers to messages of earlier terms, which only the first core was asked for. */
  #answers: string[] = [];
  #writes: { readonly a: Ready; readonly b: Ready }[] = [];
  readonly #answersLeaders: boolean;
  #last: RaftStatus;
  #applied = 1;
  /** A forged entry was committed that is no configuration change: the driver would stop here. */
  stopped = false;

  constructor(options: Omit<RaftOptions, 'storage' | 'random'>, seedOfCores: number) {
    this.id = options.id;
    this.#answersLeaders = options.checkQuorum === true || options.preVote === true;
    this.storage = new MemoryStorage({ voters: VOTERS, learners: LEARNERS });
    this.#storageB = new MemoryStorage({ voters: VOTERS, learners: LEARNERS });
    const [rngA, rngB] = [new Rng(seedOfCores), new Rng(seedOfCores)];
    this.#a = new RaftCore({ ...options, storage: this.storage, random: () => rngA.next() });
    this.#b = new RaftCore({ ...options, storage: this.#storageB, random: () => rngB.next() });
    this.#last = this.#a.status();
  }

  /** Runs a call on both; they must do the same, and throw only typed errors. */
  call(action: (core: RaftCore) => unknown): void {
    const outcome = (core: RaftCore) => {
      try {
        return action(core) ?? 'nothing';
      } catch (error) {
        if (!(error instanceof RaftError)) throw error;
        return error.code;
      }
    };
    same(outcome(this.#a), outcome(this.#b), 'outcomes of a call');
    this.#check();
  }

  step(message: Message, nowMs: number): DropReason | undefined {
    const before = this.#a.status();
    const reason = this.#a.step(message, nowMs);
    const after = this.#a.status();
    if (reason === undefined) {
      same(this.#b.step(message, nowMs), undefined, 'what becomes of a message');
    } else {
      same({ ...after, dropped: {} }, { ...before, dropped: {} }, `states around a dropped message (${reason})`);
      same(after.dropped, { ...before.dropped, [reason]: before.dropped[reason] + 1 }, 'counts of dropped messages');
      if (reason === 'stale-term') this.#expectAnswer(message, after.term);
    }
    this.#check();
    return reason;
  }

  #expectAnswer({ type, from }: Message, term: number): void {
    if (type === 'pre-vote') this.#answers.push(`pre-vote-response ${from} ${term}`);
    // Without either option the sender's term cannot be behind for want of a message.
    else if (this.#answersLeaders && (type === 'append' || type === 'heartbeat')) {
      this.#answers.push(`append-response ${from} ${term}`);
    }
  }

  /** Handles a Ready, and maybe finishes writes. */
  work(finish: boolean, send: (message: Message) => void, committed: (entry: Entry) => void): void {
    if (this.#a.hasReady() || this.#b.hasReady()) {
      const a = this.#a.ready();
      const b = this.#b.ready();
      // An answer may look like one that both gave: then nobody knows which of the two is too much, but how many are.
      const order = this.#answers.length === 0 ? (list: readonly Message[]) => list : sorted;
      same(order(this.#withoutAnswers(a.afterAppend)), order(b.afterAppend), 'answers');
      same({ ...a, afterAppend: [] }, { ...b, afterAppend: [] }, 'Readys');
      same(this.#answers, [], 'answers that are owed');
      for (const message of a.messages) send(message);
      this.#writes.push({ a, b });
      this.#apply(a, committed);
    }
    if (finish) this.#finish(send);
    this.#check();
  }

  // In the order of the documentation: a Ready's entries are applied when they are durable, which those of earlier
  // Readys are by contract.
  #apply(ready: Ready, committed: (entry: Entry) => void): void {
    for (const entry of ready.committed) {
      if (entry.index !== this.#applied + 1) throw new Error(`Entry ${entry.index} follows ${this.#applied}.`);
      this.#applied = entry.index;
      if (this.storage.term(entry.index) !== entry.term) throw new Error(`Entry ${entry.index} is not durable.`);
      committed(entry);
      if (entry.type === 'conf-change' && !this.#applyConfChange(entry)) return;
    }
    if (ready.committed.length > 0) this.call((core) => core.applyDone(this.#applied));
  }

  #applyConfChange(entry: Entry): boolean {
    const outcome = (core: RaftCore) => {
      try {
        return core.applyConfChange(entry);
      } catch (error) {
        if (!(error instanceof RaftError)) throw error;
        return error.code;
      }
    };
    const a = outcome(this.#a);
    same(a, outcome(this.#b), 'configurations');
    this.stopped = typeof a === 'string';
    return !this.stopped;
  }

  #finish(send: (message: Message) => void): void {
    for (const { a, b } of this.#writes.splice(0)) {
      if (a.snapshot !== undefined) this.#applied = a.snapshot.index;
      this.storage.store(a);
      this.#storageB.store(b);
      for (const message of a.afterAppend) send(message);
      this.#a.appendDone(a.token);
      this.#b.appendDone(b.token);
    }
  }

  #withoutAnswers(messages: readonly Message[]): readonly Message[] {
    return messages.filter((message) => {
      const isAnswer =
        (message.type === 'append-response' && !message.reject && message.index === 0) ||
        (message.type === 'pre-vote-response' && message.reject);
      const at = isAnswer ? this.#answers.indexOf(`${message.type} ${message.to} ${message.term}`) : -1;
      if (at >= 0) this.#answers.splice(at, 1);
      return at < 0;
    });
  }

  #check(): void {
    const a = this.#a.status();
    same({ ...a, dropped: {} }, { ...this.#b.status(), dropped: {} }, 'states');
    same(this.#a.leaseExpiresAtMs, this.#b.leaseExpiresAtMs, 'leases');
    const last = this.#last;
    const ordered = a.applied <= a.commit && a.commit <= a.lastIndex;
    const grows = a.term >= last.term && a.commit >= last.commit && a.applied >= last.applied;
    const keepsVote = a.term > last.term || last.vote === 0 || a.vote === last.vote;
    if (!ordered || !grows || !keepsVote) throw new Error(`Impossible: ${show(last)} became ${show(a)}.`);
    this.#last = a;
  }

  status(): RaftStatus {
    return this.#a.status();
  }
}

/** Replicas on a bad network, with someone who sends what nobody should. */
class World {
  readonly rng: Rng;
  readonly twins: readonly Twin[];
  readonly #lies: boolean;
  #queue: Message[] = [];
  /** What was sent lately, to be repeated and distorted. */
  readonly #sent: Message[] = [];
  #nowMs = 0;
  readonly #committed = new Map<number, number>();
  junk = 0;

  constructor(rng: Rng, lies: boolean) {
    this.rng = rng;
    this.#lies = lies;
    const lease = { electionTimeoutMinMs: 900, electionTimeoutMaxMs: 2000, maxClockDrift: 0.1, nowMs: 0 };
    const options: Omit<RaftOptions, 'id' | 'storage' | 'random'> = {
      entryBytesMax: ENTRY_BYTES_MAX,
      preVote: rng.chance(0.5),
      forwardProposals: rng.chance(0.5),
      inflightAppendsMax: rng.range(1, 5),
      ...(rng.chance(0.5) ? { checkQuorum: true, lease } : { checkQuorum: rng.chance(0.5) }),
    };
    this.twins = [...VOTERS, ...LEARNERS].map((id) => new Twin({ ...options, id }, rng.uint32()));
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const twin = this.rng.pick(this.twins);
      if (twin.stopped) continue;
      const dice = this.rng.next();
      if (dice < 0.1) this.#tick();
      else if (dice < 0.4) this.#deliver();
      else if (dice < 0.65) this.#work(twin);
      else if (dice < 0.75) twin.call((core) => core.propose(new Uint8Array(dice < 0.74 ? 5 : ENTRY_BYTES_MAX + 1)));
      else if (dice < 0.77) twin.call((core) => core.readIndex());
      else if (dice < 0.775) twin.call((core) => core.transferLeader(this.#target(i)));
      else if (dice < 0.78) twin.call((core) => core.campaign(this.#nowMs));
      else if (dice < 0.785) twin.call((core) => core.forgetLeader());
      else this.#sendJunk(twin);
    }
  }

  /** Lets messages through and demands that one replica leads and that a proposal is committed. */
  settle(): void {
    for (let i = 0; i < 200; i++) {
      this.#tick();
      for (let j = 0; j < 10; j++) {
        for (const twin of this.twins)
          twin.work(
            true,
            (m) => this.#send(m),
            (entry) => this.#note(entry),
          );
        for (const message of this.#queue.splice(0)) this.#twin(message.to)?.step(message, this.#nowMs);
      }
      const leader = this.twins.find((twin) => twin.status().role === 'leader');
      const caughtUp =
        leader !== undefined && this.twins.every((twin) => twin.status().applied === leader.status().lastIndex);
      if (caughtUp) return;
    }
    throw new Error(`No progress: ${this.twins.map((twin) => show(twin.status())).join('\n')}`);
  }

  #target(i: number): number {
    return (i % 5) + 1;
  }

  #twin(id: number): Twin | undefined {
    return this.twins[id - 1];
  }

  #tick(): void {
    this.#nowMs += TICK_MS;
    for (const twin of this.twins) if (!twin.stopped) twin.call((core) => core.tick(this.#nowMs));
  }

  #send(message: Message): void {
    this.#queue.push(message);
    this.#sent.push(message);
    if (this.#sent.length > 60) this.#sent.shift();
  }

  #deliver(): void {
    for (let count = this.rng.int(8); count >= 0 && this.#queue.length > 0; count--) {
      const [message] = this.#queue.splice(this.rng.chance(0.8) ? 0 : this.rng.int(this.#queue.length), 1);
      const twin = this.#twin(message!.to);
      if (twin !== undefined && !twin.stopped && this.rng.chance(0.95)) twin.step(message!, this.#nowMs);
    }
  }

  #work(twin: Twin): void {
    twin.work(
      this.rng.chance(0.8),
      (m) => this.#send(m),
      (entry) => this.#note(entry),
    );
  }

  // Honest worlds keep their configuration: what is committed must be durable at two of three.
  #note(entry: Entry): void {
    if (this.#lies) return;
    const holders = VOTERS.filter((id) => this.#twin(id)!.storage.term(entry.index) === entry.term);
    if (holders.length < 2) throw new Error(`Entry ${show(entry)} is committed, and only at ${holders}.`);
    const before = this.#committed.get(entry.index) ?? entry.term;
    if (before !== entry.term) throw new Error(`Entry ${show(entry)} was committed with term ${before} elsewhere.`);
    this.#committed.set(entry.index, entry.term);
  }

  #sendJunk(twin: Twin): void {
    this.junk++;
    const { rng } = this;
    if (rng.chance(0.05)) {
      same(twin.step(rng.pick(NO_MESSAGES) as Message, this.#nowMs), 'malformed', 'what becomes of junk');
      return;
    }
    // For this replica if possible: most others are dropped for their address.
    const own = this.#sent.filter(({ to }) => to === twin.id);
    const base = rng.pick(
      rng.chance(0.9) && own.length > 0 ? own : [...this.#sent, blank(rng.pick(MESSAGE_TYPES), 2, twin.id)],
    );
    const bad: Record<string, unknown> = { ...base };
    let hopeless = false;
    if (this.#lies && rng.chance(0.4)) this.#lie(bad, twin);
    else if (this.#lies && rng.chance(0.6)) Object.assign(bad, this.#forgery(twin));
    else hopeless = this.#spoil(bad, twin);
    const reason = twin.step(bad as unknown as Message, this.#nowMs);
    if (hopeless && reason === undefined) throw new Error(`Taken, though hopeless: ${show(bad)}`);
  }

  /**
   * Makes a message that is no lie: everything it says is true, or nobody can take it for a message.
   * @returns whether it must be dropped
   */
  #spoil(m: Record<string, unknown>, twin: Twin): boolean {
    const { rng } = this;
    switch (rng.int(11)) {
      case 0:
        m[rng.pick(NUMBERS)] = rng.pick(NO_NUMBERS);
        return true;
      case 1:
        delete m[rng.pick([...NUMBERS, 'type', 'entries', 'reject'])];
        return true;
      case 2:
        m.type = rng.pick(['', 'Append', 'constructor', '__proto__', 7, null]);
        return true;
      case 3:
        m.from = rng.pick([twin.id, 0]);
        return true;
      case 4:
        m.term = rng.pick([2 ** 53 - 1, 2 ** 40, 2 ** 33 + 7]);
        return true;
      case 5:
        m.entries = this.#spoiltEntries((m.entries as readonly Entry[] | undefined) ?? []);
        return true;
      case 6:
        m.reject = rng.pick([undefined, 0, 'true', null]);
        return true;
      case 7:
        m.snapshot = rng.pick<unknown>([null, 0, {}, { index: 5 }, { index: 5, term: 1, data: new Uint8Array(0) }]);
        return true;
      case 8:
        m.to = (twin.id % 4) + 1;
        return true;
      case 9:
        // From a stranger. It may well be a replica that this one has not heard of.
        m.from = 99;
        return String(m.type).endsWith('-response');
      default:
        // A repetition, or the same with too much in it.
        if (m.type !== 'append' || rng.chance(0.5)) return false;
        return this.#inflate(m);
    }
  }

  #inflate(m: Record<string, unknown>): boolean {
    const entries = m.entries as readonly Entry[];
    m.entries = entries.map((entry) => ({ ...entry, data: new Uint8Array(ENTRY_BYTES_MAX + 1) }));
    return entries.length > 0;
  }

  #spoiltEntries(entries: readonly Entry[]): unknown {
    const { rng } = this;
    const some = rng.pick<unknown>([
      null,
      undefined,
      1,
      'x',
      { type: 'normal' },
      { term: 1, index: 1, type: 'odd', data: new Uint8Array(0) },
      { term: 1, index: 1, type: 'normal', data: [1, 2] },
      { term: Number.NaN, index: Number.NaN, type: 'normal', data: new Uint8Array(0) },
      { term: -1, index: 1.5, type: 'normal', data: new Uint8Array(0) },
      { ...(entries[0] ?? { term: 1, index: 2, type: 'normal' }), data: new Uint8Array(ENTRY_BYTES_MAX + 1) },
    ]);
    return rng.pick<unknown>([undefined, null, 'ab', { length: 2 }, [some], [...entries, some], new Array(3)]);
  }

  /** Says what is well-formed and not true. */
  #lie(m: Record<string, unknown>, twin: Twin): void {
    const { rng } = this;
    const { term, lastIndex } = twin.status();
    const number = () =>
      rng.pick([0, 1, 2, lastIndex, lastIndex + 1, term, term + 1, rng.int(20), 2 ** 53 - 1, 2 ** 53 - 2, 2 ** 32]);
    for (let changes = rng.range(1, 4); changes > 0; changes--) {
      const kind = rng.int(6);
      if (kind === 0) m.type = rng.pick(MESSAGE_TYPES);
      else if (kind === 1) m.from = rng.range(1, 5);
      else if (kind === 2) m.reject = rng.chance(0.5);
      else if (kind === 3) m.entries = this.#forgedEntries(twin);
      else if (kind === 4) m.snapshot = rng.chance(0.5) ? undefined : this.#forgedSnapshot(number);
      else m[rng.pick(NUMBERS)] = number();
    }
    m.to = twin.id;
  }

  /** A message that passes for one of this or the next term. */
  #forgery(twin: Twin): Message {
    const { rng } = this;
    const { term, lastIndex, commit } = twin.status();
    const type = rng.pick(MESSAGE_TYPES);
    const termless = type === 'propose' || type === 'read-index';
    const message = blank(type, rng.pick([1, 2, 3, 4].filter((id) => id !== twin.id)), twin.id);
    const index = rng.pick([lastIndex, lastIndex, commit, rng.int(lastIndex + 2)]);
    const entries = type === 'append' || type === 'propose' ? this.#forgedEntries(twin, index + 1) : [];
    const logTerm = index === 0 ? 0 : (twin.storage.term(index) ?? term);
    const snapshotIndex = rng.pick([lastIndex + 1, lastIndex + 5, 2 ** 52, 2 ** 52 + 1, 2 ** 53 - 3]);
    const snapshot = { index: snapshotIndex, term, config: this.#forgedConfig(), data: new Uint8Array(0) };
    return {
      ...message,
      term: termless ? 0 : term + rng.pick([0, 0, 1]),
      index,
      logTerm,
      commit: type === 'append' || type === 'heartbeat' ? rng.pick([commit, index, lastIndex]) : 0,
      entries,
      reject: rng.chance(0.2),
      rejectHint: rng.int(lastIndex + 2),
      snapshot: type === 'snapshot' ? snapshot : undefined,
      context: rng.int(5),
    };
  }

  #forgedEntries(twin: Twin, from?: number): Entry[] {
    const { rng } = this;
    const { term, lastIndex } = twin.status();
    const first = from ?? rng.pick([lastIndex + 1, lastIndex, rng.range(1, 10)]);
    return Array.from({ length: rng.int(4) }, (_, i) => ({
      term: from === undefined ? rng.pick([term, term, term - 1, 1]) : term,
      index: first + i,
      ...(rng.chance(0.8) ? { type: 'normal', data: rng.bytes(rng.int(6)) } : this.#forgedChange()),
    }));
  }

  #forgedSnapshot(number: () => number): unknown {
    return { index: number(), term: number(), config: this.#forgedConfig(), data: new Uint8Array(0) };
  }

  #forgedConfig(): ConfState {
    const { rng } = this;
    const ids = () => [1, 2, 3, 4, 5].filter(() => rng.chance(0.4));
    if (rng.chance(0.5)) {
      // Sound.
      const [first, ...more] = rng.shuffle([1, 2, 3, 4, 5]);
      const voters = [first!, ...more.slice(0, 2)].sort((a, b) => a - b);
      return {
        voters,
        votersOutgoing: [],
        learners: more.slice(2).sort((a, b) => a - b),
        learnersNext: [],
        autoLeave: false,
      };
    }
    return {
      voters: ids(),
      votersOutgoing: rng.chance(0.7) ? [] : ids(),
      learners: rng.chance(0.7) ? [] : ids(),
      learnersNext: rng.chance(0.9) ? [] : ids(),
      autoLeave: rng.chance(0.2),
    };
  }

  #forgedChange(): Pick<Entry, 'type' | 'data'> {
    const { rng } = this;
    if (rng.chance(0.2)) return { type: 'conf-change', data: rng.bytes(rng.int(6)) };
    const steps = Array.from({ length: rng.int(3) }, () => ({
      type: rng.pick(['add-voter', 'add-learner', 'remove', 'update'] as const),
      id: rng.range(1, 5),
    }));
    const transition = rng.pick(['auto', 'joint-implicit', 'joint-explicit'] as const);
    return { type: 'conf-change', data: encodeConfChange({ transition, steps }) };
  }
}

function blank(type: MessageType, from: number, to: number): Message {
  return {
    type,
    from,
    to,
    term: 1,
    index: 0,
    logTerm: 0,
    commit: 0,
    entries: [],
    reject: false,
    rejectHint: 0,
    snapshot: undefined,
    context: 0,
    transfer: 0,
  };
}

function sorted(messages: readonly Message[]): readonly Message[] {
  return [...messages].sort((a, b) => (show(a) < show(b) ? -1 : 1));
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (!isDeepStrictEqual(actual, expected)) throw new Error(`${what} differ:\n${show(actual)}\n${show(expected)}`);
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}n` : one));
}

function runWorlds(lies: boolean, finish: (world: World) => void): number {
  const seeds = new Rng(seed);
  let junk = 0;
  for (let run = 0; run < RUNS; run++) {
    const world = new World(seeds.fork(), lies);
    try {
      world.settle();
      world.run(STEPS);
      finish(world);
    } catch (error) {
      throw new Error(`NORI_SEED=${seed}, run ${run}: ${(error as Error).stack}`);
    }
    junk += world.junk;
  }
  return junk;
}

describe('Bad input', () => {
  test('Malformed, misdirected and repeated messages change nothing, and nothing is committed without a quorum', () => {
    expect(runWorlds(false, (world) => world.settle())).toBeGreaterThan(RUNS);
  });

  test('Messages that lie never make the core throw or contradict itself', () => {
    expect(runWorlds(true, () => {})).toBeGreaterThan(RUNS);
  });

  test.each<[DropReason, string, Partial<Record<keyof Message, unknown>>]>([
    ['wrong-address', 'is for another replica', { to: 2 }],
    ['wrong-address', 'is from the receiver', { from: 1 }],
    ['wrong-address', 'is from nobody', { from: 0 }],
    ['malformed', 'has an unknown type', { type: 'toString' }],
    ['malformed', 'has no term', { term: 0 }],
    ['malformed', 'has a term where none belongs', { type: 'read-index', term: 2 }],
    ['malformed', 'has a negative index', { index: -1 }],
    ['malformed', 'has an index beyond 2^53 - 1', { index: 2 ** 53 }],
    ['malformed', 'has NaN for a commit index', { commit: Number.NaN }],
    ['malformed', 'has a bigint for a context', { context: 1n }],
    ['malformed', 'has no entries', { entries: undefined }],
    ['malformed', 'has holes for entries', { entries: new Array(2) }],
    ['malformed', 'has entries where none belong', { type: 'heartbeat', entries: [entry(1, 2)] }],
    ['malformed', 'has a snapshot where none belongs', { snapshot: snapshot() }],
    ['malformed', 'is a snapshot without one', { type: 'snapshot' }],
    ['malformed', 'has a snapshot without voters', { type: 'snapshot', snapshot: snapshot({ voters: [] }) }],
    [
      'malformed',
      'has a snapshot with a voter that is a learner',
      { type: 'snapshot', snapshot: snapshot({ learners: [2] }) },
    ],
    ['malformed', 'has a snapshot with unsorted voters', { type: 'snapshot', snapshot: snapshot({ voters: [2, 1] }) }],
    ['malformed', 'has an index and no term for it', { logTerm: 0 }],
    ['malformed', 'has entries that leave a gap', { entries: [entry(1, 3)] }],
    ['malformed', 'has entries whose terms fall', { entries: [entry(2, 2), entry(1, 3)], term: 2 }],
    ['malformed', 'has an entry of a term that has not begun', { entries: [entry(3, 2)], term: 2 }],
    ['malformed', 'has an entry that is no bytes', { entries: [{ ...entry(1, 2), data: 'x' }] }],
    ['malformed', 'has an entry of an unknown type', { entries: [{ ...entry(1, 2), type: 'odd' }] }],
    ['malformed', 'contradicts what is committed', { index: 0, logTerm: 0, entries: [entry(2, 1)], term: 2 }],
    ['malformed', 'proposes an entry with no number', { type: 'propose', term: 0, entries: [entry(0, Number.NaN)] }],
    ['malformed', 'proposes nothing', { type: 'propose', term: 0 }],
    ['too-large', 'has an entry over the limit', { entries: [{ ...entry(1, 2), data: new Uint8Array(101) }] }],
    [
      'too-large',
      'proposes an entry over the limit',
      { type: 'propose', term: 0, entries: [{ ...entry(0, 0), data: new Uint8Array(101) }] },
    ],
    ['far-future', 'has a term out of reach', { term: 2 ** 40 }],
    ['far-future', 'tells of a commit that this replica has not acknowledged', { type: 'heartbeat', commit: 9 }],
    ['unknown-replica', 'is a vote of a stranger', { type: 'vote-response', from: 9 }],
    ['unknown-replica', 'is an acknowledgement of a stranger', { type: 'append-response', from: 9 }],
  ])('Dropped as %s: a message that %s', (reason, _, parts) => {
    const core = aFollower();
    const before = core.status();
    const message = { ...blank('append', 2, 1), index: 1, logTerm: 1, ...parts } as unknown as Message;
    expect(core.step(message, 0)).toBe(reason);
    expect(core.status()).toEqual({ ...before, dropped: { ...before.dropped, [reason]: 1 } });
    expect(core.hasReady()).toBe(false);
  });

  test('A leader drops an acknowledgement of what it never sent, and of a heartbeat it never began', () => {
    const core = aFollower();
    core.campaign(0);
    for (let i = 0; i < 3; i++) {
      core.appendDone(core.ready().token);
      core.step({ ...blank('pre-vote-response', 2, 1), term: 2 }, 0);
      core.step({ ...blank('vote-response', 2, 1), term: 2 }, 0);
    }
    expect([core.role, core.term]).toEqual(['leader', 2]);
    const before = core.status();
    expect(core.step({ ...blank('append-response', 2, 1), term: 2, index: 9 }, 0)).toBe('far-future');
    expect(core.step({ ...blank('heartbeat-response', 2, 1), term: 2, context: 9 }, 0)).toBe('far-future');
    expect({ ...core.status(), dropped: {} }).toEqual({ ...before, dropped: {} });
  });

  test('A follower commits no further than what a message brought, though its own log is longer', () => {
    const core = aFollower();
    // Entries 2 to 4 of a leader of term 2, of which the leader of term 3 has the first only.
    const first = { ...blank('append', 2, 1), term: 2, index: 1, logTerm: 1, commit: 1 };
    expect(core.step({ ...first, entries: [entry(2, 2), entry(2, 3), entry(2, 4)] }, 0)).toBeUndefined();
    // It has committed up to 4 with entries of its own, and probes at 2 without sending any yet.
    const probe = { ...blank('append', 3, 1), term: 3, index: 2, logTerm: 2, commit: 4 };
    expect(core.step(probe, 0)).toBeUndefined();
    expect(core.commitIndex).toBe(2);
    expect(core.step({ ...probe, entries: [entry(3, 3)] }, 0)).toBeUndefined();
    expect([core.commitIndex, core.lastIndex]).toEqual([3, 3]);
  });

  test('A message that brings a new term is not called dropped', () => {
    for (const type of ['read-index-response', 'transfer-leader'] as const) {
      const core = aFollower();
      expect(core.step({ ...blank(type, 2, 1), term: 7, context: 5 }, 0)).toBeUndefined();
      expect(core.term).toBe(7);
    }
  });

  test('Indexes that would use up the numbers are not believed', () => {
    const config = { voters: VOTERS, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    const at = (index: number) => ({ term: 1, index, config, data: new Uint8Array(0) });
    const core = aFollower();
    expect(core.step({ ...blank('snapshot', 2, 1), snapshot: at(2 ** 52 + 1) }, 0)).toBe('far-future');
    expect(core.step({ ...blank('append', 2, 1), index: 2 ** 52 + 1, logTerm: 1 }, 0)).toBe('far-future');
    expect(core.lastIndex).toBe(1);
    // A blank replica of an old group is far behind, and rightly so.
    expect(core.step({ ...blank('snapshot', 2, 1), snapshot: at(2 ** 40) }, 0)).toBeUndefined();
    expect(core.lastIndex).toBe(2 ** 40);
  });
});

function aFollower(): RaftCore {
  const storage = new MemoryStorage({ voters: VOTERS });
  return new RaftCore({ id: 1, storage, random: () => 0.5, entryBytesMax: ENTRY_BYTES_MAX });
}

function entry(term: number, index: number): Entry {
  return { term, index, type: 'normal', data: new Uint8Array(0) };
}

function snapshot(config: Partial<ConfState> = {}): unknown {
  const sound = { voters: VOTERS, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  return { term: 1, index: 5, config: { ...sound, ...config }, data: new Uint8Array(0) };
}
