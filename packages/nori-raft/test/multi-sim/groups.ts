// A group as the world knows it: where its replicas are, what must hold among them, and what their disks hold for certain.
import type { ConfState, Entry, Mark } from '../../src/index.js';
import { Invariants } from '../sim/invariants.js';
import { LogImage } from '../sim/log-image.js';
import type { ObservedNode } from '../sim/observed.js';
import { Promises } from '../sim/promises.js';
import { SimViolation } from '../sim/violation.js';
import type { HostedReplica } from './hosted-replica.js';
import type { SimMachine } from './machine.js';
import { blankDisk, type MachineDisk } from './map-machine.js';

export class SimGroup {
  readonly replicas = new Map<number, SimReplica>();
  readonly invariants: Invariants;
  readonly promises: Promises;
  /** The latest configuration that anybody has applied, and where. */
  config: ConfState;
  configIndex = 1;
  /** Replica that shall lead; 0: none. */
  readonly preferredLeader: number;
  /** Replicas that were ever in a configuration. */
  readonly #members: Set<number>;
  #nextReplicaId: number;

  constructor(
    readonly id: number,
    founders: readonly SimMachine[],
    preferredLeader: number,
  ) {
    this.invariants = new Invariants(this.replicas);
    this.promises = new Promises(this.replicas, founders[0]!.sim.config.electionTimeoutMs);
    const voters = founders.map((_, i) => i + 1);
    this.config = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    this.preferredLeader = preferredLeader;
    this.#members = new Set(voters);
    this.#nextReplicaId = founders.length + 1;
    founders.forEach((machine, i) => {
      this.replicas.set(i + 1, new SimReplica(i + 1, this, machine, this.config));
    });
  }

  /** A replica that joins later. */
  place(machine: SimMachine): SimReplica {
    const replica = new SimReplica(this.#nextReplicaId++, this, machine, undefined);
    this.replicas.set(replica.id, replica);
    for (const { driver } of this.replicas.values()) driver?.group.setPeer(replica.id, machine.name);
    return replica;
  }

  /** The replica on a machine that is not to be removed. */
  on(machine: SimMachine): SimReplica | undefined {
    for (const replica of this.replicas.values()) if (replica.machine === machine && !replica.retired) return replica;
    return undefined;
  }

  /** Who leads in the highest term, as far as anybody knows. */
  leader(): SimReplica | undefined {
    let leader: SimReplica | undefined;
    for (const replica of this.replicas.values()) {
      const core = replica.driver?.core;
      if (core?.role !== 'leader' || replica.isLost) continue;
      if (core.term > (leader?.driver?.core.term ?? 0)) leader = replica;
    }
    return leader;
  }

  get memberIds(): number[] {
    const { voters, votersOutgoing, learners } = this.config;
    return [...new Set([...voters, ...votersOutgoing, ...learners])].sort((a, b) => a - b);
  }

  onConfig(replica: SimReplica, index: number, config: ConfState): void {
    this.invariants.onConfig(replica, index, config);
    if (index <= this.configIndex) return;
    replica.machine.sim.stats.configs++;
    this.config = config;
    this.configIndex = index;
    for (const id of this.memberIds) this.#members.add(id);
  }

  /** Whether some log holds a configuration change that nobody is known to have applied. */
  get isChanging(): boolean {
    return [...this.replicas.values()].some(({ durable, driver }) =>
      [...durable.entries, ...(driver?.log.entries ?? [])].some(
        ({ type, index }) => type === 'conf-change' && index > this.configIndex,
      ),
    );
  }

  /** Whether a replica was ever in a configuration. */
  isMember(id: number): boolean {
    return this.#members.has(id);
  }

  /** Replicas that are no members any more, once a quorum will know of it whatever happens. */
  get removable(): SimReplica[] {
    const { voters, votersOutgoing } = this.config;
    const isSettled = [voters, votersOutgoing].every((half) => {
      const settled = half.filter((id) => this.replicas.get(id)!.knownDurably >= this.configIndex);
      return half.length === 0 || settled.length * 2 > half.length;
    });
    if (!isSettled) return [];
    const ids = this.memberIds;
    return [...this.replicas.values()].filter(({ id, retired }) => {
      return !retired && this.#members.has(id) && !ids.includes(id);
    });
  }
}

export class SimReplica implements ObservedNode {
  durable = new LogImage();
  /** While its process runs it. */
  driver: HostedReplica | undefined;
  /** It is no member any more, and to be removed from its machine. */
  retired = false;
  /** Its machine has lost its disk: it must not be heard of again. */
  isLost = false;
  /** Where the configuration was then. */
  lostAt = 0;

  constructor(
    readonly id: number,
    readonly group: SimGroup,
    readonly machine: SimMachine,
    /** Of the group's first replicas: the first configuration. */
    readonly founding: ConfState | undefined,
  ) {}

  get epoch(): number {
    return this.machine.epoch;
  }

  /** Its machine has lost its disk. What it has acknowledged still counts, since nobody will hear of it again. */
  lose(): void {
    this.isLost = true;
    this.lostAt = this.group.configIndex;
    this.driver = undefined;
  }

  /** What it takes for committed after a restart, by its log or by its state machine. */
  get knownDurably(): number {
    return Math.max(this.durable.hardState.commit, this.disk.mark.index);
  }

  /** What its state machine has made durable. */
  get disk(): MachineDisk {
    const { disks } = this.machine;
    const key = `${this.group.id} ${this.id}`;
    let disk = disks.get(key);
    if (disk === undefined) disks.set(key, (disk = blankDisk(this.founding)));
    return disk;
  }

  /** Its machine's monotonic clock. */
  get ownMs(): number {
    const { clock, sim } = this.machine;
    return clock.monotonicMs(sim.nowMs);
  }

  /** Calls `look`, unless nothing counts here any more; what is wrong is kept for the loop. */
  check(look: (invariants: Invariants) => void): void {
    const { group } = this;
    if (this.isLost) return;
    const { sim } = this.machine;
    try {
      look(group.invariants);
    } catch (error) {
      const { kind, message } = error as SimViolation;
      const isViolation = error instanceof SimViolation;
      sim.report(isViolation ? new SimViolation(kind, `Group ${group.id}: ${message}`, this.machine.number) : error);
    }
  }

  onApplied(entry: Entry): void {
    const { driver } = this;
    if (driver !== undefined) this.check((invariants) => invariants.onApplied(this, driver, entry));
  }

  /** The state machine stands there, and everything that it stands for. */
  onState({ term, index, config }: Mark): void {
    const { driver } = this;
    if (driver === undefined || index <= 1) return;
    const snapshot = { term, index, config, data: new Uint8Array(0) };
    this.check((invariants) => invariants.onInstalled(this, driver, snapshot));
  }
}
