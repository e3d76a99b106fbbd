// What comes after the faults: every group must get well again, also those that have something to do with what stays broken.
//
//   faults end ─▶ trouble on one node ─▶ all healed, quiet ─▶ last operations ─▶ end
//
// In trouble, those groups must get on with their work that have a majority without that node. Quiet: no clients, so
// replicas that lack something must get it by themselves.
import { oneWayLinks, splitLinks } from 'nori-testkit';
import { SimViolation } from '../sim/violation.js';
import type { SimGroup } from './groups.js';
import type { SimMachine } from './machine.js';
import type { Trouble } from './plan.js';
import type { MultiSimulation } from './simulation.js';

/** All must be well again within this time; and those who must bear a trouble, must answer within that. */
const RECOVERY_MS_MAX = 60_000;
const TROUBLE_MS_MAX = 30_000;
const PROGRESS_EVERY_MS = 100;
/** The same leaders for so long count as stable. */
const STABLE_MS = 1500;
/** Machines that were down have started. */
const START_MS = 700;
const OPERATIONS_LAST = 2;

export class MultiAftermath {
  readonly #sim: MultiSimulation;

  constructor(sim: MultiSimulation) {
    this.#sim = sim;
  }

  async run(): Promise<void> {
    const sim = this.#sim;
    sim.line(0, 'everything is healed');
    sim.healed = true;
    sim.nemesis.heal();
    await sim.runUntil(sim.nowMs + START_MS);
    await this.#suffer(sim.config.trouble);
    await this.#until('quiet', () => this.#unwell());
    for (let i = 0; i < OPERATIONS_LAST; i++) this.#ask([...sim.groups.values()]);
    await this.#until('last operations', () => this.#unanswered() ?? this.#unwell());
  }

  /** Lets something be broken and asks for progress all the same; then heals it. */
  async #suffer(trouble: Trouble): Promise<void> {
    const sim = this.#sim;
    const machine = sim.rng.chance(0.7) ? sim.nemesis.busiest() : sim.rng.pick(sim.machines);
    if (trouble === 'none' || machine === undefined || sim.machines.some(({ wiped, isDamaged }) => wiped || isDamaged))
      return;
    const groups = [...sim.groups.values()].filter((group) => isBearable(group, machine));
    sim.line(machine.number, `trouble: ${trouble}; groups ${groups.map(({ id }) => id).join(' ')} must bear it`);
    const end = this.#begin(trouble, machine);
    // All clients ask for all groups: what waits for an answer that will not come must not keep the group from getting well.
    for (const client of sim.clients) client.ask(groups);
    await this.#until(trouble, () => this.#unanswered(), TROUBLE_MS_MAX);
    end();
    sim.nemesis.heal();
  }

  #begin(trouble: Trouble, machine: SimMachine): () => void {
    const { wires, machines } = this.#sim;
    const others = machines.flatMap(({ number }) => (number === machine.number ? [] : [number]));
    if (trouble === 'down') machine.crash('kill', Infinity);
    else if (trouble === 'isolated') return wires.cut(splitLinks([[machine.number], others]));
    else if (trouble === 'deaf') return wires.cut(oneWayLinks(others, [machine.number]));
    else if (trouble === 'mute') return wires.cut(oneWayLinks([machine.number], others));
    else if (trouble === 'disk-stall') return machine.stall();
    else if (trouble === 'disk-full') machine.fill(0);
    return () => undefined;
  }

  /** Has each of these groups answer a client. */
  #ask(groups: readonly SimGroup[]): void {
    const { clients } = this.#sim;
    groups.forEach((group, i) => {
      clients[i % clients.length]!.ask([group]);
    });
  }

  async #until(what: string, problem: () => string | undefined, msMax = RECOVERY_MS_MAX): Promise<void> {
    const sim = this.#sim;
    const giveUpAtMs = sim.nowMs + msMax;
    let leaders = '';
    let stableSinceMs = sim.nowMs;
    for (;;) {
      await sim.runUntil(sim.nowMs + PROGRESS_EVERY_MS);
      sim.operator.leaveJoint();
      const now = this.#leaders();
      if (now !== leaders) stableSinceMs = sim.nowMs;
      leaders = now;
      const isStable = what !== 'quiet' || sim.nowMs - stableSinceMs >= STABLE_MS;
      const found = problem() ?? (isStable ? undefined : `leaders: ${leaders}`);
      if (found === undefined) return;
      if (sim.nowMs <= giveUpAtMs) continue;
      throw new SimViolation('no-progress', `${msMax} ms after the faults (${what}): ${found}.`, 0);
    }
  }

  #leaders(): string {
    const { groups } = this.#sim;
    return [...groups.values()]
      .map((group) => `${group.leader()?.id ?? '-'}:${group.leader()?.driver?.core.term}`)
      .join();
  }

  #unanswered(): string | undefined {
    return this.#sim.clients.find((client) => !client.isDone)?.describe();
  }

  /** What is still wrong. */
  #unwell(): string | undefined {
    const { groups, machines } = this.#sim;
    const wiped = machines.find((machine) => machine.wiped);
    if (wiped !== undefined) return `node ${wiped.number} has no disk`;
    for (const group of groups.values()) {
      const leader = group.leader();
      const commit = leader?.driver?.core.commitIndex;
      if (leader === undefined) return `group ${group.id} has no leader`;
      if (group.config.votersOutgoing.length > 0) return `the configuration of group ${group.id} is still joint`;
      for (const id of group.memberIds) {
        const { driver } = group.replicas.get(id)!;
        if (driver === undefined) return `replica ${id} of group ${group.id} does not run`;
        if (driver.appliedIndex !== commit) {
          return `replica ${id} of group ${group.id} has applied ${driver.appliedIndex} of ${commit}`;
        }
      }
      for (const replica of group.replicas.values()) {
        if (replica.retired && replica.driver !== undefined)
          return `replica ${replica.id} of group ${group.id} still runs`;
      }
    }
    return undefined;
  }
}

/** Whether a group must get on with its work without a machine: all know who votes, and the others are a majority. */
function isBearable(group: SimGroup, machine: SimMachine): boolean {
  const { voters, votersOutgoing } = group.config;
  if (votersOutgoing.length > 0) return false;
  const others = voters.filter((id) => group.replicas.get(id)!.machine !== machine);
  if (others.length * 2 <= voters.length) return false;
  const text = JSON.stringify(group.config);
  return group.memberIds.every((id) => {
    const { driver } = group.replicas.get(id)!;
    if (driver === undefined || JSON.stringify(driver.core.config) !== text) return false;
    return !driver.log.entries.some(({ type, index }) => type === 'conf-change' && index > driver.appliedIndex);
  });
}
