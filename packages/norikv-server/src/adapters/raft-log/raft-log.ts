// The replicated log of a store: nori-raft's MultiRaft behind the ReplicatedLog port. Each entry is proposed to its group; what is
// durable, agreed and applied comes back through the state machine, on this node and on all others alike.
//
// A replica is made when it is first needed, from the descriptor that names this node (Placement).
import type { Clock } from 'nori-io';
import type { Counter, Meter } from 'nori-observe';
import { MultiRaft, type PeerTransport, type ProposalOutcome, type RaftEvent, type RaftGroup } from 'nori-raft';
import { votersOnly } from '../../domain/group-config.js';
import { NodeError } from '../../domain/node-error.js';
import { GROUP_COUNT_MAX, META_GROUP } from '../../domain/placement.js';
import type { Placement } from '../../ports/placement.js';
import type { LogStats, Proposal, ReplayReport, ReplicatedLog, StateMachine } from '../../ports/replicated-log.js';
import { GroupMachine } from './group-machine.js';
import type { GuardedStorage } from './guarded-storage.js';
import { makingError, noSpace, readError, writeError } from './raft-errors.js';
import { RaftGroupControl } from './raft-group-control.js';
import { RoleWaiters } from './role-waiters.js';

/** ADR 11. */
const HEARTBEAT_MS = 300;
/** Bytes of an entry: a request of the greatest length, behind others that share the entry. */
const ENTRY_BYTES_MAX = 6 * 1024 * 1024;
/** Bytes on their way, beyond which the store gathers rather than proposes: below what one group may have uncommitted. */
const UNDER_WAY_BYTES_MAX = 8 * 1024 * 1024;

/** What a log is made of. */
export interface RaftLogParts {
  readonly nodeId: string;
  readonly storage: GuardedStorage;
  readonly transport: PeerTransport;
  readonly placement: Placement;
  readonly clock: Clock;
  /** Source of randomness in [0, 1). */
  readonly random: () => number;
  readonly meter: Meter;
  /** Stands between the log and the state machine that it is started with. */
  readonly wrap?: (machine: StateMachine) => StateMachine;
  /** The leaders of some groups have changed, as far as this node knows. */
  readonly onLeadersChanged?: () => void;
}

/** {@link ReplicatedLog} over nori-raft. */
export class RaftLog implements ReplicatedLog {
  readonly failed: Promise<Error>;
  readonly #parts: RaftLogParts;
  readonly #roles: RoleWaiters;
  readonly #making = new Map<number, Promise<void>>();
  /** By group: 1 if this node leads it. Looking into a thousand groups takes a millisecond. */
  readonly #led = new Uint8Array(GROUP_COUNT_MAX);
  /** Groups of which this node has, or had, a replica; those that were removed included. */
  readonly #touched = new Set<number>();
  readonly #controls = new Map<number, RaftGroupControl>();
  readonly #leaseReads: Counter;
  readonly #quorumReads: Counter;
  readonly #shardSnapshots: Counter;
  readonly #metaSnapshots: Counter;
  #machine!: StateMachine;
  #multi!: MultiRaft;
  #open = false;
  #underWay = 0;
  #underWayBytes = 0;
  #refusal: NodeError | undefined;
  #closing: Promise<void> | undefined;
  #fail!: (error: Error) => void;

  constructor(parts: RaftLogParts) {
    this.#parts = parts;
    this.#roles = new RoleWaiters(parts.clock);
    const reads = (by: 'lease' | 'quorum') =>
      parts.meter.counter('raft_reads_total', { by }, { help: 'Reads by how they were made sure to be fresh.' });
    this.#leaseReads = reads('lease');
    this.#quorumReads = reads('quorum');
    const help = 'Snapshots of a group that came from another node and took the place of its log here.';
    const snapshots = (of: 'meta' | 'shard') => parts.meter.counter('raft_snapshots_installed_total', { of }, { help });
    this.#shardSnapshots = snapshots('shard');
    this.#metaSnapshots = snapshots('meta');
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  async start(machine: StateMachine): Promise<ReplayReport> {
    this.#machine = this.#parts.wrap?.(machine) ?? machine;
    this.#parts.storage.onRefusal = () => this.#refusalChanged();
    const { nodeId, clock, storage, transport, random, placement } = this.#parts;
    this.#multi = await MultiRaft.open({
      nodeId,
      clock,
      storage,
      transport,
      random,
      heartbeatMs: HEARTBEAT_MS,
      entryBytesMax: ENTRY_BYTES_MAX,
      onEvent: (event) => this.#onEvent(event),
      onUnknownGroup: (group) => void this.#make(group)?.catch(() => {}),
    });
    void this.#multi.failed.then((error) => this.#stop(error));
    this.#open = true;
    const groups = new Set(this.#machine.activeGroups());
    for (const group of groups) this.#touched.add(group);
    for (const { groupId } of storage.storedGroups) this.#touched.add(groupId);
    for (const { groupId, removed } of storage.storedGroups) if (!removed) groups.add(groupId);
    let entriesReplayed = 0;
    for (const { groupId, removed } of storage.storedGroups) {
      if (removed) continue;
      const applied = this.#machine.position(groupId)?.index ?? 0;
      entriesReplayed += Math.max(0, storage.log(groupId).lastIndex() - applied);
    }
    await Promise.all([...groups].map((group) => this.#make(group)));
    const alone = [...groups].filter((group) => placement.replicaOf(group)?.voters.length === 1);
    await Promise.all(alone.map((group) => this.#caughtUp(group)));
    return { groups: groups.size, entriesReplayed, cut: storage.cut };
  }

  /** Waits until a group leads and has applied what it had committed. */
  async #caughtUp(group: number): Promise<void> {
    await this.settled(group);
    await this.readBarrier(group);
  }

  /** Makes this node's replica of a group, or takes it up; undefined: it has none. */
  #make(group: number): Promise<void> | undefined {
    const making = this.#making.get(group);
    if (making !== undefined) return making;
    if (!this.#open || this.#multi.group(group) !== undefined) return undefined;
    const replica = this.#parts.placement.replicaOf(group);
    if (replica === undefined) return undefined;
    this.#touched.add(group);
    const { replicaId, peers, preferredLeader, bootstrap, voters, learners } = replica;
    const config = bootstrap ? { ...votersOnly(voters), learners } : votersOnly([]);
    const stateMachine = new GroupMachine(group, this.#machine, config);
    const made = this.#multi
      .createGroup({ groupId: group, replicaId, peers, bootstrap, preferredLeader, stateMachine })
      .then(
        () => {},
        (error: unknown) => {
          throw makingError(error);
        },
      )
      .finally(() => this.#making.delete(group));
    this.#making.set(group, made);
    return made;
  }

  get accepting(): boolean {
    return this.#open && this.#underWayBytes < UNDER_WAY_BYTES_MAX;
  }

  get busy(): boolean {
    return this.#underWay > 0;
  }

  propose(turn: readonly Proposal[]): void {
    this.#underWay += turn.length;
    for (let i = 0; i < turn.length; i++) this.#underWayBytes += turn[i]!.data.length;
    for (let i = 0; i < turn.length; i++) {
      const { group, data, context } = turn[i]!;
      const outcome = new Outcome(this, group, context, data.length);
      const replica = this.#multi.group(group);
      if (replica !== undefined) replica.proposeDirect(data, outcome);
      else outcome.refused(this.notLeader(group));
    }
  }

  /** Who is told what becomes of proposals. */
  get machine(): StateMachine {
    return this.#machine;
  }

  /** A proposal of so many bytes is not under way any more. */
  done(bytes: number): void {
    const wasFull = this.#underWayBytes >= UNDER_WAY_BYTES_MAX;
    this.#underWayBytes -= bytes;
    if (--this.#underWay === 0 || (wasFull && this.#underWayBytes < UNDER_WAY_BYTES_MAX)) this.#machine.idle();
  }

  settled(group: number): Promise<void> | undefined {
    const replica = this.#multi.group(group);
    if (replica !== undefined) return replica.leader !== 0 ? undefined : this.#roles.wait(group);
    // A new group is made where it shall be led: there it has a leader at once.
    if (this.#isLedElsewhere(group)) return undefined;
    return this.#make(group)?.then(() => this.settled(group));
  }

  /** No replica was made here yet, and another node is the one that is to lead the group. */
  #isLedElsewhere(group: number): boolean {
    if (this.#making.has(group)) return false;
    const expected = this.#parts.placement.expectedLeader(group);
    return expected !== undefined && expected !== this.#parts.nodeId;
  }

  /** Who leads a group, as far as this node knows from the group itself. */
  leaderOf(group: number): { readonly nodeId: string; readonly term: number } | undefined {
    const replica = this.#multi.group(group);
    const nodeId = replica?.leaderNode;
    return replica === undefined || nodeId === undefined ? undefined : { nodeId, term: replica.term };
  }

  /** A group as such; undefined: it has no replica here, or none yet. */
  control(group: number): RaftGroupControl | undefined {
    const replica = this.#multi?.group(group);
    if (replica === undefined) return undefined;
    let control = this.#controls.get(group);
    if (control?.group !== replica) {
      control = new RaftGroupControl(replica);
      this.#controls.set(group, control);
    }
    return control;
  }

  leaderTerm(group: number): number | undefined {
    const replica = this.#multi.group(group);
    return replica?.role === 'leader' ? replica.term : undefined;
  }

  isAlone(group: number): boolean {
    const replica = this.#multi.group(group);
    if (replica?.role !== 'leader') return false;
    const { voters, votersOutgoing } = replica.status().config;
    return voters.length === 1 && votersOutgoing.length === 0;
  }

  mayLead(group: number): boolean {
    return this.#led[group] === 1;
  }

  isBlank(group: number): boolean {
    return this.#open && !this.#touched.has(group);
  }

  notLeader(group: number): NodeError {
    const replica = this.#multi.group(group);
    const nodeId = replica === undefined ? this.#parts.placement.expectedLeader(group) : replica.leaderNode;
    if (nodeId !== undefined && nodeId !== this.#parts.nodeId) {
      const address = this.#parts.placement.clientAddressOf(nodeId) ?? '';
      return new NodeError('NOT_LEADER', `Node ${nodeId} leads the shard of the key.`, {
        leader: { id: nodeId, address, ...(replica === undefined ? {} : { term: replica.term }) },
      });
    }
    if (replica === undefined) return new NodeError('NOT_LEADER', 'This node has no replica of the shard of the key.');
    const message =
      'No majority of the replicas of the shard of the key can be reached; nothing was done. Try again when more nodes are up.';
    return new NodeError('QUORUM_UNAVAILABLE', message);
  }

  leaseRead<T>(group: number, read: () => T): { readonly value: T } | undefined {
    const found = this.#multi.group(group)?.leaseRead(read);
    if (found !== undefined) this.#leaseReads.inc();
    return found;
  }

  async readBarrier(group: number): Promise<void> {
    const replica = this.#multi.group(group);
    if (replica === undefined) throw this.notLeader(group);
    try {
      await replica.read();
      this.#quorumReads.inc();
    } catch (error) {
      throw readError(error, () => this.notLeader(group));
    }
  }

  get refusal(): NodeError | undefined {
    return this.#refusal;
  }

  #refusalChanged(): void {
    const { refusal } = this.#parts.storage;
    this.#refusal = refusal === undefined ? undefined : noSpace(refusal);
    this.#machine.refusalChanged();
  }

  giveUpReserve(): void {
    void this.#parts.storage.giveUp();
  }

  #onEvent(event: RaftEvent): void {
    if (event.type === 'raft.role_changed') {
      this.#led[event.groupId] = event.role === 'leader' ? 1 : 0;
      if (event.leader !== 0) this.#roles.settle(event.groupId);
      this.#parts.onLeadersChanged?.();
    } else if (event.type === 'raft.snapshot_installed') {
      (event.groupId === META_GROUP ? this.#metaSnapshots : this.#shardSnapshots).inc();
    } else if (event.type === 'raft.group_failed') {
      // What is in memory is no longer what the log says.
      this.#stop(new Error(event.message));
    }
  }

  #stop(cause: Error): void {
    if (!this.#open) return;
    this.#open = false;
    this.#roles.settleAll();
    const message = 'The log has failed and the node ends; nothing was written.';
    this.#machine.stopped(new NodeError('UNAVAILABLE', message, { cause }));
    this.#fail(cause);
  }

  /** Replicas that are on this node. */
  get replicas(): IterableIterator<RaftGroup> {
    return this.#multi.groups;
  }

  stats(): LogStats {
    const { segments, bytes } = this.#parts.storage.stats();
    return { segments, bytes };
  }

  async handOver(): Promise<{ readonly handedOver: number; readonly kept: number }> {
    if (!this.#open) return { handedOver: 0, kept: 0 };
    const before = this.#multi.stats().leading;
    const kept = await this.#multi.handOver();
    return { handedOver: before - this.#multi.stats().leading, kept };
  }

  close(): Promise<void> {
    this.#open = false;
    this.#roles.settleAll();
    this.#closing ??= this.#multi === undefined ? this.#parts.storage.close() : this.#multi.close();
    return this.#closing;
  }
}

/** One proposal on its way. */
class Outcome implements ProposalOutcome<unknown> {
  readonly #log: RaftLog;
  readonly #group: number;
  readonly #context: unknown;
  readonly #bytes: number;

  constructor(log: RaftLog, group: number, context: unknown, bytes: number) {
    this.#log = log;
    this.#group = group;
    this.#context = context;
    this.#bytes = bytes;
  }

  applied(result: unknown): void {
    this.#log.machine.applied(this.#context, result);
    this.#log.done(this.#bytes);
  }

  failed(error: Error): void {
    this.refused(writeError(error, () => this.#log.notLeader(this.#group)));
  }

  refused(error: NodeError): void {
    this.#log.machine.refused(this.#context, error);
    this.#log.done(this.#bytes);
  }
}
