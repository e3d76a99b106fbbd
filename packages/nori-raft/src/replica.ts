// The state of one replica and what all roles do with it: change roles, queue messages, look at message terms.
// The roles themselves are in leader.ts, follower.ts and candidate.ts. Internal: users see RaftCore.
//
//                  +--------------------- higher term, or a leader of this term ----------------------+
//                  v                                                                                  |
//   start --> follower -- timeout --> pre-candidate -- quorum would vote --> candidate -- quorum --> leader
//                  ^                        |                                    |
//                  +--- quorum refuses -----+------------------------------------+
//
// Source: Ongaro, "Consensus: Bridging Theory and Practice"; the shape is etcd/raft's.
import { campaign, stepCandidate } from './candidate.js';
import { payloadBytes } from './entry-size.js';
import { RaftError } from './errors.js';
import { stepFollower } from './follower.js';
import { HeartbeatRounds } from './heartbeat-rounds.js';
import { broadcastAppend, broadcastHeartbeat, checkQuorumActive, sendNewEntries, stepLeader } from './leader.js';
import { applyChange, type Membership, restoreMembership } from './membership.js';
import { blankMessage } from './message.js';
import type { ResolvedOptions } from './options.js';
import type { Progress } from './progress.js';
import { committedIndex } from './quorum.js';
import { RaftLog } from './raft-log.js';
import type {
  ConfChange,
  ConfState,
  DropReason,
  Entry,
  EntryType,
  Message,
  ReadState,
  Role,
  Snapshot,
} from './types.js';
import { VoteGuard } from './vote-guard.js';

/** What is proposed: an entry without its place. */
export interface Payload {
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** Longer than any process runs. */
const NEVER_TICKS = 2 ** 40;
const NO_DATA = new Uint8Array(0);
const EMPTY_PAYLOAD: Payload = { type: 'normal', data: NO_DATA };

export class Replica {
  readonly id: number;
  readonly options: ResolvedOptions;
  readonly log: RaftLog;
  readonly guard: VoteGuard;
  term = 0;
  vote = 0;
  /** The term that a crash cannot take back. */
  durableTerm = 0;
  role: Role = 'follower';
  leader = 0;
  members: Membership;
  /** The configuration in force is the one after this index. */
  configIndex: number;
  /** Of the election under way. */
  votes: Map<number, boolean> | undefined;
  /** Follower, candidate: ticks since the last sign of a leader. Leader: since the last check of its quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  randomizedElectionTicks = 0;
  /** Latest times told by the caller: monotonic for promises to others, of leases for what others promised. */
  nowMs: number;
  leaseNowMs = -Infinity;

  // Leader only.
  transferee = 0;
  /** Transfers given up in this term. */
  transfersGivenUp = 0;
  /** Rounds up to this one give no lease: they began before the last transfer ended. */
  roundsWithoutLease = 0;
  /** Configuration changes are refused until this index is applied. */
  pendingConfIndex = 0;
  uncommittedBytes = 0;
  readonly rounds = new HeartbeatRounds();

  /** Reads that wait for the next Ready: a round at the leader, a message at followers. */
  newReads: number[] = [];
  newRemoteReads: { readonly from: number; readonly token: number }[] = [];
  /** Followers: reads asked of the leader, by the token they were sent with. */
  readonly forwardedReads = new Map<number, readonly number[]>();
  readStates: ReadState[] = [];
  readsFailed: number[] = [];

  /** To be sent at once. */
  messages: Message[] = [];
  /** To be sent, or stepped when to this replica, once all that is unstable now is durable. */
  messagesAfterAppend: Message[] = [];

  constructor(options: ResolvedOptions) {
    const { hardState, config } = options.storage.initialState();
    this.id = options.id;
    this.options = options;
    this.nowMs = options.lease?.nowMs ?? 0;
    this.log = new RaftLog(options.storage, options.applyingBytesMax);
    this.members = restoreMembership(config, this.log.lastIndex, options.inflight);
    if (hardState.commit > this.log.lastIndex) {
      throw new RaftError(
        'RAFT_CORRUPT_STATE',
        `The stored commit index ${hardState.commit} lies behind the end of the log, ${this.log.lastIndex}: entries are ` +
          'missing. Do not start this replica; replace it by a new one.',
      );
    }
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.log.commitTo(hardState.commit);
    if (options.appliedIndex !== undefined) {
      if (options.appliedIndex < this.log.applied || options.appliedIndex > this.log.committed) {
        throw new RaftError(
          'RAFT_CORRUPT_STATE',
          `The state machine has applied up to ${options.appliedIndex}, but the log has ` +
            `(${this.log.applied}, ${this.log.committed}] for it. Restore the one that is behind from a snapshot.`,
        );
      }
      this.log.appliedTo(options.appliedIndex, 0);
    }
    this.configIndex = this.log.applied;
    if (options.etcd === undefined && this.log.lastTerm > this.term) {
      throw new RaftError(
        'RAFT_CORRUPT_STATE',
        `The log ends with an entry of term ${this.log.lastTerm}, but the stored term is ${this.term}: a write was lost. ` +
          'Do not start this replica; replace it by a new one.',
      );
    }
    this.durableTerm = this.term;
    // Term 1 has no leader: who is still in it has neither voted nor heard from one.
    const restarted = this.term > 1 || this.vote !== 0;
    this.guard = new VoteGuard(options.lease, restarted && !this.#wasAlwaysAlone);
    this.becomeFollower(this.term, 0);
  }

  /**
   * Whether nobody else can lead, or have led just now: then the only voter need not wait before it leads again. A change in
   * the log may add others; or it has removed them, and they may not know it yet.
   */
  get #wasAlwaysAlone(): boolean {
    return this.isSoleVoter && !this.log.hasConfChange(this.log.firstIndex, this.log.lastIndex);
  }

  // Membership.

  progressOf(id: number): Progress | undefined {
    const { progress } = this.members;
    for (let i = 0; i < progress.length; i++) if (progress[i]!.id === id) return progress[i];
    return undefined;
  }

  /** Whether this replica may lead: a voter with nothing but its log to start from. */
  get isPromotable(): boolean {
    const own = this.progressOf(this.id);
    return own !== undefined && !own.learner && this.log.pendingSnapshot === undefined;
  }

  get isSoleVoter(): boolean {
    const { voters, votersOutgoing } = this.members.config;
    return voters.length === 1 && votersOutgoing.length === 0 && voters[0] === this.id;
  }

  readonly #matchOf = (id: number): number | undefined => this.progressOf(id)?.match;
  readonly #roundOf = (id: number): number | undefined => this.progressOf(id)?.ackedRound;

  /** Commits what a quorum holds, if it is of this term; says whether anything was committed. */
  maybeCommit(): boolean {
    const { voters, votersOutgoing } = this.members.config;
    return this.log.maybeCommit(committedIndex(voters, votersOutgoing, this.#matchOf), this.term);
  }

  /** The last heartbeat round that a quorum has acknowledged. */
  get quorumRound(): number {
    const { voters, votersOutgoing } = this.members.config;
    return committedIndex(voters, votersOutgoing, this.#roundOf);
  }

  /** Whether an entry of this term is committed: before that a leader does not know what is. */
  get hasCommittedInTerm(): boolean {
    return this.log.term(this.log.committed) === this.term;
  }

  /** The committed configuration change at `index` takes effect. */
  applyConfChange(index: number, change: ConfChange): ConfState {
    // A snapshot may have come in between, with a configuration that contains this change and maybe later ones.
    if (index <= this.configIndex) return this.members.config;
    this.configIndex = index;
    return this.switchTo(applyChange(this.members, this.log.lastIndex, this.options.inflight, change));
  }

  /** The configuration of a snapshot takes effect. */
  restoreConfig({ index, config }: Snapshot): void {
    this.configIndex = index;
    this.switchTo(restoreMembership(config, this.log.lastIndex, this.options.inflight));
  }

  switchTo(members: Membership): ConfState {
    this.members = members;
    const { config } = members;
    if (this.role !== 'leader') return config;
    const own = this.progressOf(this.id);
    if (own === undefined || own.learner) {
      if (this.options.stepDownOnRemoval) this.becomeFollower(this.term, 0);
      return config;
    }
    if (config.voters.length === 0) return config;
    // The new quorum may hold more than the old one; new replicas need not wait for a heartbeat.
    if (this.maybeCommit()) broadcastAppend(this);
    else sendNewEntries(this);
    const { transferee } = this;
    if (transferee !== 0 && !config.voters.includes(transferee) && !config.votersOutgoing.includes(transferee)) {
      this.giveUpTransfer();
    }
    return config;
  }

  // Roles.

  #reset(term: number): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = 0;
    }
    this.setLeader(0);
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.#drawElectionTicks();
    this.transferee = 0;
    this.transfersGivenUp = 0;
    this.roundsWithoutLease = 0;
    this.votes = undefined;
    const last = this.log.lastIndex;
    for (const pr of this.members.progress) pr.reset(pr.id === this.id ? last : 0, last + 1);
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.#failReads(this.rounds.reset());
  }

  #drawElectionTicks(): void {
    const { electionTicks, random } = this.options;
    this.randomizedElectionTicks = electionTicks + Math.floor(random() * electionTicks);
  }

  /** Notes who leads. Reads that were asked of someone else before will not be answered. */
  setLeader(id: number): void {
    if (this.leader === id) return;
    this.leader = id;
    for (const tokens of this.forwardedReads.values()) this.#failReads(tokens);
    this.forwardedReads.clear();
    if (this.newReads.length > 0) {
      this.#failReads(this.newReads);
      this.newReads = [];
    }
    if (this.newRemoteReads.length > 0) this.newRemoteReads = [];
  }

  failOldestForwardedReads(): void {
    for (const [context, tokens] of this.forwardedReads) {
      this.forwardedReads.delete(context);
      this.#failReads(tokens);
      return;
    }
  }

  #failReads(tokens: readonly number[]): void {
    for (const token of tokens) this.readsFailed.push(token);
  }

  becomeFollower(term: number, leader: number): void {
    this.#reset(term);
    this.setLeader(leader);
    this.role = 'follower';
  }

  becomePreCandidate(): void {
    // Neither term nor vote change: nothing has been promised yet.
    this.votes = new Map();
    this.setLeader(0);
    this.role = 'pre-candidate';
  }

  becomeCandidate(): void {
    this.#reset(this.term + 1);
    this.votes = new Map();
    this.vote = this.id;
    this.role = 'candidate';
  }

  becomeLeader(): void {
    this.#reset(this.term);
    this.setLeader(this.id);
    this.role = 'leader';
    const own = this.progressOf(this.id);
    if (own === undefined) throw new RaftError('RAFT_MISUSE', `Replica ${this.id} cannot lead a group it is not in.`);
    own.becomeReplicate();
    own.recentActive = true;
    // There may be a configuration change among the entries of earlier terms. etcd lets the next one follow those;
    // here the first entry of the own term is waited for as well (Ongaro's correction of single-server changes, 2015).
    this.pendingConfIndex = this.log.lastIndex + (this.options.etcd === undefined ? 1 : 0);
    this.appendPayloads([EMPTY_PAYLOAD]);
  }

  giveUpTransfer(): void {
    if (this.transferee === 0) return;
    this.transferee = 0;
    this.transfersGivenUp++;
    this.roundsWithoutLease = this.rounds.last;
    // etcd waits for the next entry to be applied, which may never come.
    if (this.options.etcd === undefined) this.#autoLeave();
  }

  // What roles have in common.

  /** Queues a message that says nothing about what is durable here. */
  send(message: Message): void {
    this.messages.push(message);
  }

  /** Sends a heartbeat, or an answer to one that says nothing about what is not durable here. */
  sendHeartbeat(message: Message): void {
    if (this.options.sendHeartbeat === undefined) this.messages.push(message);
    else this.options.sendHeartbeat(message);
  }

  /** Queues a vote or an acknowledgement: it promises what must be durable before it is sent. */
  sendAfterAppend(message: Message): void {
    this.messagesAfterAppend.push(message);
  }

  /** Leads, and nobody else takes part: what is durable here is committed. */
  get isAlone(): boolean {
    return this.role === 'leader' && this.members.progress.length === 1 && this.isSoleVoter && this.transferee === 0;
  }

  /** Appends to the own log as leader; false if that would exceed the limit of uncommitted bytes. */
  appendPayloads(payloads: readonly Payload[]): boolean {
    if (this.appendEntries(payloads) === undefined) return false;
    // The leader acknowledges its own entries as followers do: once they are durable.
    const ack = blankMessage('append-response', this.id, this.id, this.term);
    ack.index = this.log.lastIndex;
    this.sendAfterAppend(ack);
    return true;
  }

  /** As {@link appendPayloads}, without the acknowledgement. @returns the entries; undefined: it would exceed the limit */
  appendEntries(payloads: readonly Payload[]): readonly Entry[] | undefined {
    const bytes = payloadBytes(payloads);
    // Anything fits when nothing is uncommitted, and what has no data always does: the first entry of a term, the end
    // of a joint configuration.
    if (this.uncommittedBytes > 0 && bytes > 0 && this.uncommittedBytes + bytes > this.options.uncommittedBytesMax) {
      return undefined;
    }
    this.uncommittedBytes += bytes;
    const { term } = this;
    let index = this.log.lastIndex;
    const entries: Entry[] = [];
    for (let i = 0; i < payloads.length; i++) {
      const { type, data } = payloads[i]!;
      entries.push({ term, index: ++index, type, data });
    }
    this.log.append(entries);
    return entries;
  }

  /** Entries up to `index` are applied. */
  appliedTo(index: number, bytes: number): void {
    this.log.appliedTo(index, bytes);
    this.#autoLeave();
  }

  /** Leaves a joint configuration that is to be left. While leadership is being handed over this waits. */
  #autoLeave(): void {
    if (this.role !== 'leader' || !this.members.config.autoLeave || this.log.applied < this.pendingConfIndex) return;
    if (this.transferee !== 0 || this.progressOf(this.id) === undefined) return;
    this.pendingConfIndex = this.log.lastIndex + 1;
    this.appendPayloads([{ type: 'conf-change', data: NO_DATA }]);
    broadcastAppend(this);
  }

  get ticksUntilDue(): number {
    const { electionTicks, heartbeatTicks } = this.options;
    // Nobody to send heartbeats to, and no quorum to lose.
    if (this.isAlone) return NEVER_TICKS;
    if (this.role !== 'leader') return Math.max(1, this.randomizedElectionTicks - this.electionElapsed);
    return Math.max(1, Math.min(heartbeatTicks - this.heartbeatElapsed, electionTicks - this.electionElapsed));
  }

  skipTicks(count: number): void {
    if (this.isAlone) return;
    this.electionElapsed += count;
    if (this.role === 'leader') this.heartbeatElapsed += count;
  }

  tick(): void {
    if (this.role === 'leader') this.#tickLeader();
    else {
      this.electionElapsed++;
      if (this.isPromotable && this.electionElapsed >= this.randomizedElectionTicks) {
        this.electionElapsed = 0;
        campaign(this, 0);
        // Who may not campaign now has waited for the leader in vain all the same, and votes for others. etcd goes on waiting.
        if (this.role === 'follower' && this.options.etcd === undefined) this.setLeader(0);
      }
    }
  }

  #tickLeader(): void {
    const { electionTicks, heartbeatTicks, checkQuorum } = this.options;
    this.heartbeatElapsed++;
    this.electionElapsed++;
    if (this.electionElapsed >= electionTicks) {
      this.electionElapsed = 0;
      if (checkQuorum) checkQuorumActive(this);
      // A transfer that takes longer than an election has failed.
      if (this.role === 'leader') this.giveUpTransfer();
    }
    if (this.role === 'leader' && this.heartbeatElapsed >= heartbeatTicks) {
      this.heartbeatElapsed = 0;
      broadcastHeartbeat(this);
    }
  }

  /** Handles a well-formed message. */
  step(m: Message): DropReason | undefined {
    const { term, electionElapsed, role } = this;
    if (m.term > term) {
      if (m.type === 'vote' || m.type === 'pre-vote') {
        if (this.#mustRefuse(m)) return 'leader-alive';
      }
      if (m.type === 'pre-vote' || (m.type === 'pre-vote-response' && !m.reject)) {
        // Asks, or answers, about a term that has not begun.
      } else if (m.type === 'append' || m.type === 'heartbeat' || m.type === 'snapshot') {
        this.becomeFollower(m.term, m.from);
      } else {
        this.becomeFollower(m.term, 0);
      }
    } else if (m.term < term && m.term !== 0) {
      return this.#stepStale(m);
    }
    if (m.type === 'vote' || m.type === 'pre-vote') {
      this.#stepVote(m);
      // A candidate that cannot win must not put off those that can, again and again. etcd lets it.
      const refused = this.term > term && this.vote !== m.from;
      if (refused && role !== 'leader' && this.options.etcd === undefined) this.electionElapsed = electionElapsed;
      return undefined;
    }
    const reason = this.#stepRole(m);
    // A message that brought a new term has changed something, whatever becomes of the rest of it.
    return this.term === term ? reason : undefined;
  }

  #stepRole(m: Message): DropReason | undefined {
    if (this.role === 'leader') return stepLeader(this, m);
    return this.role === 'follower' ? stepFollower(this, m) : stepCandidate(this, m);
  }

  /** Whether a vote must not even be considered, since a leader may be alive. */
  #mustRefuse(m: Message): boolean {
    const consented = this.guard.isConsented(m.term, m.transfer);
    if (this.guard.forbids(consented, this.nowMs)) return true;
    if (consented) return false;
    return this.options.checkQuorum && this.leader !== 0 && this.electionElapsed < this.options.electionTicks;
  }

  #stepStale(m: Message): DropReason {
    if ((m.type === 'append' || m.type === 'heartbeat') && (this.options.checkQuorum || this.options.preVote)) {
      // A leader that has been superseded, or one that cannot reach us with its lower term: our term frees us both.
      this.sendAfterAppend(blankMessage('append-response', this.id, m.from, this.term));
    } else if (m.type === 'pre-vote') {
      // A candidate of an older term would wait for ever if it were not told.
      this.#refuseVote('pre-vote-response', m.from);
    }
    return 'stale-term';
  }

  #stepVote(m: Message): void {
    const canVote =
      // A repetition of a vote already cast,
      this.vote === m.from ||
      // or no vote and no leader in this term,
      (this.vote === 0 && this.leader === 0) ||
      // or a term that has not begun.
      (m.type === 'pre-vote' && m.term > this.term);
    const answerType = m.type === 'vote' ? 'vote-response' : 'pre-vote-response';
    if (this.#goesFirst(m)) {
      this.#refuseVote(answerType, m.from);
      return;
    }
    // Learners vote too: one may have been promoted without knowing it yet, and be needed.
    if (canVote && !this.#wouldBreakPromise(m) && this.log.isUpToDate(m.index, m.logTerm)) {
      // The term asked for, not the own: an answer of an older term would be ignored.
      this.sendAfterAppend(blankMessage(answerType, this.id, m.from, m.term));
      if (m.type === 'vote') {
        this.electionElapsed = 0;
        this.vote = m.from;
      }
    } else {
      this.#refuseVote(answerType, m.from);
    }
  }

  /**
   * Whether a vote would be one too early. It may be asked for in a term that is this replica's already, by way of something
   * other than a vote: what was promised to the leader of an earlier one holds in it, too.
   */
  #wouldBreakPromise(m: Message): boolean {
    if (m.type === 'pre-vote' || this.vote === m.from) return false;
    return this.guard.forbids(this.guard.isConsented(m.term, m.transfer), this.nowMs);
  }

  /**
   * Whether this replica asks for the same votes at the same moment, and is the one of both to get them: if each let the other
   * go ahead, both would become candidates, and neither would win before another timeout. Only for a moment: who cannot win must not
   * stand in the way for longer.
   */
  #goesFirst(m: Message): boolean {
    if (m.type !== 'pre-vote' || this.role !== 'pre-candidate' || this.options.etcd !== undefined) return false;
    if (m.term !== this.term + 1 || this.electionElapsed > 1 || this.id < m.from) return false;
    return m.index === this.log.lastIndex && m.logTerm === this.log.lastTerm;
  }

  /**
   * Says no, and what is known to be committed. The candidate may need to know: a leader that was removed may be the only
   * one that has heard of its removal being committed, may itself not be elected any more, and have the longest log.
   */
  #refuseVote(type: 'vote-response' | 'pre-vote-response', to: number): void {
    const answer = blankMessage(type, this.id, to, this.term);
    answer.reject = true;
    if (this.options.etcd === undefined) {
      answer.index = this.log.committed;
      answer.logTerm = this.log.term(answer.index) ?? 0;
    }
    this.sendAfterAppend(answer);
  }
}
