// Many Raft groups on one node: one clock, one log on disk, one frame a peer.
//
// Work is done in turns. Everything that happens (a frame, a tick, a proposal, a finished write) wakes the groups it
// concerns; at the end of the current turn of the event loop all that are awake are asked what there is to do, together:
//
//   collect from all → one frame a peer and lane → one write → apply what is committed, while the disk works
//
// Messages that promise nothing go out before the write; votes and acknowledgements go out in the turn after it is durable.
// One write is under way at a time; what turns bring meanwhile is the next one.
import { RaftError } from '../errors.js';
import type { Message } from '../types.js';
import type { RaftEvent } from './events.js';
import { decodeFrame } from './frame-codec.js';
import { GroupDriver } from './group.js';
import type { GroupHost, Turn } from './group-host.js';
import { handOver } from './hand-over.js';
import { LeaseClock } from './lease-clock.js';
import { LogWriter } from './log-writer.js';
import { type MultiRaftOptions, type ResolvedMultiOptions, resolveMultiOptions } from './multi-options.js';
import { Outbox } from './outbox.js';
import type { GroupWrite, Lane, NodeId, SnapshotSource, StoredGroup } from './ports.js';
import type { GroupOptions, RaftGroup } from './raft-group.js';
import { RestTable } from './rest-table.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { SnapshotSender } from './snapshot-sender.js';
import { TickWheel } from './tick-wheel.js';

/** Milliseconds before a write that found no space is tried again. */
const NO_SPACE_RETRY_MS = 500;
/** Messages that are kept for a group that is being created: the first vote requests and appends of a new group. */
const PARKED_MAX = 16;
/** Ticks between looks at what may be compacted, and at who should lead. */
const HOUSEKEEPING_TICKS = 10;

/** How a node stands. */
export interface MultiRaftStats {
  readonly groups: number;
  readonly leading: number;
  readonly proposalBytes: number;
  readonly unappliedBytes: number;
  readonly turns: number;
  readonly writes: number;
  readonly framesSent: number;
  readonly framesDropped: number;
  readonly framesRefused: number;
  /** Messages for groups that are not here. */
  readonly unknownGroupMessages: number;
  /** Messages that cores dropped. */
  readonly messagesDropped: number;
}

export class MultiRaft {
  readonly options: ResolvedMultiOptions;
  /** Resolves, with the reason, if the log cannot be written any more. The process should end then. */
  readonly failed: Promise<RaftError>;
  readonly #host: Host;
  readonly #groups = new Map<number, GroupDriver>();
  /** What the log holds: what it was found to hold, and what has been created and removed since. */
  readonly #stored = new Map<number, StoredGroup>();
  /** Groups whose creation waits for the log. */
  readonly #creating = new Map<number, { readonly from: NodeId; readonly message: Message }[]>();
  readonly #clock: LeaseClock;
  readonly #outbox: Outbox;
  readonly #writer: LogWriter;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;

  readonly #rests: RestTable;
  /** Groups that lead and would rather be led by another. */
  readonly #misplaced = new Set<GroupDriver>();
  readonly #wheel = new TickWheel<GroupDriver>();
  /** Groups at which calls wait. */
  readonly #called = new Set<GroupDriver>();
  #awake: GroupDriver[] = [];
  /** Groups with something to apply at the end of the next turn. */
  #applies: GroupDriver[] = [];
  #turnScheduled = false;
  #timer: { cancel(): void } | undefined;
  #nextTickMs = 0;
  #ticks = 0;
  /** Leaderships are given away, and none is taken any more. */
  #isHandingOver = false;
  #closed = false;
  #closing: Promise<void> | undefined;
  #failure: RaftError | undefined;
  #tellFailed!: (error: RaftError) => void;
  #proposalBytes = 0;
  #noSpace: RaftError | undefined;
  /** Set while the disk stands still. */
  #stalled: RaftError | undefined;
  #turns = 0;
  #framesRefused = 0;
  #unknownGroupMessages = 0;
  #messagesDropped = 0;

  private constructor(options: ResolvedMultiOptions) {
    this.options = options;
    this.failed = new Promise((resolve) => {
      this.#tellFailed = resolve;
    });
    for (const group of options.storage.storedGroups) this.#stored.set(group.groupId, group);
    this.#clock = new LeaseClock(options.clock);
    this.#outbox = new Outbox(options.transport);
    this.#rests = new RestTable(
      this.#outbox,
      options.heartbeatTicks,
      options.electionTicks + 2 * options.heartbeatTicks,
    );
    this.#writer = new LogWriter({
      storage: options.storage,
      // What is durable is told at once, and what it commits is applied, not in the next turn.
      written: () => {
        this.#setNoSpace(options.storage.refusal);
        if (this.#awake.length > 0 || this.#applies.length > 0) this.#turn();
        else this.#outbox.flush();
      },
      waitForSpace: (error) => this.#waitForSpace(error),
      failed: (cause) => this.#fail(cause),
    });
    this.#host = this.#makeHost();
    this.#sender = new SnapshotSender(options);
    this.#receiver = new SnapshotReceiver(options, (groupId) => this.#groups.get(groupId));
  }

  /** Starts the transport and the ticks. Groups are brought in by {@link MultiRaft.createGroup}. */
  static async open(options: MultiRaftOptions): Promise<MultiRaft> {
    const multi = new MultiRaft(resolveMultiOptions(options));
    await multi.options.transport.start({
      onFrame: (from, lane, frame) => multi.#receive(from, lane, frame),
      onUnreachable: (peer) => multi.#unreachable(peer),
    });
    multi.#nextTickMs = multi.#clock.nowMs();
    multi.#scheduleTick();
    return multi;
  }

  /**
   * Creates a replica, or takes up one that was here before: then its state machine stands where it stood.
   * @throws RaftError RAFT_GROUP_EXISTS, RAFT_CORRUPT_STATE, RAFT_CLOSED
   */
  async createGroup<Result>(options: GroupOptions<Result>): Promise<RaftGroup<Result>> {
    const { groupId } = options;
    this.#checkOpen();
    if (this.#creating.has(groupId)) throw groupExists(groupId, 'it is being created');
    const parked: { readonly from: NodeId; readonly message: Message }[] = [];
    this.#creating.set(groupId, parked);
    try {
      const group = await this.#create(options);
      for (const { from, message } of parked) {
        this.#receiveMessage(from, groupId, message, this.#clock.nowMs(), this.#clock.leaseNowMs());
      }
      return group;
    } finally {
      this.#creating.delete(groupId);
    }
  }

  async #create<Result>(options: GroupOptions<Result>): Promise<RaftGroup<Result>> {
    const { groupId, replicaId, bootstrap = false } = options;
    const { storage } = this.options;
    const stored = this.#stored.get(groupId);
    if (this.#groups.has(groupId)) throw groupExists(groupId, 'it is running');
    if (stored === undefined || (stored.removed && stored.replicaId < replicaId)) {
      await this.#changed(storage.createGroup({ groupId, replicaId, bootstrap }));
      this.#stored.set(groupId, { groupId, replicaId, removed: false });
    } else if (stored.removed) {
      throw groupExists(groupId, `replica ${stored.replicaId} was removed from here, and ids are not used again`);
    } else if (stored.replicaId !== replicaId) {
      throw groupExists(groupId, `its replica here is ${stored.replicaId}, not ${replicaId}; remove that one first`);
    }
    const log = storage.log(groupId);
    const { mark } = options.stateMachine;
    if (mark.index > log.lastIndex() || (mark.index >= log.firstIndex() - 1 && log.term(mark.index) !== mark.term)) {
      // The state machine is ahead: a snapshot was installed, and the log not restarted behind it before the end.
      const { term, vote } = log.hardState;
      await this.#store({
        groupId,
        hardState: { term: Math.max(term, mark.term), vote: term < mark.term ? 0 : vote, commit: mark.index },
        entries: [],
        snapshot: { term: mark.term, index: mark.index },
      });
    }
    this.#checkOpen();
    const group = new GroupDriver(this.#host, log, options);
    this.#groups.set(groupId, group);
    this.#wheel.add(group);
    this.options.onEvent({ type: 'raft.group_created', groupId, replicaId });
    const fresh = stored === undefined || stored.removed;
    if (group.isSoleVoter || (fresh && bootstrap && options.preferredLeader === replicaId)) group.campaign();
    this.#host.wake(group);
    return group as RaftGroup as RaftGroup<Result>;
  }

  /**
   * Ends a replica here and leaves a tombstone; its state machine is the caller's to drop. One that was found in the log need not have
   * been taken up before. On a full disk it waits for space.
   * @throws RaftError RAFT_UNKNOWN_GROUP, RAFT_BUSY while it is being created, RAFT_STORAGE_FAILED, RAFT_CLOSED
   */
  async removeGroup(groupId: number): Promise<void> {
    this.#checkOpen();
    if (this.#creating.has(groupId)) {
      throw new RaftError('RAFT_BUSY', `Group ${groupId} is being created. Remove it when that is done.`);
    }
    const group = this.#groups.get(groupId);
    const stored = this.#stored.get(groupId);
    if (stored === undefined || stored.removed) {
      throw new RaftError('RAFT_UNKNOWN_GROUP', `There is no group ${groupId} on this node. Create it first.`);
    }
    if (group !== undefined) {
      this.#groups.delete(groupId);
      group.end(new RaftError('RAFT_CLOSED', `The replica of group ${groupId} on this node was removed.`));
      this.#sender.drop(groupId);
      this.#receiver.drop(groupId);
    }
    await this.#bury(groupId);
    const { replicaId } = stored;
    this.#stored.set(groupId, { groupId, replicaId, removed: true });
    this.options.onEvent({ type: 'raft.group_removed', groupId, replicaId });
  }

  /** Stores a tombstone, as soon as there is space for it. */
  async #bury(groupId: number): Promise<void> {
    for (;;) {
      try {
        return await this.#changed(this.options.storage.removeGroup(groupId));
      } catch (error) {
        if (!(error instanceof RaftError && error.code === 'RAFT_NO_SPACE')) throw error;
        await this.#pause();
        this.#checkOpen();
      }
    }
  }

  group(groupId: number): RaftGroup | undefined {
    return this.#groups.get(groupId);
  }

  get groups(): IterableIterator<RaftGroup> {
    return this.#groups.values();
  }

  stats(): MultiRaftStats {
    let leading = 0;
    for (const { role } of this.#groups.values()) if (role === 'leader') leading++;
    return {
      groups: this.#groups.size,
      leading,
      proposalBytes: this.#proposalBytes,
      unappliedBytes: this.#host.unappliedBytes,
      turns: this.#turns,
      writes: this.#writer.writes,
      framesSent: this.#outbox.framesSent,
      framesDropped: this.#outbox.framesDropped,
      framesRefused: this.#framesRefused,
      unknownGroupMessages: this.#unknownGroupMessages,
      messagesDropped: this.#messagesDropped,
    };
  }

  /**
   * Gives the leaderships of this node to other replicas, to be called before {@link MultiRaft.close}: then nobody waits for elections.
   * From then on this node takes none that is offered to it.
   * @param timeoutMs how long to wait for it. Default: the election timeout
   * @returns how many it still has: nobody else could take them, or nobody has in time
   */
  handOver(timeoutMs = this.options.electionTimeoutMs): Promise<number> {
    this.#isHandingOver = true;
    return handOver(() => this.#groups.values(), this.options.clock, timeoutMs);
  }

  /** Stops taking part, answers everybody who waits, ends the transport and the log. Idempotent: all calls end with the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    const error = nodeClosed();
    this.#endAll(error);
    this.#sender.close();
    this.#receiver.close();
    this.#writer.end(error);
    try {
      await this.options.transport.close();
    } finally {
      await this.options.storage.close();
    }
  }

  // Turns.

  #wake(group: GroupDriver): void {
    if (group.awake || this.#closed) return;
    group.awake = true;
    this.#awake.push(group);
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    this.options.clock.nextTurn(() => {
      this.#turnScheduled = false;
      this.#turn();
    });
  }

  #turn(): void {
    if (this.#closed || this.#failure !== undefined) return;
    this.#turns++;
    const groups = this.#awake;
    this.#awake = [];
    const turn: Turn = { writes: [], groups: [], applies: this.#applies };
    this.#applies = [];
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i]!;
      group.awake = false;
      group.collect(turn);
    }
    this.#outbox.flush();
    if (turn.writes.length > 0) {
      this.#writer.push({
        writes: turn.writes,
        groups: turn.groups,
        done: () => {
          for (let i = 0; i < turn.groups.length; i++) turn.groups[i]!.stored();
        },
        failed: () => {},
      });
    }
    for (let i = 0; i < turn.applies.length; i++) turn.applies[i]!.apply();
  }

  // Writes.

  #store(write: GroupWrite, group?: GroupDriver): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writer.push({ writes: [write], groups: [group], done: resolve, failed: reject });
    });
  }

  /** A log that fails while groups come or go has failed for all of them. */
  async #changed(done: Promise<void>): Promise<void> {
    try {
      await done;
    } catch (error) {
      if (error instanceof RaftError && error.code === 'RAFT_STORAGE_FAILED') this.#fail(error);
      throw error;
    }
  }

  /** The disk is full: leaderships go elsewhere, proposals are refused, and the write is tried again. */
  async #waitForSpace(error: RaftError): Promise<void> {
    this.#setNoSpace(error);
    await this.#pause();
  }

  #setNoSpace(error: RaftError | undefined): void {
    const isNew = error !== undefined && this.#noSpace === undefined;
    this.#noSpace = error;
    if (!isNew) return;
    for (const group of this.#groups.values()) {
      if (group.role !== 'leader') continue;
      const target = group.status().progress.find((p) => p.id !== group.replicaId && !p.learner && p.recentActive);
      if (target !== undefined) group.transferLeader(target.id);
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.options.clock.setTimer(NO_SPACE_RETRY_MS, resolve, { unref: true }));
  }

  /** A write failed: nobody knows what is on disk. This node says nothing any more. */
  #fail(cause: unknown): void {
    if (this.#failure !== undefined) return;
    const message = cause instanceof Error ? cause.message : String(cause);
    const failure = new RaftError(
      'RAFT_STORAGE_FAILED',
      `The log of this node could not be written: ${message} End the process; see to the disk before it is started again.`,
      0,
      cause,
    );
    this.#failure = failure;
    this.#timer?.cancel();
    this.#endAll(failure);
    this.#sender.close();
    this.#receiver.close();
    this.#writer.end(failure);
    this.options.onEvent({ type: 'raft.storage_failed', message });
    this.#tellFailed(failure);
  }

  #endAll(error: RaftError): void {
    for (const group of this.#groups.values()) group.end(error);
    this.#groups.clear();
  }

  // What comes from outside.

  #receive(from: NodeId, _lane: Lane, frame: Uint8Array): void {
    if (this.#closed || this.#failure !== undefined) return;
    // Once a frame: all of it was sent before now.
    const nowMs = this.#clock.nowMs();
    const leaseNowMs = this.#clock.leaseNowMs();
    const isHeard = this.#host.diskIsAlive;
    try {
      decodeFrame(frame, {
        heartbeat: (isAnswer, groupId, replica, to, term, commit, context, transfer) => {
          const numbers = { isAnswer, groupId, from: replica, to, term, commit, context, transfer };
          return this.#rests.take(from, numbers, this.#ticks, nowMs, isHeard);
        },
        message: (groupId, message) => this.#receiveMessage(from, groupId, message, nowMs, leaseNowMs),
        snapshotChunk: (chunk) => this.#receiver.receiveChunk(from, chunk),
        snapshotAck: (ack) => this.#sender.receiveAck(from, ack),
      });
    } catch (error) {
      this.#framesRefused++;
      this.options.onEvent({ type: 'raft.bad_frame', from, message: (error as Error).message });
    }
    // Answers to heartbeats, of groups that need no turn.
    if (!this.#outbox.isEmpty) this.#scheduleTurn();
  }

  #receiveMessage(from: NodeId, groupId: number, message: Message, nowMs: number, leaseNowMs: number): void {
    const group = this.#groups.get(groupId);
    if (group === undefined) {
      this.#unknownGroupMessages++;
      if (!this.#creating.has(groupId)) this.options.onUnknownGroup(groupId, from);
      // It may be created because of this very message, which would come once more only after an election timeout.
      const parked = this.#creating.get(groupId);
      if (parked !== undefined && parked.length < PARKED_MAX) parked.push({ from, message });
      return;
    }
    if (this.#isHandingOver && message.type === 'timeout-now') return;
    // Snapshots come in chunks: one without its state could not be installed.
    const reason =
      message.type === 'snapshot' ? 'malformed' : group.receive(from, message, this.#ticks, nowMs, leaseNowMs);
    if (reason === undefined) return;
    this.#messagesDropped++;
    if (reason !== 'stale-term' && reason !== 'leader-alive') {
      this.options.onEvent({ type: 'raft.message_dropped', groupId, reason });
    }
  }

  #unreachable(peer: NodeId): void {
    for (const group of this.#groups.values()) group.unreachable(peer);
  }

  // Time.

  #scheduleTick(): void {
    // Ticks are due at fixed times; those that a pause swallowed are not made up for, since too few only make this
    // node patient.
    const nowMs = this.#clock.nowMs();
    this.#nextTickMs = Math.max(this.#nextTickMs + this.options.tickMs, nowMs);
    this.#timer = this.options.clock.setTimer(this.#nextTickMs - nowMs, () => this.#tick());
  }

  #tick(): void {
    if (this.#closed || this.#failure !== undefined) return;
    this.#scheduleTick();
    this.#ticks++;
    const nowMs = this.#clock.nowMs();
    const leaseNowMs = this.#clock.leaseNowMs();
    // Entries that go on coming would keep a leader in office that cannot write.
    const isStalled = this.options.storage.stalledMs() >= this.options.electionTimeoutMs;
    // While a write is tried again, it knows better.
    if (!this.#writer.isWriting) this.#setNoSpace(this.options.storage.refusal);
    this.#stalled = isStalled ? (this.#stalled ?? diskStalled()) : undefined;
    this.#rests.tick(this.#ticks, leaseNowMs, this.#host.diskIsAlive);
    this.#wheel.advance(this.#ticks, (group) => {
      if (group.failure !== undefined) return false;
      group.tick(this.#ticks, nowMs, leaseNowMs);
      return true;
    });
    for (const group of this.#called) {
      group.expire(nowMs);
      if (!group.hasCalls) this.#called.delete(group);
    }
    if (this.#ticks % HOUSEKEEPING_TICKS === 0) this.#compact();
    // Heartbeats of groups that need no turn.
    if (!this.#outbox.isEmpty) this.#scheduleTurn();
    if (!this.#isHandingOver) this.#balance(nowMs);
    this.#sender.tick(nowMs);
    this.#receiver.tick(nowMs);
  }

  #compact(): void {
    for (const group of this.#groups.values()) if (group.mayCompact) group.compact();
  }

  #transfersLeft = 0;

  /** Hands leaderships to the replicas that are meant to have them, a few at a time. */
  #balance(nowMs: number): void {
    const { transfersPerSecond, tickMs, electionTimeoutMs, maxClockDrift } = this.options;
    const settledMs = 2 * electionTimeoutMs * (1 + maxClockDrift);
    const earned = (transfersPerSecond * tickMs) / 1000;
    this.#transfersLeft = Math.min(this.#transfersLeft + earned, Math.max(1, transfersPerSecond));
    if (this.#transfersLeft < 1 || this.#noSpace !== undefined) return;
    for (const group of this.#misplaced) {
      const { preferredLeader } = group;
      if (group.failure !== undefined) {
        this.#misplaced.delete(group);
        continue;
      }
      const { progress, transferee, lastIndex } = group.status();
      const preferred = progress.find(({ id }) => id === preferredLeader);
      if (preferred === undefined || preferred.learner || transferee !== 0) continue;
      if (preferred.state !== 'replicate') group.preferredSinceMs = undefined;
      else group.preferredSinceMs ??= nowMs;
      // Who has just come back is not elected before that: proposals would be refused meanwhile, in vain.
      if (group.preferredSinceMs === undefined || nowMs - group.preferredSinceMs < settledMs) continue;
      if (!preferred.recentActive || preferred.match < lastIndex) continue;
      group.transferLeader(preferredLeader);
      if (--this.#transfersLeft < 1) return;
    }
  }

  // What groups need.

  #makeHost(): Host {
    const multi = this;
    return {
      options: this.options,
      clock: this.#clock,
      outbox: this.#outbox,
      rests: this.#rests,
      unappliedBytes: 0,
      get unstoredBytes() {
        return multi.#writer.bytes;
      },
      snapshotsOpened: 0,
      get tick() {
        return multi.#ticks;
      },
      wake: (group) => multi.#wake(group),
      applyNext: (group) => {
        multi.#applies.push(group);
      },
      roleChanged: (group) => {
        const { role, preferredLeader, replicaId } = group;
        if (role === 'leader' && preferredLeader !== 0 && preferredLeader !== replicaId) multi.#misplaced.add(group);
        else multi.#misplaced.delete(group);
      },
      called: (group) => {
        multi.#called.add(group);
        multi.#wake(group);
      },
      dueEarlier: (group, tick) => {
        group.dueTick = tick;
        multi.#wheel.add(group);
      },
      takeProposalBytes: (bytes) => {
        const { proposalBytesMax, unappliedBytesMax } = multi.options;
        if (multi.#host.unappliedBytes > unappliedBytesMax) return false;
        if (multi.#proposalBytes > 0 && multi.#proposalBytes + bytes > proposalBytesMax) return false;
        multi.#proposalBytes += bytes;
        return true;
      },
      releaseProposalBytes: (bytes) => {
        multi.#proposalBytes -= bytes;
      },
      get diskIsAlive() {
        return multi.#stalled === undefined && multi.#noSpace === undefined;
      },
      get refusal() {
        // What the storage put aside may be there again since the last tick.
        if (multi.#noSpace !== undefined && !multi.#writer.isWriting) multi.#setNoSpace(multi.options.storage.refusal);
        return multi.#noSpace ?? multi.#stalled;
      },
      maySendSnapshot: () => multi.#sender.size + multi.#host.snapshotsOpened < multi.options.snapshotsMax,
      sendSnapshot: (group, to, node, message, source: SnapshotSource) =>
        multi.#sender.send(group, to, node, message, source),
      store: (group, write) => multi.#store(write, group),
      emit: (event: RaftEvent) => multi.options.onEvent(event),
    };
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw nodeClosed();
  }
}

type Host = { -readonly [K in keyof GroupHost]: GroupHost[K] };

function diskStalled(): RaftError {
  return new RaftError(
    'RAFT_BUSY',
    'The disk of this node has not ended a write for an election timeout: nothing is taken until it does. Try again in a ' +
      'moment, at the next leader.',
  );
}

function nodeClosed(): RaftError {
  return new RaftError('RAFT_CLOSED', 'The node was closed. Open it again.');
}

function groupExists(groupId: number, why: string): RaftError {
  return new RaftError('RAFT_GROUP_EXISTS', `Group ${groupId} cannot be created on this node: ${why}.`);
}
