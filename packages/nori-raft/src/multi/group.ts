// One replica of one group: its core, its state machine, and the calls that wait for it. Driven by MultiRaft, turn by turn:
//
//   collect   proposals → core → messages (outbox), writes (turn), committed entries (own queue)
//   stored    the turn's write is durable → acknowledgements go out, the core goes on
//   apply     committed entries → state machine → proposals and reads are answered
//
// A snapshot that has arrived is installed between turns: nothing of the group moves meanwhile.
import { RaftError } from '../errors.js';
import { RaftCore } from '../raft-core.js';
import type {
  ConfChange,
  ConfState,
  DropReason,
  Entry,
  EntryId,
  HardState,
  LogReader,
  Message,
  RaftStatus,
  Ready,
  Role,
  Snapshot,
} from '../types.js';
import { Applier } from './applier.js';
import { ConfChangeCalls } from './conf-changes.js';
import type { GroupHost, Turn } from './group-host.js';
import { OpenedSnapshots } from './opened-snapshots.js';
import type { GroupLog, Mark, NodeId, StagedSnapshot, StateMachine } from './ports.js';
import { type Applied, DirectWaiter, ProposalQueue } from './proposals.js';
import type { GroupOptions, ProposalOutcome, RaftGroup } from './raft-group.js';
import { ReadQueue } from './reads.js';
import { busy, emptyProposal, notLeader, READS_MAX, refusalOf, tooLarge } from './refusals.js';
import { RestingCore } from './resting-core.js';
import { type CallOptions, outcomeUnknown, Waiter } from './waiting.js';

/** A Ready whose messages wait; or entries of {@link RaftCore.proposeAlone}, by the last of them. */
type Unstored =
  | { readonly ready: Ready; readonly written: boolean }
  | { readonly ready: undefined; readonly written: true; readonly term: number; readonly index: number };

export class GroupDriver implements RaftGroup {
  readonly groupId: number;
  readonly replicaId: number;
  readonly #core: RaftCore;
  readonly #rest: RestingCore;
  readonly machine: StateMachine;
  readonly preferredLeader: number;
  readonly #host: GroupHost;
  readonly #log: GroupLog;
  readonly #peers: Map<number, NodeId>;
  readonly #proposals = new ProposalQueue<unknown>();
  readonly #reads = new ReadQueue();
  readonly #confChanges = new ConfChangeCalls();
  /** What waits for writes, oldest first. */
  #unstored: Unstored[] = [];
  /** A commit index that is not worth a write of its own. */
  #lazyHardState: HardState | undefined;
  readonly #applier: Applier;
  readonly #opened: OpenedSnapshots;
  #staged: { readonly mark: Mark; readonly snapshot: StagedSnapshot } | undefined;
  #installing: Ready | undefined;
  /**
   * The tick at which the core may have something to do by itself. Heard heartbeats put an election off without changing it, so most
   * groups at rest are asked once a second.
   */
  dueTick = 0;
  /** Since when the replica that should lead has followed this leader without a break; undefined: it does not. */
  preferredSinceMs: number | undefined;
  slotTick = 0;
  /** In the set of groups with work. */
  awake = false;
  /** The log may have entries that could be dropped. */
  mayCompact = true;
  failure: RaftError | undefined;

  constructor(host: GroupHost, log: GroupLog, options: GroupOptions<unknown>) {
    this.#host = host;
    this.#log = log;
    this.#opened = new OpenedSnapshots(host);
    this.groupId = options.groupId;
    this.replicaId = options.replicaId;
    this.machine = options.stateMachine;
    this.preferredLeader = options.preferredLeader ?? 0;
    this.#peers = new Map(options.peers);
    const { mark } = this.machine;
    const { clock, options: o } = host;
    this.#core = new RaftCore({
      id: options.replicaId,
      storage: this.#reader(mark),
      random: o.random,
      appliedIndex: mark.index,
      electionTicks: o.electionTicks,
      heartbeatTicks: o.heartbeatTicks,
      entryBytesMax: o.entryBytesMax,
      uncommittedBytesMax: o.uncommittedBytesMax,
      lease: {
        electionTimeoutMinMs: o.electionTimeoutMs,
        electionTimeoutMaxMs: 2 * o.electionTimeoutMs,
        maxClockDrift: o.maxClockDrift,
        nowMs: clock.nowMs(),
      },
      commitsWithHeartbeats: true,
      // Most groups have nothing else to say most of the time: they need no turn.
      sendHeartbeat: (message) => this.#send(message),
    });
    const restingHost = {
      groupId: this.groupId,
      rests: host.rests,
      nodeOf: (id: number) => this.#peers.get(id),
      tick: () => host.tick,
      dueAt: (tick: number) => this.#dueAt(tick),
    };
    this.#rest = new RestingCore(restingHost, this.#core);
    this.#applier = new Applier(host, this.#core, this.machine, {
      applied: (term, index, confState) => this.#applied(term, index, confState),
      result: ({ term, index }, result) => this.#proposals.applied(term, index, result),
      idle: () => {
        this.#proposals.passed(this.#core.appliedIndex);
        if (this.#core.hasReady()) host.wake(this);
      },
      failed: (error) => this.fail(error),
    });
  }

  /** The log as the core sees it: the state machine adds the configuration and snapshots. */
  #reader(mark: Mark): LogReader {
    const log = this.#log;
    return {
      initialState: () => {
        const { term, vote, commit } = log.hardState;
        return { hardState: { term, vote, commit: Math.max(commit, mark.index) }, config: mark.config };
      },
      firstIndex: () => log.firstIndex(),
      lastIndex: () => log.lastIndex(),
      term: (index) => log.term(index),
      entries: (from, to, bytesMax) => log.entries(from, to, bytesMax),
      snapshot: () => this.#openSnapshot(),
    };
  }

  // What users call.

  get role(): Role {
    return this.#core.role;
  }

  get term(): number {
    return this.#core.term;
  }

  /** Nobody else has a say: it need not wait before it leads. */
  get isSoleVoter(): boolean {
    return this.#core.isSoleVoter;
  }

  get leader(): number {
    return this.#core.leader;
  }

  get leaderNode(): NodeId | undefined {
    return this.#peers.get(this.#core.leader);
  }

  get appliedIndex(): number {
    return this.#core.appliedIndex;
  }

  propose(data: Uint8Array, options: CallOptions = {}): Promise<Applied<unknown>> {
    const refusal = this.failure ?? this.#host.refusal ?? refusalOf(options) ?? this.#refuses(data);
    if (refusal !== undefined) return Promise.reject(refusal);
    return Waiter.promise<Applied<unknown>>(
      this.#deadline(options),
      options.signal,
      (waiter, reason) => waiter.reject(waiter.sent ? outcomeUnknown(reason) : reason),
      (waiter) => {
        this.#proposals.push(data, waiter);
        this.#host.called(this);
      },
    );
  }

  proposeDirect(data: Uint8Array, outcome: ProposalOutcome<unknown>): void {
    const refusal = this.#refuses(data);
    if (refusal !== undefined) {
      outcome.failed(refusal);
      return;
    }
    this.#proposals.push(data, new DirectWaiter(this.#deadline(NO_OPTIONS), outcome));
    this.#host.called(this);
  }

  /** Why a proposal is not taken; else room is taken for it. */
  #refuses(data: Uint8Array): Error | undefined {
    const refusal = this.failure ?? this.#host.refusal;
    if (refusal !== undefined) return refusal;
    // Said now rather than in the next turn: the caller can go to the leader at once.
    if (this.#core.role !== 'leader') return notLeader(this);
    if (data.length > this.#host.options.entryBytesMax) return tooLarge(data.length, this.#host.options);
    if (data.length === 0) return emptyProposal();
    return this.#host.takeProposalBytes(data.length) ? undefined : busy();
  }

  read(options: CallOptions = {}): Promise<number> {
    const refusal = this.failure ?? refusalOf(options);
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.#core.leader === 0) return Promise.reject(notLeader(this));
    if (this.#reads.size >= READS_MAX) return Promise.reject(busy());
    return Waiter.promise<number>(
      this.#deadline(options),
      options.signal,
      (waiter, reason) => waiter.reject(reason),
      (waiter) => {
        this.#reads.push(waiter);
        this.#host.called(this);
      },
    );
  }

  leaseRead<T>(read: () => T): { readonly value: T } | undefined {
    if (this.failure !== undefined || this.#installing !== undefined) return undefined;
    // A group at rest is not woken: it has applied all there is, and what its followers have answered meanwhile is known.
    const { clock } = this.#host;
    const expiresAtMs = this.leaseExpiresAtMs;
    if (!this.#rest.hasAppliedAll || !clock.holds(expiresAtMs)) return undefined;
    const value = read();
    // The process may have been held up meanwhile.
    return clock.holds(expiresAtMs) ? { value } : undefined;
  }

  /** Until when nobody else can lead, as far as is known without waking the group; 0: no lease. */
  get leaseExpiresAtMs(): number {
    return this.#rest.leaseExpiresAtMs;
  }

  changeConfig(change: ConfChange, options: CallOptions = {}): Promise<ConfState> {
    const refusal = this.failure ?? this.#host.refusal ?? refusalOf(options);
    if (refusal !== undefined) return Promise.reject(refusal);
    let id: EntryId;
    try {
      id = this.core.proposeConfChange(change);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    return Waiter.promise<ConfState>(
      this.#deadline(options),
      options.signal,
      (waiter, reason) => waiter.reject(outcomeUnknown(reason)),
      (waiter) => {
        this.#confChanges.push(id, waiter);
        this.#host.called(this);
      },
    );
  }

  transferLeader(to: number): void {
    this.core.transferLeader(to);
    this.#host.wake(this);
  }

  setPeer(replicaId: number, node: NodeId): void {
    // At rest it would go on to send to where it was.
    this.#rest.wake(this.#host.tick);
    this.#peers.set(replicaId, node);
  }

  status(): RaftStatus {
    return this.core.status();
  }

  // What MultiRaft calls.

  nodeOf(replicaId: number): NodeId | undefined {
    return this.#peers.get(replicaId);
  }

  campaign(): void {
    this.core.campaign(this.#host.clock.nowMs());
    this.#host.wake(this);
  }

  /** Tick number `tick` has come, and the core may have something to do by itself. */
  tick(tick: number, nowMs: number, leaseNowMs: number): void {
    if (this.failure !== undefined) return;
    try {
      this.dueTick = this.#rest.tick(tick, nowMs, leaseNowMs);
      if (this.#rest.isResting) return;
      const core = this.#core;
      if (core.hasReady()) this.#host.wake(this);
      else if (core.role === 'leader' && this.#mayRest) this.dueTick = this.#rest.restAsLeader(tick) ?? this.dueTick;
    } catch (error) {
      this.fail(error);
    }
  }

  /** The core. Whoever asks for it this way wakes it; `#core` is for what is the same at rest. */
  get core(): RaftCore {
    return this.#rest.isResting ? this.#rest.awake : this.#core;
  }

  get #mayRest(): boolean {
    return !this.awake && this.#unstored.length === 0 && this.#installing === undefined && !this.hasCalls;
  }

  /** Whether anybody waits for an answer. */
  get hasCalls(): boolean {
    return this.#proposals.pending > 0 || !this.#reads.isEmpty || !this.#confChanges.isEmpty;
  }

  /** Ends calls that are past their deadline. */
  expire(nowMs: number): void {
    if (this.#proposals.pending > 0) this.#host.releaseProposalBytes(this.#proposals.expire(nowMs));
    if (!this.#reads.isEmpty) {
      this.#reads.expire(nowMs, this.#host.options.electionTimeoutMs);
      if (this.#reads.hasUnasked) this.#host.wake(this);
    }
    this.#confChanges.expire(nowMs);
  }

  /** A message has come from another replica. */
  receive(from: NodeId, message: Message, tick: number, nowMs: number, leaseNowMs: number): DropReason | undefined {
    if (this.failure !== undefined) return undefined;
    const { options, unappliedBytes, unstoredBytes } = this.#host;
    // Too much is waiting to be stored or applied: what is not acknowledged makes leaders wait.
    const isFull = unappliedBytes + unstoredBytes > options.unappliedBytesMax;
    if (isFull && message.type === 'append' && message.entries.length > 0) return undefined;
    const core = this.#rest.wakeAndTell(tick);
    let reason: DropReason | undefined;
    try {
      reason = core.step(message, nowMs, leaseNowMs);
    } catch (error) {
      this.fail(error);
      return undefined;
    }
    // Only what the core took shows who is where.
    if (reason === undefined && this.#peers.get(message.from) !== from) this.#peers.set(message.from, from);
    if (core.hasReady()) this.#host.wake(this);
    else if (message.type === 'heartbeat' && reason === undefined && this.#mayRest) {
      this.#rest.restAsFollower(from, message, tick);
    }
    return reason;
  }

  unreachable(node: NodeId): void {
    if (this.#core.role !== 'leader') return;
    if (this.#peers.get(this.preferredLeader) === node) this.preferredSinceMs = undefined;
    for (const [replicaId, at] of this.#peers) if (at === node) this.core.reportUnreachable(replicaId);
  }

  /** Takes out of the core what there is to do. */
  collect(turn: Turn): void {
    if (this.failure !== undefined || this.#installing !== undefined) return;
    try {
      this.#collect(turn);
    } catch (error) {
      this.fail(error);
    }
  }

  #collect(turn: Turn): void {
    const { core } = this;
    if (this.#proposals.hasQueued) {
      this.#host.releaseProposalBytes(this.#proposals.append((data) => this.#propose(data, turn)));
    }
    if (this.#reads.hasUnasked) this.#reads.ask(() => core.readIndex(), this.#host.clock.nowMs());
    while (core.hasReady()) {
      const ready = core.ready();
      if (ready.softState !== undefined) this.#tellRole();
      for (let i = 0; i < ready.messages.length; i++) this.#send(ready.messages[i]!);
      if (ready.readsFailed.length > 0) {
        this.#reads.failed(ready.readsFailed);
        this.#host.wake(this);
      }
      if (ready.readStates.length > 0) {
        this.#reads.answered(ready.readStates);
        this.#reads.applied(core.appliedIndex);
      }
      if (ready.committed.length > 0) {
        this.#applier.push(ready.committed);
        turn.applies.push(this);
      }
      if (ready.snapshot !== undefined) {
        this.#installing = ready;
        void this.#install(ready, ready.snapshot);
        return;
      }
      this.#store(ready, turn);
    }
    // What has happened may have changed the role.
    this.#dueAt(this.#rest.dueTick);
  }

  #propose(data: readonly Uint8Array[], turn: Turn): EntryId {
    const entries = this.#core.proposeAlone(data);
    if (entries === undefined) return this.#core.proposeMany(data);
    const last = entries[entries.length - 1]!;
    this.#write(turn, this.#lazyHardState, entries);
    this.#unstored.push({ ready: undefined, written: true, term: last.term, index: last.index });
    return last;
  }

  #write(turn: Turn, hardState: HardState | undefined, entries: readonly Entry[]): void {
    turn.writes.push({ groupId: this.groupId, hardState, entries, snapshot: undefined });
    turn.groups.push(this);
    this.mayCompact = true;
    this.#lazyHardState = undefined;
  }

  #dueAt(tick: number): void {
    if (tick < this.dueTick) this.#host.dueEarlier(this, tick);
  }

  #store(ready: Ready, turn: Turn): void {
    const hardState = ready.hardState ?? this.#lazyHardState;
    if (ready.entries.length > 0 || ready.mustSync) {
      this.#write(turn, hardState, ready.entries);
      this.#unstored.push({ ready, written: true });
      return;
    }
    // A commit index alone: it goes with the next write, or is learned again.
    this.#lazyHardState = hardState;
    if (ready.afterAppend.length === 0 && ready.token.acks.length === 0) return;
    if (this.#unstored.length > 0) this.#unstored.push({ ready, written: false });
    else this.#stored(ready);
  }

  /** The oldest write of this group that was under way is durable. */
  stored(): void {
    if (this.failure !== undefined) return;
    try {
      const first = this.#unstored.shift();
      if (first?.ready !== undefined) this.#stored(first.ready);
      else if (first !== undefined) this.#storedAlone(first.term, first.index);
      for (let next = this.#unstored[0]; next?.written === false; next = this.#unstored[0]) {
        this.#unstored.shift();
        this.#stored(next.ready);
      }
    } catch (error) {
      this.fail(error);
      return;
    }
    if (this.#core.hasReady()) this.#host.wake(this);
  }

  #stored(ready: Ready): void {
    for (let i = 0; i < ready.afterAppend.length; i++) this.#send(ready.afterAppend[i]!);
    this.core.appendDone(ready.token);
  }

  #storedAlone(term: number, index: number): void {
    const committed = this.#core.storedAlone(term, index);
    this.#lazyHardState = this.#core.lastHardState;
    if (committed.length === 0) return;
    this.#applier.push(committed);
    this.#host.applyNext(this);
  }

  #send(message: Message): void {
    const node = this.#peers.get(message.to);
    if (message.type === 'snapshot') {
      this.#sendSnapshot(message, node);
      return;
    }
    if (node === undefined) return;
    // A node whose disk stands still must not look alive, or it would lead without being able to.
    if (KEEPS_ALIVE.has(message.type) && !this.#host.diskIsAlive) return;
    this.#host.outbox.add(node, this.groupId, message);
  }

  // Applying.

  /** Applies what is committed; comes back in a later turn if that takes long. */
  apply(): void {
    this.#applier.run();
  }

  #applied(term: number, index: number, config: ConfState | undefined): void {
    this.#confChanges.applied(term, index, config);
    this.#reads.applied(index);
    // Else `idle` sees to what there is to do.
    if (config !== undefined) this.#host.wake(this);
  }

  /** Lets the log drop what the state machine has made durable, except what followers need soon. */
  compact(): void {
    if (this.failure !== undefined) return;
    try {
      this.#compact();
    } catch (error) {
      this.fail(error);
    }
  }

  #compact(): void {
    const stored = Math.min(this.machine.durableIndex(), this.#core.appliedIndex);
    const index = Math.min(stored, this.#core.lowestMatch);
    if (index >= this.#log.firstIndex()) this.#host.options.storage.compact(this.groupId, index);
    this.mayCompact = this.#log.firstIndex() <= this.#log.lastIndex();
  }

  // Snapshots.

  #openSnapshot(): Snapshot | undefined {
    // In the middle of an application the state is ahead of its mark.
    if (!this.#host.maySendSnapshot() || this.#applier.isBetweenMarks) return undefined;
    return this.#opened.add(this.machine.snapshot());
  }

  #sendSnapshot(message: Message, node: NodeId | undefined): void {
    const source = this.#opened.take(message.snapshot!);
    if (source !== undefined) {
      if (node !== undefined) {
        this.#host.sendSnapshot(this, message.to, node, message, source);
        return;
      }
      source.release();
    }
    this.core.reportSnapshot(message.to, false);
  }

  snapshotSent(to: number, ok: boolean): void {
    this.core.reportSnapshot(to, ok);
    this.#host.wake(this);
  }

  /** A snapshot has arrived whole: the core decides whether it is needed. */
  async receiveSnapshot(from: NodeId, message: Message, staged: StagedSnapshot): Promise<void> {
    const snapshot = message.snapshot!;
    if (this.#staged !== undefined || this.#installing !== undefined || this.failure !== undefined) {
      await staged.discard();
      return;
    }
    this.#staged = { mark: snapshot, snapshot: staged };
    const { clock } = this.#host;
    this.receive(from, message, this.#host.tick, clock.nowMs(), clock.leaseNowMs());
    // If the core wants it, it comes with the next Ready.
    this.#host.wake(this);
    await new Promise<void>((resolve) => this.#host.options.clock.nextTurn(resolve));
    if (this.#staged !== undefined && this.#installing === undefined) {
      this.#staged = undefined;
      await staged.discard();
    }
  }

  async #install(ready: Ready, snapshot: Snapshot): Promise<void> {
    try {
      const staged = this.#staged;
      if (staged === undefined || staged.mark.index !== snapshot.index || staged.mark.term !== snapshot.term) {
        throw new RaftError('RAFT_MISUSE', `A snapshot at ${snapshot.index} is to be installed that was not received.`);
      }
      // What was committed before is part of the snapshot.
      this.#applier.drop();
      await this.#applier.settled();
      if (this.failure !== undefined) {
        await staged.snapshot.discard();
        return;
      }
      // First the state with its mark, then the log (a mark beyond the log restarts the log at the mark).
      await staged.snapshot.install();
      if (this.failure !== undefined) return;
      const hardState = ready.hardState ?? this.#lazyHardState;
      this.#lazyHardState = undefined;
      const { term, index } = snapshot;
      const write = { groupId: this.groupId, hardState, entries: ready.entries, snapshot: { term, index } };
      this.mayCompact = true;
      await this.#host.store(this, write);
      if (this.failure !== undefined) return;
      this.#proposals.skippedTo(index);
      this.#confChanges.skippedTo(index);
      this.#stored(ready);
      this.#reads.applied(this.core.appliedIndex);
      this.#host.emit({ type: 'raft.snapshot_installed', groupId: this.groupId, index });
    } catch (error) {
      this.fail(error);
    } finally {
      this.#staged = undefined;
      this.#installing = undefined;
    }
    this.#host.wake(this);
  }

  // The end.

  /** Something went wrong that this replica must not go on after. */
  fail(cause: unknown): void {
    if (this.failure !== undefined) return;
    const message = cause instanceof Error ? cause.message : String(cause);
    this.end(
      new RaftError(
        'RAFT_GROUP_FAILED',
        `Group ${this.groupId} failed on this node: ${message} Its other replicas go on; restart the node, or replace ` +
          'this replica.',
        0,
        cause,
      ),
    );
    this.#host.emit({ type: 'raft.group_failed', groupId: this.groupId, message });
  }

  /** Answers everybody who waits; nothing moves afterwards. */
  end(error: RaftError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.#rest.end();
    this.#host.releaseProposalBytes(this.#proposals.fail(error));
    this.#reads.fail(error);
    this.#confChanges.fail(error);
    this.#applier.end();
    this.#opened.end();
  }

  #tellRole(): void {
    const { role, term, leader } = this.#core;
    this.preferredSinceMs = undefined;
    this.#host.roleChanged(this);
    this.#host.emit({ type: 'raft.role_changed', groupId: this.groupId, role, term, leader });
  }

  #deadline({ timeoutMs }: CallOptions): number {
    return this.#host.clock.nowMs() + (timeoutMs ?? this.#host.options.timeoutMs);
  }
}

const NO_OPTIONS: CallOptions = {};

/** Messages that a node whose disk stands still does not send: they would keep a leader in office, or make one. */
const KEEPS_ALIVE: ReadonlySet<string> = new Set([
  'append',
  'heartbeat',
  'heartbeat-response',
  'vote',
  'vote-response',
  'pre-vote',
  'pre-vote-response',
]);
