// A process on a machine: an application with MultiRaft, its log and its state machines. It opens what is on its disk, takes up the
// replicas that are placed on its machine and removes those that are to go, and answers clients.
import type { Clock } from 'nori-io';
import {
  encodeRequest,
  MultiRaft,
  type Outcome,
  type RaftError,
  type RaftEvent,
  type RaftGroup,
} from '../../src/index.js';
import { LeaseClock } from '../../src/multi/lease-clock.js';
import { WalStorage } from '../../src/wal-storage.js';
import type { ClientReply, ClientRequest } from './clients.js';
import type { SimReplica } from './groups.js';
import { HostedReplica } from './hosted-replica.js';
import type { SimMachine } from './machine.js';
import { countedOnce, encodeMapInput, MapMachine } from './map-machine.js';
import { WatchedStorage } from './stored-logs.js';
import { SimTransport } from './wires.js';

/** Before something that found no space is tried again. */
const RETRY_MS = 300;

/** What a proposal or a read may end with though nothing is wrong: ask again, somewhere. */
const PASSING: ReadonlySet<string> = new Set([
  'RAFT_NOT_LEADER',
  'RAFT_BUSY',
  'RAFT_PROPOSAL_DROPPED',
  'RAFT_PROPOSAL_LOST',
  'RAFT_TRANSFER_IN_PROGRESS',
  'RAFT_TIMEOUT',
  'RAFT_OUTCOME_UNKNOWN',
  'RAFT_NO_SPACE',
  'RAFT_CLOSED',
  'RAFT_STORAGE_FAILED',
]);

export class HostProcess {
  alive = true;
  readonly clock: Clock;
  readonly random: () => number;
  transport: SimTransport | undefined;
  multi: MultiRaft | undefined;
  /** Milliseconds that every application takes in addition. */
  applyLagMs = 0;
  /** Replicas that were begun anew on a blank disk, though they had been here before. */
  readonly lost = new Set<SimReplica>();
  readonly #hosted = new Map<number, HostedReplica>();
  #lease!: LeaseClock;
  #storage: WatchedStorage | undefined;
  #wal: WalStorage | undefined;
  /** MultiRaft has said that its log has failed. */
  #isFailing = false;
  #settling: Promise<void> | undefined;
  #unsettled = false;

  constructor(readonly machine: SimMachine) {
    const rng = machine.sim.rng.fork();
    this.random = () => rng.next();
    this.clock = machine.processClock();
  }

  open(): void {
    this.machine.sim.line(this.machine.number, 'starts');
    this.#open().catch((error: unknown) => this.#notOpened(error));
  }

  /** Nothing of it has any effect from now on. */
  die(): void {
    this.alive = false;
    for (const replica of this.#replicas()) replica.driver = undefined;
    this.machine.sim.stats.checkpoints += this.#wal?.stats().checkpoints ?? 0;
  }

  async #open(): Promise<void> {
    const { machine, clock, random } = this;
    const { sim, fs, name } = machine;
    const { config } = sim;
    const { segmentBytesMax, pinnedBytesMax, durability, heartbeatMs, electionTimeoutMs, maxClockDrift } = config;
    const files = { dir: '/raft', fs, segmentBytesMax, pinnedBytesMax, durability };
    const wal = await WalStorage.open({ ...files, nodeId: name, clusterId: 'sim', clock, random });
    if (!this.alive) return;
    sim.stats.opens++;
    if (machine.isDamaged) sim.fail('damage-unnoticed', `Node ${machine.number} opens a damaged log.`, machine.number);
    machine.logs.opened(wal);
    this.#wal = wal;
    if (machine.isNew) sim.operator.welcome(machine, wal.incarnation);
    machine.isNew = false;
    this.#storage = new WatchedStorage(wal, machine);
    this.transport = new SimTransport(this, wal.incarnation);
    this.#lease = new LeaseClock(clock);
    const { snapshotChunkBytes, snapshotsMax, unappliedBytesMax, uncommittedBytesMax } = config;
    const multi = await MultiRaft.open({
      ...{ nodeId: name, clock, random, storage: this.#storage, transport: this.transport },
      ...{ heartbeatMs, electionTimeoutMs, maxClockDrift, timeoutMs: config.callTimeoutMs },
      ...{ snapshotChunkBytes, snapshotsMax, unappliedBytesMax, uncommittedBytesMax },
      onEvent: (event) => this.#onEvent(event),
    });
    this.multi = multi;
    void multi.failed.then(() => this.#failed());
    this.settle();
  }

  #notOpened(error: unknown): void {
    const { machine } = this;
    if (!this.alive) return;
    const { code, message } = error as RaftError;
    machine.sim.line(machine.number, `cannot open its log: ${message}`);
    if (machine.isDamaged) {
      if (code === 'RAFT_CORRUPT_STATE' || code === 'RAFT_UNSUPPORTED_FORMAT') {
        machine.sim.stats.damagesFound++;
        machine.sim.operator.lose(machine, RETRY_MS);
        return;
      }
    }
    const isExpected = code === 'RAFT_NO_SPACE' || (code === 'RAFT_STORAGE_FAILED' && machine.diskFailed);
    if (!isExpected) machine.sim.fail('not-opened', `Node ${machine.number}: ${message}`, machine.number);
    machine.failStop();
  }

  /** The log is no longer written. The process ends a little later. */
  #failed(): void {
    const { machine } = this;
    this.#isFailing = true;
    if (!this.alive) return;
    if (!machine.diskFailed) {
      const why = 'gives up its log, though the disk has done all it was asked for';
      machine.sim.fail('storage-failed', `Node ${machine.number} ${why}.`, machine.number);
    }
    machine.after(machine.sim.rng.next() * 20, () => machine.failStop());
  }

  #onEvent(event: RaftEvent): void {
    const { sim, number } = this.machine;
    if (!this.alive) return;
    if (event.type === 'raft.snapshot_sent') sim.stats.snapshotsSent++;
    sim.trace.add(event.type.length);
    if (sim.trace.recording && event.type !== 'raft.message_dropped') sim.line(number, JSON.stringify(event));
    if (event.type === 'raft.group_failed')
      sim.fail('group-failed', `Group ${event.groupId}: ${event.message}`, number);
    if (event.type === 'raft.bad_frame') sim.fail('bad-frame', event.message, number);
    if (event.type === 'raft.storage_failed' && !this.machine.diskFailed) sim.line(number, event.message);
  }

  // Replicas.

  *#replicas(): Generator<SimReplica> {
    for (const group of this.machine.sim.groups.values()) {
      for (const replica of group.replicas.values()) if (replica.machine === this.machine) yield replica;
    }
  }

  /** Makes this machine's replicas be as they are placed. */
  settle(): void {
    if (this.multi === undefined) return;
    this.#unsettled = true;
    this.#settling ??= this.#settle().finally(() => {
      this.#settling = undefined;
      if (this.#unsettled && this.alive) this.settle();
    });
  }

  async #settle(): Promise<void> {
    this.#unsettled = false;
    // Those that are to go make room for others.
    const replicas = [...this.#replicas()].sort((a, b) => Number(b.retired) - Number(a.retired));
    for (const replica of replicas) {
      try {
        if (replica.retired) await this.#remove(replica);
        else await this.#take(replica);
      } catch (error) {
        if (!this.alive) return;
        this.#notSettled(error as RaftError, replica);
      }
      if (!this.alive) return;
    }
  }

  #notSettled({ code, message, stack }: RaftError, { id, group }: SimReplica): void {
    const { machine } = this;
    machine.sim.line(machine.number, `replica ${id} of group ${group.id}: ${message}`);
    if (code === 'RAFT_NO_SPACE') machine.after(RETRY_MS, () => this.settle());
    else if (code === 'RAFT_STORAGE_FAILED') machine.after(0, () => this.#mustBeFailing());
    else if (code !== 'RAFT_CLOSED') {
      machine.sim.fail('not-settled', `Replica ${id} of group ${group.id}: ${message} ${stack ?? ''}`, machine.number);
    }
  }

  #mustBeFailing(): void {
    const { sim, number } = this.machine;
    if (!this.#isFailing) sim.fail('lives-on', `Node ${number} goes on, though its log has failed.`, number);
  }

  async #take(replica: SimReplica): Promise<void> {
    const { machine } = this;
    const { group } = replica;
    if (this.#hosted.get(group.id) !== undefined) return;
    if (machine.wiped && replica.isLost) this.lost.add(replica);
    const map = new MapMachine(this, replica, replica.disk);
    const peers = new Map([...group.replicas.values()].map(({ id, machine: { name } }) => [id, name]));
    const raftGroup = await this.multi!.createGroup({
      ...{ groupId: group.id, replicaId: replica.id, stateMachine: countedOnce(map), peers },
      ...{ bootstrap: replica.founding !== undefined, preferredLeader: group.preferredLeader },
    });
    if (!this.alive) return;
    // Others may have been placed meanwhile.
    for (const { id, machine: at } of group.replicas.values()) raftGroup.setPeer(id, at.name);
    const hosted = new HostedReplica(replica, raftGroup, map, this.#storage!.log(group.id), this.#lease);
    this.#hosted.set(group.id, hosted);
    replica.driver = hosted;
    replica.check((invariants) => invariants.onStart(replica, hosted));
    replica.onState(map.mark);
  }

  async #remove(replica: SimReplica): Promise<void> {
    const { machine } = this;
    const { group } = replica;
    const slot = machine.logs.slot(group.id);
    // Gone already, or never come.
    if (slot === undefined || slot.removed || slot.replicaId !== replica.id) return this.#resurrect(replica);
    if (this.#hosted.get(group.id) === replica.driver) this.#hosted.delete(group.id);
    replica.driver = undefined;
    await this.multi!.removeGroup(group.id);
    if (this.alive) machine.sim.stats.removed++;
  }

  /** Somebody with an old plan asks for a replica that was removed: it must not come back. */
  async #resurrect(replica: SimReplica): Promise<void> {
    const { machine, random } = this;
    const slot = machine.logs.slot(replica.group.id);
    if (slot?.replicaId !== replica.id || !slot.removed || random() > 0.3) return;
    machine.sim.stats.resurrectionsTried++;
    const stateMachine = countedOnce(new MapMachine(this, replica, replica.disk));
    const peers = new Map([[replica.id, machine.name]]);
    const { id, group } = replica;
    try {
      await this.multi!.createGroup({ groupId: group.id, replicaId: id, stateMachine, peers, bootstrap: true });
    } catch (error) {
      const { code } = error as RaftError;
      if (code === 'RAFT_GROUP_EXISTS' || code === 'RAFT_REPLICA_REMOVED') return;
      throw error;
    }
    if (this.alive) machine.sim.fail('resurrected', `Replica ${id} of group ${group.id} is back.`, machine.number);
  }

  observe(): void {
    const { trace } = this.machine.sim;
    for (const hosted of this.#hosted.values()) {
      hosted.observe();
      trace.add(hosted.core.term);
      trace.add(hosted.core.commitIndex);
    }
  }

  flush(): void {
    for (const { map } of this.#hosted.values()) map.flush();
  }

  hosted(groupId: number): HostedReplica | undefined {
    return this.#hosted.get(groupId);
  }

  // Clients.

  /** Answers a client, sooner or later. */
  serve(request: ClientRequest, reply: (reply: ClientReply) => void): void {
    const hosted = this.#hosted.get(request.group.id);
    if (hosted === undefined) {
      reply({ result: 'retry', output: 0, leader: 0 });
      return;
    }
    this.#serve(request, hosted).then(
      (answer) => {
        if (this.alive) reply(answer);
      },
      (error: unknown) => {
        if (this.alive) reply(this.#refusal(error as RaftError, request));
      },
    );
  }

  async #serve({ input, read, write, group }: ClientRequest, hosted: HostedReplica): Promise<ClientReply> {
    const { map, core } = hosted;
    const raftGroup = hosted.group as RaftGroup<Outcome<number>>;
    if (write !== undefined) {
      const data = encodeRequest({ ...write.identity, timeMs: this.clock.now() }, encodeMapInput(input, write.padding));
      const { result } = await raftGroup.propose(data);
      if (result.status !== 'applied') this.machine.sim.fail('outcome', `A request is ${result.status}.`);
      return { result: 'ok', output: result.status === 'applied' ? result.result : 0, leader: 0 };
    }
    const floor = group.invariants.committed;
    const replica = group.replicas.get(raftGroup.replicaId)!;
    let value: number;
    if (read === 'lease') {
      const found = raftGroup.leaseRead(() => map.get(input.key));
      if (found === undefined) return { result: 'retry', output: 0, leader: this.#leaderOf(raftGroup) };
      value = found.value;
    } else {
      await raftGroup.read();
      value = map.get(input.key);
    }
    replica.check((invariants) => invariants.onRead(replica, floor, core.appliedIndex, false));
    return { result: 'ok', output: value, leader: 0 };
  }

  #refusal({ code, message, stack }: RaftError, { group }: ClientRequest): ClientReply {
    if (!PASSING.has(code))
      this.machine.sim.fail('call', `Group ${group.id}: ${message} ${stack ?? ''}`, this.machine.number);
    const hosted = this.#hosted.get(group.id);
    return { result: 'retry', output: 0, leader: hosted === undefined ? 0 : this.#leaderOf(hosted.group) };
  }

  /** Number of the machine that leads; 0: unknown. */
  #leaderOf({ leaderNode }: RaftGroup): number {
    return leaderNode === undefined ? 0 : Number(leaderNode.slice(1));
  }
}
