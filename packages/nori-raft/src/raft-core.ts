// One replica of a Raft group, as a state machine without I/O. See README.md for how to drive it; types.ts for what goes
// in and out. The same calls with the same random numbers always give the same answers.
import { campaign } from './candidate.js';
import { checkMessage } from './check-message.js';
import { decodeConfChange } from './conf-change-codec.js';
import { entriesBytes, payloadBytes } from './entry-size.js';
import { RaftError } from './errors.js';
import { canStartReads, reportSnapshot, reportUnreachable, startReads, transferLeader } from './leader.js';
import { blankMessage, NO_ENTRIES } from './message.js';
import { type RaftOptions, resolveOptions } from './options.js';
import { propose, proposeConfChange, refuseToFollow } from './proposals.js';
import { type Payload, Replica } from './replica.js';
import { mayRestAsFollower, mayRestAsLeader, resumeFollower, resumeLeader } from './rest.js';
import type {
  AppendToken,
  ConfChange,
  ConfState,
  DropReason,
  Entry,
  EntryId,
  HardState,
  LeaderRest,
  Message,
  RaftStatus,
  ReadState,
  Ready,
  Role,
  Snapshot,
  SoftState,
} from './types.js';

/** Entries handed out to be applied. */
interface Applying {
  readonly last: number;
  readonly bytes: number;
  readonly payloadBytes: number;
}

/** Questions of a follower that wait for answers; lost ones would wait for ever. */
const FORWARDED_READS_MAX = 1024;

const NO_MESSAGES: readonly Message[] = Object.freeze([]);
const NO_READS: readonly ReadState[] = Object.freeze([]);
const NO_TOKENS: readonly number[] = Object.freeze([]);

/** One replica of a Raft group. */
export class RaftCore {
  readonly #r: Replica;
  #lastHardState: HardState;
  #lastSoftState: SoftState = { leader: 0, role: 'follower' };
  readonly #appliesUnstable: boolean;
  readonly #applying: Applying[] = [];
  /** Configuration changes handed out and not applied yet, by index. */
  readonly #confChangesDue: number[] = [];
  /** Received snapshots handed out and not installed yet, oldest first. */
  readonly #installing: Snapshot[] = [];
  /** Reads are numbered from a random number on, so that an answer to a read from before a restart cannot be mistaken. */
  #nextReadToken: number;
  #dropped: Partial<Record<DropReason, number>> = {};

  /** @throws RaftError RAFT_INVALID_OPTION, RAFT_CORRUPT_STATE */
  constructor(options: RaftOptions) {
    this.#r = new Replica(resolveOptions(options));
    this.#appliesUnstable = options.etcd !== undefined && !options.etcd.asyncStorageWrites;
    this.#lastHardState = this.#hardState();
    this.#nextReadToken = Math.floor(options.random() * 2 ** 52) + 1;
  }

  get id(): number {
    return this.#r.id;
  }

  get term(): number {
    return this.#r.term;
  }

  get role(): Role {
    return this.#r.role;
  }

  /** Id of the leader of this term; 0: unknown. */
  get leader(): number {
    return this.#r.leader;
  }

  get commitIndex(): number {
    return this.#r.log.committed;
  }

  get appliedIndex(): number {
    return this.#r.log.applied;
  }

  get lastIndex(): number {
    return this.#r.log.lastIndex;
  }

  /** What all followers hold that keep up with this leader: their logs need nothing before it. Infinity: there are none. */
  get lowestMatch(): number {
    let lowest = Infinity;
    if (this.#r.role !== 'leader') return lowest;
    for (const { match, recentActive, wasActive, state } of this.#r.members.progress) {
      if ((recentActive || wasActive) && state === 'replicate' && match < lowest) lowest = match;
    }
    return lowest;
  }

  /** The configuration in force: the last one that was applied. */
  get config(): ConfState {
    return this.#r.members.config;
  }

  // Input.

  /**
   * One tick of the caller's timer has passed.
   * @param nowMs the caller's monotonic clock; it may stand still while the machine sleeps
   * @param leaseNowMs the clock of leases: it must not stand still then. Default: the same
   */
  tick(nowMs: number, leaseNowMs: number = nowMs): void {
    this.#setNow(nowMs, leaseNowMs);
    this.#r.tick();
  }

  /** Ticks until this replica does something by itself, if nothing else happens before: a heartbeat, an election. */
  get ticksUntilDue(): number {
    return this.#r.ticksUntilDue;
  }

  /**
   * So many ticks have passed, fewer than {@link RaftCore.ticksUntilDue}, in which there was nothing to do. With many groups at rest this
   * is cheaper than {@link RaftCore.tick} for each.
   */
  skipTicks(count: number): void {
    this.#r.skipTicks(count);
  }

  /**
   * Whether nothing can come of this replica for now but heartbeats that are the same each time: `leader`, then all that follow hold
   * all there is. A driver may then exchange them without it (see {@link RaftCore.resumeLeader}). Answers false too often rather than
   * too rarely.
   */
  get mayRest(): 'leader' | 'follower' | false {
    const { role } = this.#r;
    if (role === 'leader') return mayRestAsLeader(this.#r) && !this.hasReady() ? 'leader' : false;
    return mayRestAsFollower(this.#r) && !this.hasReady() ? 'follower' : false;
  }

  /**
   * A leader that rested is told what there was meanwhile: rounds of heartbeats that began for it, and the last round that each replica
   * has answered. To be called before anything else is asked of it.
   */
  resumeLeader(rest: LeaderRest): void {
    const { startsMs } = rest;
    if (startsMs.length > 0) this.#setNow(this.#r.nowMs, startsMs[startsMs.length - 1]!);
    resumeLeader(this.#r, rest);
  }

  /**
   * A follower that rested is told when the last heartbeat that it had stepped came again most recently, the same but for its number, and
   * was answered. To be called before anything else is asked of it.
   */
  resumeFollower(nowMs: number): void {
    this.#setNow(nowMs, this.#r.leaseNowMs);
    resumeFollower(this.#r);
  }

  /** Ticks until a leader asks itself whether it has heard from a quorum. */
  get ticksUntilQuorumCheck(): number {
    return Math.max(1, this.#r.options.electionTicks - this.#r.electionElapsed);
  }

  /** Number of the last round of heartbeats; 0: none. */
  get heartbeatRound(): number {
    return this.#r.rounds.last;
  }

  /** Transfers of leadership that this leader has given up. */
  get transfersGivenUp(): number {
    return this.#r.transfersGivenUp;
  }

  /**
   * A message has arrived. Never throws on what a message says. Times are as for {@link RaftCore.tick}.
   * @returns why the message changed nothing, or undefined
   */
  step(message: Message, nowMs: number, leaseNowMs: number = nowMs): DropReason | undefined {
    this.#setNow(nowMs, leaseNowMs);
    const reason = checkMessage(this.#r, message) ?? this.#r.step(message);
    if (reason !== undefined) this.#dropped[reason] = (this.#dropped[reason] ?? 0) + 1;
    return reason;
  }

  /**
   * Proposes an entry. It is committed when it comes back in {@link Ready.committed} with the id returned here; if
   * another entry has its index, it is lost. A proposal that was forwarded returns (0, 0).
   * @throws RaftError RAFT_NOT_LEADER, RAFT_PROPOSAL_DROPPED, RAFT_TRANSFER_IN_PROGRESS, RAFT_ENTRY_TOO_LARGE
   */
  propose(data: Uint8Array): EntryId {
    return propose(this.#r, [{ type: 'normal', data }]);
  }

  /** Proposes several entries at once, all or none; the id of the last. @throws as {@link RaftCore.propose} */
  proposeMany(data: readonly Uint8Array[]): EntryId {
    if (data.length === 0) throw new RaftError('RAFT_MISUSE', 'Nothing was proposed: the list is empty.');
    const payloads: Payload[] = [];
    for (let i = 0; i < data.length; i++) payloads.push({ type: 'normal', data: data[i]! });
    return propose(this.#r, payloads);
  }

  /**
   * Proposes several entries at once at a leader that has nobody but itself, and hands them out to be stored, without a Ready: most groups
   * of a node that is alone have nothing else to do, again and again. {@link RaftCore.storedAlone} says that they are durable.
   * @returns the entries; undefined: it is not so simple now, propose them in the usual way
   */
  proposeAlone(data: readonly Uint8Array[]): readonly Entry[] | undefined {
    const r = this.#r;
    if (!r.isAlone || this.hasReady()) return undefined;
    const payloads: Payload[] = [];
    for (let i = 0; i < data.length; i++) {
      if (data[i]!.length > r.options.entryBytesMax) return undefined;
      payloads.push({ type: 'normal', data: data[i]! });
    }
    const entries = r.appendEntries(payloads);
    if (entries !== undefined) r.log.acceptUnstable();
    return entries;
  }

  /**
   * The entries up to (`term`, `index`) that {@link RaftCore.proposeAlone} gave to be stored, and all before them, are durable.
   * @returns what is to be applied now; there may be a Ready besides
   */
  storedAlone(term: number, index: number): readonly Entry[] {
    const r = this.#r;
    if (!r.isAlone || r.term !== term) {
      // It was alone when it proposed them. What is durable counts all the same.
      const ack = blankMessage('append-response', r.id, r.id, term);
      ack.index = index;
      this.appendDone({ term, index, logTerm: term, snapshotIndex: 0, acks: [ack] });
      return NO_ENTRIES;
    }
    r.progressOf(r.id)!.maybeUpdate(index);
    r.maybeCommit();
    r.log.stableTo(index, term);
    // Told with the next write.
    this.#lastHardState = this.#hardState();
    const committed = r.log.nextCommitted(this.#appliesUnstable);
    if (committed.length > 0) this.#handOut(committed);
    return committed;
  }

  /** The hard state that was handed out last. */
  get lastHardState(): HardState {
    return this.#lastHardState;
  }

  /**
   * Proposes a change of the configuration. One at a time: the next is refused until this one is applied.
   * @throws RaftError as {@link RaftCore.propose}, and RAFT_CONF_CHANGE_PENDING, RAFT_CONF_CHANGE_INVALID
   */
  proposeConfChange(change: ConfChange): EntryId {
    return proposeConfChange(this.#r, change);
  }

  /**
   * Makes a committed configuration change take effect. Call it for each committed entry of type `conf-change`, in
   * order, before {@link RaftCore.applyDone}.
   * @returns the configuration from here on, to be kept with the state machine's applied index
   */
  applyConfChange(entry: Entry): ConfState {
    if (entry.type !== 'conf-change')
      throw new RaftError('RAFT_MISUSE', `Entry ${entry.index} is no configuration change.`);
    const due = this.#confChangesDue;
    while (due.length > 0 && due[0]! <= entry.index) due.shift();
    return this.#r.applyConfChange(entry.index, decodeConfChange(entry.data));
  }

  /**
   * Asks for a point in the log at which a read is linearizable. The answer comes with a Ready: in `readStates`, with the
   * index that must be applied before the read, or in `readsFailed`. It may never come if messages are lost: set a
   * timeout. All reads asked for between two Readys share one round of messages.
   * @returns token of the read, unique across restarts
   * @throws RaftError RAFT_NOT_LEADER when no leader is known
   */
  readIndex(): number {
    if (this.#r.leader === 0) refuseToFollow(this.#r);
    const token = this.#nextReadToken++;
    this.#r.newReads.push(token);
    return token;
  }

  /**
   * The index that must be applied before a read that needs no messages, while this leader holds a lease; else undefined.
   * After the read check {@link RaftCore.leaseExpiresAtMs} again, with the clock as it is then, before answering.
   */
  leaseRead(leaseNowMs: number): number | undefined {
    return leaseNowMs < this.leaseExpiresAtMs ? this.#r.log.committed : undefined;
  }

  /** How long a lease lasts from the beginning of a round that a quorum answered; 0: there are no leases. */
  get leaseMs(): number {
    return this.#r.guard.leaseMs;
  }

  /** Nobody else has a say. */
  get isSoleVoter(): boolean {
    return this.#r.isSoleVoter;
  }

  /**
   * Until when, on the clock of leases, nobody else can lead; 0: no lease. The only voter has it for ever: whatever configuration comes
   * next, nobody is elected in it without this vote.
   */
  get leaseExpiresAtMs(): number {
    const r = this.#r;
    const { leaseMs } = r.guard;
    if (leaseMs === 0 || r.role !== 'leader' || r.transferee !== 0 || !r.hasCommittedInTerm) return 0;
    if (this.isSoleVoter) return Number.POSITIVE_INFINITY;
    if (r.rounds.confirmed <= r.roundsWithoutLease || r.rounds.confirmedStartMs === undefined) return 0;
    return r.rounds.confirmedStartMs + leaseMs;
  }

  /**
   * Hands leadership to a voter; given up after an election timeout. Proposals are refused meanwhile.
   * @throws RaftError RAFT_NOT_LEADER
   */
  transferLeader(to: number): void {
    const r = this.#r;
    if (r.role === 'leader') transferLeader(r, to);
    else if (r.options.forwardProposals && r.leader !== 0)
      r.send(blankMessage('transfer-leader', to, r.leader, r.term));
    else refuseToFollow(r);
  }

  /** Starts an election now, if this replica may: it does not while a leader was heard of just now, if leases are on. */
  campaign(nowMs: number): void {
    this.#setNow(nowMs, this.#r.leaseNowMs);
    campaign(this.#r, 0);
  }

  /** Forgets who leads, and so votes for others in this term, without waiting for the election timeout. */
  forgetLeader(): void {
    const r = this.#r;
    if (r.role === 'follower' && r.options.etcd?.readOnly !== 'lease-based') r.setLeader(0);
  }

  /** The transport could not deliver to `id`. */
  reportUnreachable(id: number): void {
    reportUnreachable(this.#r, id);
  }

  /** A snapshot sent to `id` has arrived or has been given up. */
  reportSnapshot(id: number, ok: boolean): void {
    reportSnapshot(this.#r, id, ok);
  }

  // Output.

  /** Whether {@link RaftCore.ready} has anything to hand out. */
  hasReady(): boolean {
    const r = this.#r;
    return (
      r.messages.length > 0 ||
      r.messagesAfterAppend.length > 0 ||
      r.log.hasNextUnstable ||
      r.log.hasNextCommitted(this.#appliesUnstable) ||
      r.readStates.length > 0 ||
      r.readsFailed.length > 0 ||
      this.#hasNewReads() ||
      r.log.nextSnapshot !== undefined ||
      r.leader !== this.#lastSoftState.leader ||
      r.role !== this.#lastSoftState.role ||
      this.#hasNewHardState()
    );
  }

  /** Hands out all there is to do; see {@link Ready}. What was handed out once does not come again. */
  ready(): Ready {
    const r = this.#r;
    const { log } = r;
    if (this.#hasNewReads()) this.#sendReads();
    const softState = this.#takeSoftState();
    const previous = this.#lastHardState;
    const hardState = this.#hasNewHardState() ? this.#hardState() : undefined;
    if (hardState !== undefined) this.#lastHardState = hardState;
    const entries = log.nextUnstable();
    const snapshot = log.nextSnapshot;
    const committed = log.nextCommitted(this.#appliesUnstable);
    const messages = r.messages.length === 0 ? NO_MESSAGES : r.messages;
    if (messages !== NO_MESSAGES) r.messages = [];
    let afterAppend = NO_MESSAGES;
    let acks = NO_MESSAGES;
    if (r.messagesAfterAppend.length > 0 && r.options.etcd?.asyncStorageWrites === true) {
      // etcd delivers both kinds in one list, in the order in which they came up.
      acks = r.messagesAfterAppend;
      r.messagesAfterAppend = [];
    } else if (r.messagesAfterAppend.length > 0) {
      const own = r.messagesAfterAppend.filter((m) => m.to === r.id);
      acks = own.length === r.messagesAfterAppend.length ? r.messagesAfterAppend : own;
      if (own.length < r.messagesAfterAppend.length) {
        afterAppend = own.length === 0 ? r.messagesAfterAppend : r.messagesAfterAppend.filter((m) => m.to !== r.id);
      }
      r.messagesAfterAppend = [];
    }
    const unstable = log.hasUnstableEntries;
    const token: AppendToken = {
      term: r.term,
      index: unstable ? log.lastIndex : 0,
      logTerm: unstable ? log.lastTerm : 0,
      snapshotIndex: snapshot === undefined ? 0 : snapshot.index,
      acks,
    };
    if (snapshot !== undefined) this.#installing.push(snapshot);
    log.acceptUnstable();
    if (committed.length > 0) this.#handOut(committed);
    const readStates = r.readStates.length === 0 ? NO_READS : r.readStates;
    if (readStates !== NO_READS) r.readStates = [];
    const readsFailed = r.readsFailed.length === 0 ? NO_TOKENS : r.readsFailed;
    if (readsFailed !== NO_TOKENS) r.readsFailed = [];
    const mustSync =
      entries.length > 0 ||
      (hardState !== undefined && (hardState.term !== previous.term || hardState.vote !== previous.vote)) ||
      (snapshot !== undefined && r.options.etcd === undefined);
    return {
      softState,
      hardState,
      snapshot,
      entries,
      messages,
      afterAppend,
      committed,
      readStates,
      readsFailed,
      mustSync,
      token,
    };
  }

  /** What the Ready of `token` gave to be stored, and all before it, is durable. */
  appendDone(token: AppendToken): void {
    const r = this.#r;
    if (token.term > r.durableTerm) r.durableTerm = token.term;
    for (let i = 0; i < token.acks.length; i++) r.step(token.acks[i]!);
    // In a later term the entries may have been replaced and come back with the same (term, index): what was written
    // before that says nothing about what will be on disk in the end. The write that brought the new term covers them.
    if (token.index !== 0 && token.term === r.term) r.log.stableTo(token.index, token.logTerm);
    if (token.snapshotIndex !== 0) this.#installed(token.snapshotIndex);
  }

  /** Committed entries up to `index` are applied. @throws RaftError RAFT_MISUSE */
  applyDone(index: number): void {
    const r = this.#r;
    if (index > r.log.applying) {
      throw new RaftError(
        'RAFT_MISUSE',
        `Entry ${index} cannot be applied: entries are handed out up to ${r.log.applying}.`,
      );
    }
    const due = this.#confChangesDue[0];
    if (due !== undefined && due <= index) {
      throw new RaftError('RAFT_MISUSE', `Entry ${due} changes the configuration: call applyConfChange for it first.`);
    }
    this.#appliedTo(index);
  }

  #appliedTo(index: number): void {
    const r = this.#r;
    let bytes = 0;
    let payload = 0;
    while (this.#applying.length > 0 && this.#applying[0]!.last <= index) {
      const batch = this.#applying.shift()!;
      bytes += batch.bytes;
      payload += batch.payloadBytes;
    }
    r.appliedTo(Math.max(index, r.log.applied), bytes);
    r.uncommittedBytes = Math.max(0, r.uncommittedBytes - payload);
  }

  /** The snapshot at `index` is durable, and in the state machine: what was to be applied before it need not be. */
  #installed(index: number): void {
    const r = this.#r;
    const snapshot = this.#installing.shift()!;
    r.log.stableSnapshotTo(index);
    if (r.options.etcd === undefined) r.restoreConfig(snapshot);
    const due = this.#confChangesDue;
    while (due.length > 0 && due[0]! <= index) due.shift();
    this.#appliedTo(index);
  }

  /** How things stand, in full. */
  status(): RaftStatus {
    const r = this.#r;
    return {
      id: r.id,
      ...this.#hardState(),
      leader: r.leader,
      role: r.role,
      applied: r.log.applied,
      firstIndex: r.log.firstIndex,
      lastIndex: r.log.lastIndex,
      durableIndex: r.log.durable,
      config: r.members.config,
      transferee: r.transferee,
      uncommittedBytes: r.uncommittedBytes,
      heartbeatRounds: r.rounds.last,
      progress: r.role === 'leader' ? r.members.progress.map((pr) => pr.status()) : [],
      dropped: { ...NOTHING_DROPPED, ...this.#dropped },
    };
  }

  /** For tests of timing: fixes the election timeout until the role changes. @internal */
  setRandomizedElectionTicks(ticks: number): void {
    this.#r.randomizedElectionTicks = ticks;
  }

  #setNow(nowMs: number, leaseNowMs: number): void {
    const r = this.#r;
    if (nowMs > r.nowMs) r.nowMs = nowMs;
    if (leaseNowMs > r.leaseNowMs) r.leaseNowMs = leaseNowMs;
  }

  #hardState(): HardState {
    return { term: this.#r.term, vote: this.#r.vote, commit: this.#r.log.committed };
  }

  #hasNewHardState(): boolean {
    const last = this.#lastHardState;
    return this.#r.term !== last.term || this.#r.vote !== last.vote || this.#r.log.committed !== last.commit;
  }

  #takeSoftState(): SoftState | undefined {
    const { leader, role } = this.#r;
    if (leader === this.#lastSoftState.leader && role === this.#lastSoftState.role) return undefined;
    this.#lastSoftState = { leader, role };
    return this.#lastSoftState;
  }

  #hasNewReads(): boolean {
    const r = this.#r;
    return r.role === 'leader' ? canStartReads(r) : r.newReads.length > 0 && r.leader !== 0;
  }

  #sendReads(): void {
    const r = this.#r;
    if (r.role === 'leader') {
      startReads(r);
      return;
    }
    if (r.forwardedReads.size >= FORWARDED_READS_MAX) r.failOldestForwardedReads();
    const m = blankMessage('read-index', r.id, r.leader, 0);
    m.context = r.newReads[0]!;
    r.forwardedReads.set(m.context, r.newReads);
    r.newReads = [];
    r.send(m);
  }

  #handOut(committed: readonly Entry[]): void {
    for (let i = 0; i < committed.length; i++) {
      if (committed[i]!.type === 'conf-change') this.#confChangesDue.push(committed[i]!.index);
    }
    this.#r.log.acceptApplying(committed, this.#appliesUnstable);
    const last = committed[committed.length - 1]!.index;
    this.#applying.push({ last, bytes: entriesBytes(committed), payloadBytes: payloadBytes(committed) });
  }
}

const NOTHING_DROPPED: Readonly<Record<DropReason, number>> = {
  'wrong-address': 0,
  'unknown-replica': 0,
  malformed: 0,
  'far-future': 0,
  'too-large': 0,
  'stale-term': 0,
  'leader-alive': 0,
  'not-leader': 0,
  refused: 0,
};
