// One incarnation of a replica's process: enough of a driver for one group. It owns the core, the log and the state
// machine, and does with each Ready what types.ts asks for. What is in here dies with the process; what survives is on
// the disk (node.ts).
import type { DiskCompletion } from 'nori-testkit';
import {
  type ConfChange,
  type Entry,
  type Message,
  type RaftCore,
  RaftError,
  type Ready,
  type Snapshot,
} from '../../src/index.js';
import { LogImage, type LogRecord } from './log-image.js';
import { type Append, type LogOwner, LogStorage, type PersistPoint } from './log-storage.js';
import type { SimNode } from './node.js';
import { LeaseClock } from './node-clock.js';
import type { RecoveredLog } from './record-codec.js';
import { decodeCommand, encodeCommand, isFiller, ReplicatedMap } from './replicated-map.js';
import type { Simulation } from './simulation.js';
import { type ClientRequest, payloadText, type SimEvent, simEvent } from './simulation-event.js';
import { SimViolation } from './violation.js';

export const TICK_MS = 150;
export const ELECTION_TICKS = 8;
export const LEASE = { electionTimeoutMinMs: 1000, electionTimeoutMaxMs: 2400 };

/** A core that always has more to do has run wild. */
const READIES_MAX = 1000;

/** What a message claims about this node being alive: it is not sent while the disk is stalled. */
const SIGNS_OF_LIFE: ReadonlySet<string> = new Set([
  'append',
  'heartbeat',
  'snapshot',
  'vote',
  'pre-vote',
  'vote-response',
  'pre-vote-response',
  'timeout-now',
]);

interface PendingRead {
  readonly request: ClientRequest;
  /** What must be applied first. */
  index: number;
  /** `clock`: has looked at the clock; `index`: knows what must be applied; `value`: has looked at the state machine. */
  phase: 'clock' | 'index' | 'value';
  clockMs: number;
  value: number;
  /** What was committed when it was asked for, as everyone together knows. */
  readonly floor: number;
  /** The event in which it was asked for. */
  readonly askedAt: number;
  /** What was applied when it looked. */
  valueIndex: number;
}

/** What the transport tells the core. */
export interface TransportReport {
  readonly type: 'snapshot' | 'unreachable';
  readonly id: number;
  readonly ok: boolean;
}

export class Driver implements LogOwner {
  readonly storage: LogStorage;
  core: RaftCore | undefined;
  map: ReplicatedMap;
  appliedIndex = 0;
  /** The log as the core knows it: what it started from and all it has handed out. */
  readonly log: LogImage;
  readonly #node: SimNode;
  readonly #sim: Simulation;
  /** Events for this incarnation carry it; the next one has another. */
  readonly #epoch: number;
  readonly #leaseClock: LeaseClock;
  #alive = true;
  #ticks = 0;
  #appliedTerm = 0;
  #applyQueue: Entry[] = [];
  #applyDue = false;
  #snapshotDue = false;
  #snapshotPending = false;
  #applyDelayMaxMs: number;
  /** Writes whose outcome a client waits for, by session. */
  readonly #writes = new Map<number, { readonly request: ClientRequest; readonly sequence: number }>();
  readonly #askedReads = new Map<number, PendingRead>();
  /** Reads that wait for something to be applied. */
  #reads: PendingRead[] = [];

  constructor(node: SimNode, sim: Simulation, recovered: RecoveredLog) {
    this.#node = node;
    this.#sim = sim;
    this.#epoch = node.epoch;
    this.#leaseClock = new LeaseClock(node.clock, sim.nowMs);
    this.log = LogImage.from(recovered.image.toRecord());
    const { lazyLog, readsEarly, applyDelayMaxMs } = sim.config;
    this.#applyDelayMaxMs = applyDelayMaxMs;
    this.storage = new LogStorage(node.disk, this, recovered, { lazy: lazyLog, readsEarly });
    const { snapshot } = recovered.image;
    this.map = snapshot === undefined ? new ReplicatedMap() : ReplicatedMap.restore(snapshot.data);
    if (snapshot !== undefined) {
      this.appliedIndex = snapshot.index;
      this.#appliedTerm = snapshot.term;
    }
  }

  open(): void {
    this.storage.open(this.#sim.nowMs);
  }

  /** The process ends here, in the middle of whatever it does. */
  die(): void {
    this.#alive = false;
    this.storage.close();
  }

  /** Whether it would answer reads by its lease at this moment. */
  get hasLease(): boolean {
    return this.core !== undefined && this.#leaseClock.peek(this.#sim.nowMs) < this.core.leaseExpiresAtMs;
  }

  get #monotonicMs(): number {
    return this.#node.clock.monotonicMs(this.#sim.nowMs);
  }

  handle(event: SimEvent): void {
    const { core } = this;
    const { nowMs } = this.#sim;
    if (event.kind === 'disk') this.storage.completed(nowMs, event.data as DiskCompletion, event.result!);
    else if (core !== undefined) {
      switch (event.kind) {
        case 'delivery': {
          const payload = (event.data as { message: Message | ClientRequest }).message;
          if (payload.type === 'client-request') this.#request(payload);
          else {
            this.#sim.promises.onDelivered(core, payload);
            core.step(payload, this.#monotonicMs, this.#leaseClock.nowMs(nowMs));
            if (payload.type === 'snapshot') {
              // Not before it is installed.
              this.#sim.invariants.checkConfig(this.#node, this.appliedIndex, core.config);
            }
            this.#sim.promises.onTaken(this.#node, this, payload, this.#sim.step, this.#monotonicMs);
          }
          break;
        }
        case 'tick':
          core.tick(this.#monotonicMs, this.#leaseClock.nowMs(nowMs));
          if (++this.#ticks % ELECTION_TICKS === 0) this.storage.flushLazy(nowMs);
          this.#scheduleTick();
          break;
        case 'apply':
          this.#applyDue = false;
          this.#apply(core);
          break;
        case 'read':
          this.#continueRead(core, event.data as PendingRead);
          break;
        case 'report': {
          const { type, id, ok } = event.data as TransportReport;
          if (type === 'snapshot') core.reportSnapshot(id, ok);
          else core.reportUnreachable(id);
          break;
        }
        default:
          throw new Error(`A process cannot handle ${event.kind}.`);
      }
    }
    this.#drain();
  }

  /** Lets someone use the core, then does what it asks for. Refusals of the core are fine. */
  poke(use: (core: RaftCore, nowMs: number) => void): boolean {
    if (this.core === undefined) return false;
    const accepted = ifNotRefused(() => use(this.core!, this.#monotonicMs));
    this.#drain();
    return accepted;
  }

  propose(data: readonly Uint8Array[]): boolean {
    return this.#alive && this.poke((core) => core.proposeMany(data));
  }

  proposeConfChange(change: ConfChange): boolean {
    return this.poke((core) => core.proposeConfChange(change));
  }

  takeSnapshotSoon(): void {
    this.#snapshotDue = true;
  }

  delayApplies(maxMs: number | undefined): void {
    this.#applyDelayMaxMs = maxMs ?? this.#sim.config.applyDelayMaxMs;
  }

  // The log's owner.

  opened(): void {
    const { config, rng } = this.#sim;
    this.#node.becameDurableAll(this.storage.image, this.storage.durableSequence);
    this.core = new this.#sim.coreClass({
      id: this.#node.id,
      storage: this.storage,
      random: () => rng.next(),
      appliedIndex: this.appliedIndex,
      electionTicks: ELECTION_TICKS,
      preVote: config.preVote,
      stepDownOnRemoval: config.stepDownOnRemoval,
      forwardProposals: config.forwardProposals,
      appendBytesMax: config.appendBytesMax,
      inflightAppendsMax: config.inflightAppendsMax,
      inflightBytesMax: config.inflightBytesMax,
      uncommittedBytesMax: config.uncommittedBytesMax,
      applyingBytesMax: config.applyingBytesMax,
      ...(config.lease ? { lease: { ...LEASE, maxClockDrift: config.maxClockDrift, nowMs: this.#monotonicMs } } : {}),
    });
    this.#sim.invariants.onStart(this.#node, this);
    this.#scheduleTick();
  }

  appended(append: Append): void {
    const { record, token, afterAppend } = append;
    if (token === undefined) {
      this.#compact();
      return;
    }
    if (record?.snapshot !== undefined) this.#install(record.snapshot);
    for (let i = 0; i < afterAppend.length; i++) {
      if (i > 0 && this.reach('amid-send')) return;
      this.#send(afterAppend[i]!);
    }
    this.core!.appendDone(token);
    if (record !== undefined && record.entries.length > 0) this.#sim.promises.onAppended(this.#node, this);
    if (record?.snapshot !== undefined)
      this.#sim.invariants.checkConfig(this.#node, this.appliedIndex, this.core!.config);
  }

  failed(): void {
    this.#node.failStop();
  }

  reach(point: PersistPoint): boolean {
    return this.#node.reach(point);
  }

  becameDurable(record: LogRecord): void {
    this.#node.becameDurable(record, this.storage.durableSequence);
  }

  // What the core asks for.

  #drain(): void {
    const { core } = this;
    if (core === undefined) return;
    for (let round = 0; this.#alive && core.hasReady(); round++) {
      if (round > READIES_MAX)
        throw new SimViolation('endless-ready', 'The core always has another Ready.', this.#node.id);
      this.#process(core.ready());
    }
    if (!this.#alive) return;
    if (this.#snapshotDue) this.#takeSnapshot(core);
    this.#sim.invariants.observe(this.#node, this);
  }

  #process(ready: Ready): void {
    const core = this.core!;
    const { hardState, entries, snapshot, messages, committed, softState } = ready;
    const base = snapshot;
    const isEmpty = hardState === undefined && entries.length === 0 && snapshot === undefined;
    const record: LogRecord | undefined = isEmpty ? undefined : { hardState, entries, snapshot, base };
    this.#sim.invariants.onReady(this.#node, this, ready);
    this.#sim.promises.onReady(this.#node, this, ready, this.#monotonicMs);
    if (record !== undefined) this.log.apply(record);
    // Before anyone hears of it, should the process die in between.
    this.#sim.invariants.observe(this.#node, this);
    if (softState !== undefined) this.#noteRole(softState.leader, softState.role);
    for (let i = 0; i < messages.length; i++) this.#send(messages[i]!);
    for (let i = 0; i < ready.readStates.length; i++) {
      const { token, index } = ready.readStates[i]!;
      const read = this.#takeAskedRead(token);
      if (read === undefined) continue;
      if (core.role === 'leader') this.#sim.promises.onReadConfirmed(this.#node, core, read.askedAt);
      read.index = index;
      read.phase = 'index';
      this.#awaitApplied(read);
    }
    for (const token of ready.readsFailed) {
      const read = this.#takeAskedRead(token);
      if (read !== undefined) this.#retry(read.request, 0);
    }
    if (committed.length > 0) {
      for (let i = 0; i < committed.length; i++) this.#applyQueue.push(committed[i]!);
      this.#scheduleApply();
    }
    this.storage.append(this.#sim.nowMs, {
      record,
      mustSync: ready.mustSync,
      token: ready.token,
      afterAppend: ready.afterAppend,
      reported: false,
    });
  }

  #noteRole(leader: number, role: string): void {
    const { trace, nowMs, rng } = this.#sim;
    if (trace.recording) trace.line(nowMs, this.#node.id, `is ${role} in term ${this.core!.term}, leader ${leader}`);
    if (role === 'leader' || this.#writes.size === 0) return;
    // The outcome is open: the entry may be committed by the next leader. Some drivers say so, others wait.
    if (rng.chance(0.5)) return;
    for (const { request } of this.#writes.values()) this.#retry(request, leader);
    this.#writes.clear();
  }

  #send(message: Message): void {
    const { busySinceMs } = this.storage;
    if (busySinceMs !== undefined && SIGNS_OF_LIFE.has(message.type)) {
      if (this.#sim.nowMs - busySinceMs > ELECTION_TICKS * TICK_MS) {
        if (message.type === 'snapshot') this.#report('snapshot', message.to, 1);
        return;
      }
    }
    this.#sim.invariants.onSend(this.#node, message);
    this.#sim.promises.onSend(this.#node, message);
    const copies = this.#sim.send(this.#node.id, message.to, message);
    if (copies > 0) return;
    // The transport notices some of what it loses.
    if (message.type === 'snapshot') this.#report('snapshot', message.to, 50 + this.#sim.rng.int(400));
    else if (message.type === 'append' && this.#sim.rng.chance(0.1)) this.#report('unreachable', message.to, 1);
  }

  #report(type: TransportReport['type'], id: number, delayMs: number): void {
    const report: TransportReport = { type, id, ok: false };
    this.#sim.schedule(delayMs, simEvent('report', this.#node.id, this.#epoch, report));
  }

  #scheduleTick(): void {
    this.#sim.schedule(this.#node.clock.realMs(TICK_MS), simEvent('tick', this.#node.id, this.#epoch, undefined));
  }

  // Applying.

  #scheduleApply(): void {
    if (this.#applyDue) return;
    this.#applyDue = true;
    const delayMs = this.#sim.rng.next() * this.#applyDelayMaxMs;
    this.#sim.schedule(delayMs, simEvent('apply', this.#node.id, this.#epoch, undefined));
  }

  #apply(core: RaftCore): void {
    const queue = this.#applyQueue;
    const { rng, invariants, config } = this.#sim;
    // A snapshot may have come in between.
    if (queue.length === 0) return;
    const count = rng.chance(0.8) ? queue.length : rng.range(1, queue.length);
    for (let i = 0; i < count; i++) {
      const entry = queue[i]!;
      if (entry.index !== this.appliedIndex + 1) {
        throw new SimViolation('apply-order', `Entry ${entry.index} follows ${this.appliedIndex}.`, this.#node.id);
      }
      if (entry.type === 'conf-change') {
        this.#sim.members.onConfig(this.#node, entry.index, core.applyConfChange(entry));
        invariants.observe(this.#node, this);
      } else if (!isFiller(entry.data)) this.#applyCommand(entry.data);
      this.appliedIndex = entry.index;
      this.#appliedTerm = entry.term;
      invariants.onApplied(this.#node, this, entry);
    }
    queue.splice(0, count);
    core.applyDone(this.appliedIndex);
    if (queue.length > 0) this.#scheduleApply();
    this.#serveReads();
    if (this.appliedIndex - this.log.snapshotIndex >= config.snapshotEvery) this.#snapshotDue = true;
  }

  #applyCommand(data: Uint8Array): void {
    const command = decodeCommand(data);
    const output = this.map.apply(command);
    const write = this.#writes.get(command.client);
    if (write === undefined || write.sequence !== command.sequence) return;
    this.#writes.delete(command.client);
    this.#sim.reply(this.#node.id, write.request.client, write.request.attempt, 'ok', output, 0);
  }

  #takeSnapshot(core: RaftCore): void {
    this.#snapshotDue = false;
    if (this.#snapshotPending || this.appliedIndex <= this.log.snapshotIndex) return;
    this.#snapshotPending = true;
    const { appliedIndex: index } = this;
    const snapshot: Snapshot = { index, term: this.#appliedTerm, config: core.config, data: this.map.serialize() };
    const record: LogRecord = { hardState: undefined, entries: [], snapshot, base: undefined };
    this.#sim.stats.snapshots++;
    this.log.apply(record);
    this.storage.append(this.#sim.nowMs, {
      record,
      mustSync: true,
      token: undefined,
      afterAppend: [],
      reported: false,
    });
  }

  /** The own snapshot is durable: what lies before it may go, but for some entries for followers that are just behind. */
  #compact(): void {
    this.#snapshotPending = false;
    const { image } = this.storage;
    const index = image.snapshotIndex - this.#sim.rng.int(this.#sim.config.trailingMax + 1);
    if (index <= image.baseIndex) return;
    this.#sim.stats.compactions++;
    this.storage.compact(this.#sim.nowMs, index);
    this.log.compactTo(index);
  }

  #install(snapshot: Snapshot): void {
    const { trace, stats, nowMs, invariants } = this.#sim;
    if (trace.recording) trace.line(nowMs, this.#node.id, `installs snapshot ${snapshot.term}/${snapshot.index}`);
    stats.installs++;
    this.map = ReplicatedMap.restore(snapshot.data);
    this.appliedIndex = snapshot.index;
    this.#appliedTerm = snapshot.term;
    this.#applyQueue = [];
    invariants.onInstalled(this.#node, this, snapshot);
    this.#serveReads();
  }

  // Clients.

  #request(request: ClientRequest): void {
    const core = this.core!;
    if (request.command !== undefined) {
      this.#write(core, request);
      return;
    }
    const read: PendingRead = {
      request,
      index: 0,
      phase: 'clock',
      clockMs: 0,
      value: 0,
      floor: this.#sim.invariants.committed,
      askedAt: this.#sim.step,
      valueIndex: 0,
    };
    if (request.read === 'lease') {
      read.clockMs = this.#leaseClock.nowMs(this.#sim.nowMs);
      // Between looking at the clock and at the lease anything may hold the process up.
      if (this.#sim.rng.chance(0.3)) this.#scheduleRead(read);
      else this.#continueRead(core, read);
      return;
    }
    if (request.read === 'index' && core.role !== 'leader') {
      this.#retry(request, core.leader);
      return;
    }
    if (!ifNotRefused(() => this.#askedReads.set(core.readIndex(), read))) this.#retry(request, core.leader);
    // Answers may be lost on the way: nobody waits for these any more.
    if (this.#askedReads.size > 100) this.#askedReads.delete(this.#askedReads.keys().next().value!);
  }

  #write(core: RaftCore, request: ClientRequest): void {
    const { padding } = request;
    const command = request.command!;
    const data = encodeCommand(command, padding);
    this.#writes.set(command.client, { request, sequence: command.sequence });
    let leader = 0;
    const accepted = ifNotRefused(
      () => {
        if (padding % 8 === 1) core.proposeMany([new Uint8Array(padding % 24), data]);
        else core.propose(data);
      },
      (error) => {
        leader = error.leader;
      },
    );
    if (accepted) return;
    this.#writes.delete(command.client);
    this.#retry(request, leader);
  }

  /** Nothing is known to have happened. */
  #retry({ client, attempt }: ClientRequest, leader: number): void {
    this.#sim.reply(this.#node.id, client, attempt, 'retry', 0, leader);
  }

  #takeAskedRead(token: number): PendingRead | undefined {
    const read = this.#askedReads.get(token);
    this.#askedReads.delete(token);
    return read;
  }

  #awaitApplied(read: PendingRead): void {
    if (this.appliedIndex >= read.index) this.#scheduleRead(read);
    else this.#reads.push(read);
  }

  #serveReads(): void {
    if (this.#reads.length === 0) return;
    const ready = this.#reads.filter(({ index }) => index <= this.appliedIndex);
    if (ready.length === 0) return;
    this.#reads = this.#reads.filter(({ index }) => index > this.appliedIndex);
    for (const read of ready) this.#scheduleRead(read);
  }

  #scheduleRead(read: PendingRead): void {
    const { rng } = this.#sim;
    const delayMs = rng.next() * (rng.chance(0.05) ? 1500 : 3);
    this.#sim.schedule(delayMs, simEvent('read', this.#node.id, this.#epoch, read));
  }

  #continueRead(core: RaftCore, read: PendingRead): void {
    const { nowMs, rng } = this.#sim;
    const { request } = read;
    if (read.phase === 'clock') {
      const index = core.leaseRead(read.clockMs);
      if (index === undefined) {
        this.#retry(request, core.leader);
        return;
      }
      read.index = index;
      read.phase = 'index';
      this.#awaitApplied(read);
      return;
    }
    if (read.phase === 'index') {
      read.value = this.map.get(request.input.key);
      read.valueIndex = this.appliedIndex;
      read.phase = 'value';
      if (request.read === 'lease' && rng.chance(0.3)) {
        this.#scheduleRead(read);
        return;
      }
    }
    if (request.read === 'lease' && this.#leaseClock.nowMs(nowMs) >= core.leaseExpiresAtMs)
      this.#retry(request, core.leader);
    else {
      this.#sim.invariants.onRead(this.#node, read.floor, read.valueIndex, request.read === 'lease' && !this.hasLease);
      this.#sim.reply(this.#node.id, request.client, request.attempt, 'ok', read.value, 0);
    }
  }

  /** For people. */
  describe(event: SimEvent): string {
    if (event.kind !== 'delivery') return event.kind;
    const { from, message } = event.data as { from: number; message: Message | ClientRequest };
    return `<- ${from}: ${payloadText(message)}`;
  }
}

const REFUSALS: ReadonlySet<string> = new Set([
  'RAFT_NOT_LEADER',
  'RAFT_PROPOSAL_DROPPED',
  'RAFT_TRANSFER_IN_PROGRESS',
  'RAFT_CONF_CHANGE_PENDING',
  'RAFT_CONF_CHANGE_INVALID',
]);

/** Whether the core accepted it. What is no refusal is a bug, and thrown on. */
function ifNotRefused(use: () => void, refused?: (error: RaftError) => void): boolean {
  try {
    use();
    return true;
  } catch (error) {
    if (!(error instanceof RaftError) || !REFUSALS.has(error.code)) throw error;
    refused?.(error);
    return false;
  }
}
