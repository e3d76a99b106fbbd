// What comes after the faults: the group must get well again, also where something stays broken, and also where nobody
// asks it for anything.
//
//   faults end ─▶ first trouble ─▶ all healed, quiet ─▶ last trouble ─▶ all healed, quiet ─▶ last operations ─▶ end
//
// First trouble meets the group as the faults have left it, and is of a kind in which Raft promises progress whatever the
// logs hold: a majority sees each other. Last trouble meets a group at rest, and may be a network in which no majority
// sees each other. Quiet: no clients, so replicas that lack something must get it by themselves.
import { bridgeLinks, chainLinks, type Link, oneWayLinks, ringLinks, splitLinks } from 'nori-testkit';
import type { Trouble } from './plan.js';
import type { Simulation } from './simulation.js';
import { simEvent } from './simulation-event.js';
import { SimViolation } from './violation.js';

/** The group must be well again within this time. */
const RECOVERY_MS_MAX = 60_000;
const PROGRESS_EVERY_MS = 100;
/** The same leader for so long counts as stable: when all is healed, and when something is broken. */
const STABLE_MS = 1500;
const STABLE_IN_TROUBLE_MS = 5000;
/** Machines that were down have started. */
const START_MS = 100;
const OPERATIONS_IN_TROUBLE = 2;
const OPERATIONS_LAST = 4;

export class Aftermath {
  readonly #sim: Simulation;

  constructor(sim: Simulation) {
    this.#sim = sim;
  }

  run(): void {
    const { config } = this.#sim;
    this.#sim.heal();
    this.#sim.runUntil(this.#sim.nowMs + START_MS);
    this.#suffer(config.firstTrouble, STABLE_MS);
    this.#lastWishes();
    this.#recover(STABLE_MS, 'quiet');
    this.#suffer(config.lastTrouble, STABLE_IN_TROUBLE_MS);
    this.#recover(STABLE_MS, 'quiet');
    this.#sim.askFor(OPERATIONS_LAST);
    this.#recover(STABLE_MS, 'last operations');
  }

  /** Lets something be broken and asks for progress all the same; then heals it. */
  #suffer(trouble: Trouble, stableMs: number): void {
    const voters = this.#settledVoters();
    if (trouble === 'none' || voters === undefined || !isBearable(trouble, voters.length, this.#sim.config.preVote))
      return;
    const { trace, nowMs, network, stats } = this.#sim;
    if (trace.recording) trace.line(nowMs, 0, `trouble: ${trouble}`);
    stats.troubles++;
    const links = this.#begin(trouble, this.#order(voters));
    network.cut(links);
    this.#sim.askFor(OPERATIONS_IN_TROUBLE);
    this.#recover(stableMs, trouble);
    network.mend(links);
    for (const node of this.#sim.nodes.values()) node.disk.endStall();
    this.#sim.heal();
  }

  /** Operators work on quiet groups too: a change of the members, a transfer, or one in the middle of the other. */
  #lastWishes(): void {
    const { members, nodes, rng } = this.#sim;
    if (rng.chance(0.5)) members.change(rng.uint32(), rng.next());
    if (rng.chance(0.5)) return;
    this.#sim.runUntil(this.#sim.nowMs + rng.next() * rng.pick([1, 10, 50]));
    const to = rng.pick(members.ids);
    // Half of the time nothing comes of it.
    if (rng.chance(0.5)) this.#sim.schedule(3000, simEvent('fault', 0, -1, nodes.get(to)!.pause()));
    this.#sim.leader()?.driver?.poke((core) => core.transferLeader(to));
  }

  /** Voters in random order; half of the time the leader comes first, so that it is hit. */
  #order(voters: readonly number[]): readonly number[] {
    const { rng } = this.#sim;
    const order = rng.shuffle(voters);
    const leader = this.#sim.leader()?.id;
    if (leader === undefined || !order.includes(leader) || rng.chance(0.5)) return order;
    return [leader, ...order.filter((id) => id !== leader)];
  }

  /** @returns the links that are to be cut */
  #begin(trouble: Trouble, voters: readonly number[]): Link[] {
    const { nodes, rng } = this.#sim;
    const minority = voters.slice(0, rng.range(1, (voters.length - 1) >>> 1));
    const others = [...nodes.keys()].filter((id) => id !== voters[0]);
    switch (trouble) {
      case 'down':
        for (const id of minority) nodes.get(id)!.crash(rng.chance(0.5) ? 'kill' : 'power', Infinity);
        return [];
      case 'stalled':
        for (const id of minority) nodes.get(id)!.disk.stallUntil(Infinity);
        return [];
      case 'isolated':
        return splitLinks([minority, [...nodes.keys()].filter((id) => !minority.includes(id))]);
      case 'deaf':
        return oneWayLinks(others, [voters[0]!]);
      case 'mute':
        return oneWayLinks([voters[0]!], others);
      case 'chain':
        return chainLinks(voters);
      case 'ring':
        return ringLinks(voters);
      case 'bridge':
        return bridgeLinks(voters);
      case 'none':
        return [];
    }
  }

  /**
   * The voters, if all who are in the group agree on them: a majority of what only some know of could not help itself
   * without the others.
   */
  #settledVoters(): readonly number[] | undefined {
    const { members, nodes } = this.#sim;
    const { voters, votersOutgoing } = members.config;
    if (votersOutgoing.length > 0) return undefined;
    const text = JSON.stringify(members.config);
    for (const id of members.ids) {
      const driver = nodes.get(id)!.driver;
      if (driver?.core === undefined || JSON.stringify(driver.core.config) !== text) return undefined;
      const isChanging = driver.log.entries.some(
        ({ type, index }) => type === 'conf-change' && index > driver.appliedIndex,
      );
      if (isChanging) return undefined;
    }
    return voters;
  }

  /** @param what of the phase; in trouble not everyone can be well */
  #recover(stableMs: number, what: Trouble | 'quiet' | 'last operations'): void {
    const sim = this.#sim;
    const all = what === 'quiet' || what === 'last operations';
    const giveUpAtMs = sim.nowMs + RECOVERY_MS_MAX;
    let leaderKey = '';
    let stableSinceMs = sim.nowMs;
    for (;;) {
      sim.runUntil(sim.nowMs + PROGRESS_EVERY_MS);
      const leader = sim.leader();
      const key = leader === undefined ? '' : `${leader.id} in ${leader.driver!.core!.term}`;
      if (key !== leaderKey || key === '') stableSinceMs = sim.nowMs;
      leaderKey = key;
      if (all) sim.members.leaveJoint();
      const problem =
        sim.nowMs - stableSinceMs < stableMs
          ? `leader: ${key || 'nobody'}`
          : this.#problem(leader!.driver!.core!.commitIndex, all);
      if (problem === undefined) return;
      if (sim.nowMs > giveUpAtMs) {
        throw new SimViolation(
          'no-progress',
          `${RECOVERY_MS_MAX} ms after the faults (${what}): ${problem}.`,
          leader?.id ?? 0,
        );
      }
    }
  }

  /** What is still wrong. */
  #problem(commitIndex: number, all: boolean): string | undefined {
    const { clients, members, nodes } = this.#sim;
    for (const client of clients) if (!client.isDone) return client.describe();
    if (!all) return undefined;
    if (members.config.votersOutgoing.length > 0) return 'the configuration is still joint';
    for (const id of members.ids) {
      const driver = nodes.get(id)!.driver;
      if (driver === undefined) return `node ${id} is down`;
      if (driver.appliedIndex !== commitIndex) return `node ${id} has applied ${driver.appliedIndex} of ${commitIndex}`;
    }
    return undefined;
  }
}

/** Whether a group of so many voters must get on with its work. */
const isBearable = (trouble: Trouble, voters: number, preVote: boolean): boolean => {
  if (voters < 3) return false;
  // Without pre-vote whoever hears of no leader deposes it.
  if (trouble === 'down' || trouble === 'isolated' || trouble === 'stalled') return true;
  // The end of a chain of four may have the longest log, and its neighbour the next.
  return preVote && !(trouble === 'chain' && voters === 4);
};
