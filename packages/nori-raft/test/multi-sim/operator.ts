// The operator: places groups on machines, changes who is in them, has replicas that are no members any more removed, and replaces a
// machine that has lost its disk: its replicas leave their groups, and it comes back as a new one with new replicas.
import type { ConfChange, ConfChangeStep } from '../../src/index.js';
import { SimGroup, type SimReplica } from './groups.js';
import type { SimMachine } from './machine.js';
import type { MultiSimulation } from './simulation.js';

const WATCH_EVERY_MS = 300;
const GROUPS_MAX = 14;
const VOTERS_MAX = 5;

export class Operator {
  readonly #sim: MultiSimulation;

  constructor(sim: MultiSimulation) {
    this.#sim = sim;
  }

  newGroup(): void {
    const { rng, groups, machines, config, stats } = this.#sim;
    if (groups.size >= GROUPS_MAX) return;
    const founders = rng.shuffle(machines.filter(({ wiped, isDamaged }) => !wiped && !isDamaged));
    const count = Math.min(rng.pick([1, 2, 3, 3, 3, 3, 3, 3, 5]), founders.length);
    const preferred = config.preferred ? 1 + rng.int(count) : 0;
    const group = new SimGroup(groups.size, founders.slice(0, count), preferred);
    groups.set(group.id, group);
    stats.groups++;
    for (const { machine } of group.replicas.values()) machine.process?.settle();
  }

  /** Asks a leader for a change; `pick` and `degree` say for which. */
  change(pick: number, degree: number): void {
    const group = this.#sim.groups.get(pick % this.#sim.groups.size)!;
    // Who is to go first is the one that was lost, or is about to be found so.
    if (this.#sim.machines.some(({ isDamaged }) => isDamaged)) return;
    if ([...group.replicas.values()].some(({ isLost, retired }) => isLost && !retired)) return;
    const change = this.#compose(group, pick >>> 8, degree);
    if (change !== undefined) this.#ask(group, change);
  }

  #ask(group: SimGroup, change: ConfChange): void {
    const leader = group.leader();
    if (leader?.driver === undefined || leader.machine.isHeld) return;
    // Who knows of another configuration would be asked for something that was not meant.
    if (JSON.stringify(leader.driver.core.config) !== JSON.stringify(group.config)) return;
    const steps = change.steps.map(({ type, id }) => `${type} ${id}`).join(', ');
    this.#sim.line(leader.machine.number, `group ${group.id} is asked for ${change.transition} ${steps}`);
    leader.driver.group.changeConfig(change).catch(() => undefined);
  }

  #compose(group: SimGroup, pick: number, degree: number): ConfChange | undefined {
    const { voters, votersOutgoing, learners } = group.config;
    if (votersOutgoing.length > 0) return { transition: 'auto', steps: [] };
    const transition = (['auto', 'joint-explicit', 'joint-implicit', 'auto'] as const)[pick & 3]!;
    const choose = (ids: readonly number[]) => ids[(pick >>> 2) % ids.length]!;
    const steps: ConfChangeStep[] = [];
    if (degree < 0.2 && learners.length > 0 && voters.length < VOTERS_MAX) {
      steps.push({ type: 'add-voter', id: choose(learners) });
    } else if (degree < 0.4 && voters.length > 2) {
      steps.push({ type: 'remove', id: choose(voters) });
    } else if (degree < 0.45 && voters.length > 2) {
      steps.push({ type: 'add-learner', id: choose(voters) });
    } else {
      const joining = this.#join(group, pick);
      if (joining === undefined) return undefined;
      if (degree < 0.6) steps.push({ type: 'add-learner', id: joining.id });
      else if (degree < 0.8 && voters.length < VOTERS_MAX) steps.push({ type: 'add-voter', id: joining.id });
      else steps.push({ type: 'add-voter', id: joining.id }, { type: 'remove', id: choose(voters) });
    }
    return { transition, steps };
  }

  /** A replica for a group on a machine that has none: one that was placed before, or a new one. */
  #join(group: SimGroup, pick: number): SimReplica | undefined {
    for (const replica of group.replicas.values()) {
      if (!replica.retired && !replica.isLost && !group.isMember(replica.id)) return replica;
    }
    const machines = this.#sim.machines.filter(
      (machine) => !machine.wiped && !machine.isDamaged && group.on(machine) === undefined,
    );
    if (machines.length === 0) return undefined;
    const replica = group.place(machines[pick % machines.length]!);
    this.#sim.stats.replicas++;
    replica.machine.process?.settle();
    return replica;
  }

  /** Leaves a joint configuration that does not leave itself. */
  leaveJoint(): void {
    for (const group of this.#sim.groups.values()) {
      const config = group.leader()?.driver?.core.config;
      if (config === undefined || config.votersOutgoing.length === 0 || config.autoLeave) continue;
      this.#ask(group, { transition: 'auto', steps: [] });
    }
  }

  /** Looks around now and then, until the run ends. */
  watch(): void {
    const { rng, groups, machines } = this.#sim;
    for (const group of groups.values()) {
      for (const replica of group.removable) if (rng.chance(0.4)) this.#retire(replica);
    }
    for (const machine of machines) if (machine.wiped) this.#replace(machine);
    this.#sim.schedule(WATCH_EVERY_MS, 0, () => this.watch());
  }

  #retire(replica: SimReplica): void {
    replica.retired = true;
    this.#sim.line(replica.machine.number, `replica ${replica.id} of group ${replica.group.id} is to be removed`);
    replica.machine.process?.settle();
  }

  /** Whether all groups can do without a machine for good, and no change is under way that might change that. */
  canLose(machine: SimMachine): boolean {
    return [...this.#sim.groups.values()].every((group) => {
      const { voters, votersOutgoing } = group.config;
      if (group.on(machine) === undefined) return true;
      return voters.length >= 3 && votersOutgoing.length === 0 && !group.isChanging;
    });
  }

  /** The disk of a machine is gone. */
  lose(machine: SimMachine, downMs: number): void {
    for (const group of this.#sim.groups.values()) {
      for (const replica of group.replicas.values()) if (replica.machine === machine) replica.lose();
    }
    machine.wipe(downMs);
  }

  #replace(machine: SimMachine): void {
    let isFree = true;
    const lost: SimReplica[] = [];
    for (const group of this.#sim.groups.values()) {
      for (const replica of group.replicas.values()) {
        if (replica.machine !== machine || replica.retired) continue;
        lost.push(replica);
        if (!this.#isOut(group, replica)) isFree = false;
      }
    }
    if (!isFree) return;
    for (const replica of lost) replica.retired = true;
    machine.comeBack();
  }

  /** Whether a lost replica is out of its group for certain. If not, asks for what is missing. */
  #isOut(group: SimGroup, replica: SimReplica): boolean {
    const { id, lostAt } = replica;
    const { voters, votersOutgoing } = group.config;
    const isMember = group.memberIds.includes(id);
    // A change that lets it join may be under way, until a later one is through.
    if (!isMember && group.configIndex > lostAt) return !group.isMember(id) || group.removable.includes(replica);
    const step: ConfChangeStep = isMember ? { type: 'remove', id } : { type: 'update', id: voters[0]! };
    this.#ask(group, { transition: 'auto', steps: votersOutgoing.length > 0 ? [] : [step] });
    return false;
  }

  /** A machine has come back as a new one: all are told. */
  welcome(machine: SimMachine, incarnation: string): void {
    for (const other of this.#sim.machines) other.incarnations.set(machine.name, incarnation);
  }
}
