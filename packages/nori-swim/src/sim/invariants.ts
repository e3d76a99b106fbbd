// What must hold in every run, whatever the network and the machines do; SPEC.md numbers it. Each step of each node is checked.
import { retransmitLimit } from '../core/formulas.js';
import type { Rumour } from '../core/messages.js';
import type { CoreAction } from '../core/ports.js';
import type { MemberState, NodeId } from '../member.js';
import type { MembershipEvent } from '../membership-events.js';
import type { Simulation } from './simulation.js';

const RANK: Readonly<Record<MemberState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 };

interface Seen {
  incarnation: number;
  rank: number;
}

/** A member that was called dead. */
export interface Conviction {
  /** Who noticed it, and about whom, by number. */
  readonly node: number;
  readonly victim: number;
  readonly atMs: number;
  /** Whether the victim's process existed at that time, paused or not. */
  readonly isFalse: boolean;
}

/** Watches a simulation; throws on the first step that breaks an invariant. */
export class InvariantChecker {
  /** All deaths that were noticed. */
  readonly convictions: Conviction[] = [];
  readonly #sim: Simulation;
  readonly #limit: number;
  /** The highest incarnation that each node itself has had. */
  readonly #owned = new Map<NodeId, number>();
  /** By node: its run, and what it thought of the others. */
  readonly #seen = new Map<number, { run: number; own: number; members: Map<NodeId, Seen> }>();
  readonly #sends = new WeakMap<Rumour, Map<string, number>>();
  readonly #heard = new Set<string>();

  constructor(sim: Simulation) {
    this.#sim = sim;
    this.#limit = retransmitLimit(sim.numbers.length, sim.protocol.retransmitMult);
    for (const node of sim.numbers)
      if (sim.isRunning(node)) this.#owned.set(sim.idOf(node), sim.core(node).incarnation);
    sim.observe({
      onStep: (node, actions) => this.#step(node, actions),
      onEvent: (node, event, nowMs) => this.#event(node, event, nowMs),
    });
  }

  /** Convictions of members that were there. */
  get falseConvictions(): Conviction[] {
    return this.convictions.filter(({ isFalse }) => isFalse);
  }

  /** What keeps the views of all running nodes from being the same and true; undefined if they are. */
  disagreement(): string | undefined {
    const sim = this.#sim;
    const running = sim.numbers.filter((node) => sim.isRunning(node) && sim.core(node).phase === 'running');
    for (const node of running) {
      for (const other of running) {
        if (node === other) continue;
        const entry = sim.core(node).entry(sim.idOf(other));
        const incarnation = sim.core(other).incarnation;
        if (entry?.state === 'alive' && entry.incarnation === incarnation) continue;
        const held = `${entry?.state ?? 'unknown'} at ${entry?.incarnation ?? '-'}`;
        return `node ${node} holds ${other} for ${held}, which is alive at ${incarnation}`;
      }
      const active = sim.core(node).activeCount;
      if (active !== running.length) return `node ${node} counts ${active} members of ${running.length}`;
    }
    return undefined;
  }

  #step(node: number, actions: readonly CoreAction[]): void {
    const sim = this.#sim;
    if (!sim.isRunning(node)) return;
    const core = sim.core(node);
    const run = sim.runsOf(node);
    let seen = this.#seen.get(node);
    if (seen?.run !== run) {
      seen = { run, own: 0, members: new Map() };
      this.#seen.set(node, seen);
    }
    this.#check(core.incarnation >= seen.own, `node ${node} went back to its incarnation ${core.incarnation}`);
    seen.own = core.incarnation;
    this.#owned.set(core.id, Math.max(this.#owned.get(core.id) ?? 0, core.incarnation));
    for (const entry of core.entries()) this.#entry(node, entry.id, entry.incarnation, RANK[entry.state], seen.members);
    for (const action of actions) if (action.type === 'send') this.#send(`${node}/${run}`, action);
  }

  #entry(node: number, id: NodeId, incarnation: number, rank: number, members: Map<NodeId, Seen>): void {
    const before = members.get(id);
    if (before === undefined) {
      members.set(id, { incarnation, rank });
    } else if (before.incarnation !== incarnation || before.rank !== rank) {
      this.#check(incarnation >= before.incarnation, `node ${node} lowered the incarnation of ${id}`);
      const isForward = incarnation > before.incarnation || rank > before.rank;
      this.#check(isForward, `node ${node} took ${id} from ${before.rank} back to ${rank} at ${incarnation}`);
      before.incarnation = incarnation;
      before.rank = rank;
    } else return;
    const owned = this.#owned.get(id) ?? 0;
    this.#check(incarnation <= owned, `node ${node} knows incarnation ${incarnation} of ${id}, which had ${owned}`);
  }

  #send(sender: string, { messages }: CoreAction & { readonly type: 'send' }): void {
    for (const message of messages) {
      if (!isRumour(message)) continue;
      let bySender = this.#sends.get(message);
      if (bySender === undefined) this.#sends.set(message, (bySender = new Map()));
      const count = (bySender.get(sender) ?? 0) + 1;
      bySender.set(sender, count);
      this.#check(count <= this.#limit, `node ${sender} sent one rumour ${count} times: ${JSON.stringify(message)}`);
    }
  }

  #event(node: number, event: MembershipEvent, atMs: number): void {
    const sim = this.#sim;
    if (event.type === 'confirm') {
      const victim = sim.numberOf(event.member.id);
      this.convictions.push({ node, victim, atMs, isFalse: sim.isRunning(victim) });
    } else if (event.type === 'message') {
      const key = `${node}/${sim.runsOf(node)}/${event.from}/${event.data.join()}`;
      this.#check(!this.#heard.has(key), `node ${node} was given a message twice`);
      this.#heard.add(key);
    }
  }

  #check(holds: boolean, what: string): void {
    if (!holds) throw new Error(`Broken at ${this.#sim.nowMs} ms: ${what}.`);
  }
}

function isRumour(message: { readonly type: string }): message is Rumour {
  return ['alive', 'suspect', 'dead', 'left', 'user'].includes(message.type);
}
