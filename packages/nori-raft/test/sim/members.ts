// The operator: changes who is in the group, starts machines for new replicas, and stops those that were removed.
//
// A removed replica is stopped some time after its removal, and only once a quorum of the new configuration has its
// commit on disk: before that the others may still need its vote to learn of it. Ids are never used again.
import type { ConfChange, ConfChangeStep, ConfChangeTransition, ConfState } from '../../src/index.js';
import type { SimNode } from './node.js';
import type { Simulation } from './simulation.js';
import { simEvent } from './simulation-event.js';

export const REPLICAS_MAX = 7;
/** Ids that a run may use up. */
const IDS_MAX = 14;
const VOTERS_MAX = 5;
const WATCH_EVERY_MS = 400;

export class Members {
  /** The latest configuration that anybody has applied, and where. */
  config: ConfState;
  configIndex: number;
  /** All who are in the group, ascending. */
  ids: readonly number[];
  readonly #sim: Simulation;
  /** Ids that were ever in a configuration. */
  readonly #everMembers: Set<number>;
  #nextId: number;
  /** Changes that follow the one under way. */
  #more = 0;

  constructor(sim: Simulation, config: ConfState, configIndex: number) {
    this.#sim = sim;
    this.config = config;
    this.configIndex = configIndex;
    this.ids = config.voters;
    this.#everMembers = new Set(config.voters);
    this.#nextId = config.voters.length + 1;
  }

  onConfig(node: SimNode, index: number, config: ConfState): void {
    this.#sim.invariants.onConfig(node, index, config);
    if (index <= this.configIndex) return;
    this.#sim.stats.configs++;
    this.config = config;
    this.configIndex = index;
    this.ids = idsOf(config);
    for (const id of this.ids) this.#everMembers.add(id);
    this.#goOn();
    const { trace, nowMs } = this.#sim;
    if (trace.recording) trace.line(nowMs, node.id, `applies configuration ${configText(config)} at ${index}`);
  }

  /** Asks the leader for a change; `pick` and `degree` say which. Some operators have more to do, and go on at once. */
  change(pick: number, degree: number): void {
    this.#more = (pick & 3) === 0 ? 1 + ((pick >>> 2) & 3) : 0;
    this.#change(pick, degree);
  }

  #goOn(): void {
    const { rng, healed } = this.#sim;
    if (this.#more === 0 || healed) return;
    this.#more--;
    const change = () => this.#change(rng.uint32(), rng.next());
    this.#sim.schedule(rng.next() * rng.pick([1, 10, 200]), simEvent('fault', 0, -1, change));
  }

  #change(pick: number, degree: number): void {
    const leader = this.#sim.leader();
    if (leader?.driver?.core === undefined || leader.isHeld) return;
    const { config } = leader.driver.core;
    const change = this.#compose(config, pick, degree);
    if (change === undefined) return;
    const accepted = leader.driver.proposeConfChange(change);
    const { trace, nowMs } = this.#sim;
    const text = `${change.transition} ${change.steps.map(({ type, id }) => `${type} ${id}`).join(', ') || 'leave joint'}`;
    if (trace.recording) trace.line(nowMs, leader.id, `is asked for ${text}: ${accepted ? 'proposed' : 'refused'}`);
    if (accepted) this.#sim.stats.confChanges++;
    for (const { type, id } of change.steps) if (type !== 'remove' && !this.#sim.nodes.has(id)) this.#sim.addNode(id);
  }

  /** Leaves a joint configuration that does not leave itself. */
  leaveJoint(): void {
    const leader = this.#sim.leader();
    const config = leader?.driver?.core?.config;
    if (config === undefined || config.votersOutgoing.length === 0 || config.autoLeave) return;
    leader!.driver!.proposeConfChange({ transition: 'auto', steps: [] });
  }

  #compose(config: ConfState, pick: number, degree: number): ConfChange | undefined {
    const { voters, votersOutgoing, learners } = config;
    if (votersOutgoing.length > 0) return { transition: 'auto', steps: [] };
    const transition = (['auto', 'joint-explicit', 'joint-implicit', 'joint-explicit'] as const)[pick & 3]!;
    const choose = (ids: readonly number[], salt: number) => ids[(pick >>> (4 + salt)) % ids.length]!;
    const isRoom = voters.length + learners.length < REPLICAS_MAX && this.#nextId <= IDS_MAX;
    const steps: ConfChangeStep[] = [];
    if (degree < 0.25 && isRoom) {
      steps.push({ type: 'add-learner', id: this.#nextId++ });
    } else if (degree < 0.5 && learners.length > 0 && voters.length < VOTERS_MAX) {
      steps.push({ type: 'add-voter', id: choose(learners, 0) });
    } else if (degree < 0.6 && isRoom && voters.length < VOTERS_MAX) {
      steps.push({ type: 'add-voter', id: this.#nextId++ });
    } else if (degree < 0.7 && voters.length > 2) {
      steps.push({ type: 'add-learner', id: choose(voters, 0) });
    } else if (degree < 0.8 && voters.length > 2) {
      steps.push({ type: 'remove', id: choose([...voters, ...learners], 0) });
    } else if (degree < 0.95) {
      return this.#replaceSeveral(config, transition, pick);
    } else {
      steps.push({ type: 'update', id: choose(voters, 0) });
    }
    return { transition, steps };
  }

  /** One or two voters go, as many come: from the learners, or new ones. */
  #replaceSeveral(config: ConfState, transition: ConfChangeTransition, pick: number): ConfChange | undefined {
    const { voters, learners } = config;
    const count = Math.min(1 + ((pick >>> 8) & 1), voters.length);
    const steps: ConfChangeStep[] = [];
    for (let i = 0; i < count; i++) {
      const id = learners[i] ?? (this.#nextId <= IDS_MAX ? this.#nextId++ : undefined);
      if (id === undefined) return undefined;
      const old = voters[((pick >>> 12) + i) % voters.length]!;
      steps.push({ type: 'add-voter', id }, { type: (pick >>> 16) & 1 ? 'remove' : 'add-learner', id: old });
    }
    return { transition, steps };
  }

  /** Looks around now and then, until the run ends. */
  watch(): void {
    const { rng, nodes } = this.#sim;
    const ids = this.ids;
    for (const node of nodes.values()) {
      if (node.removed || ids.includes(node.id) || !this.#everMembers.has(node.id)) continue;
      if (this.#isSettled && rng.chance(0.3)) this.#stop(node);
    }
    this.#sim.schedule(WATCH_EVERY_MS, simEvent('watch', 0, -1, undefined));
  }

  #stop(node: SimNode): void {
    const { trace, nowMs, stats } = this.#sim;
    if (trace.recording) trace.line(nowMs, node.id, 'has been removed, and is stopped for good');
    stats.removed++;
    node.remove();
  }

  /** Whether a quorum will know of the latest configuration whatever happens. */
  get #isSettled(): boolean {
    const { voters, votersOutgoing } = this.config;
    return [voters, votersOutgoing].every((half) => {
      const settled = half.filter((id) => this.#sim.nodes.get(id)!.durable.hardState.commit >= this.configIndex);
      return half.length === 0 || settled.length * 2 > half.length;
    });
  }
}

function idsOf({ voters, votersOutgoing, learners }: ConfState): number[] {
  return [...new Set([...voters, ...votersOutgoing, ...learners])].sort((a, b) => a - b);
}

function configText({ voters, votersOutgoing, learners, learnersNext, autoLeave }: ConfState): string {
  const parts = [`voters ${voters.join(' ')}`];
  if (votersOutgoing.length > 0) parts.push(`outgoing ${votersOutgoing.join(' ')}${autoLeave ? ' (auto-leave)' : ''}`);
  if (learners.length > 0) parts.push(`learners ${learners.join(' ')}`);
  if (learnersNext.length > 0) parts.push(`then learners ${learnersNext.join(' ')}`);
  return parts.join('; ');
}
