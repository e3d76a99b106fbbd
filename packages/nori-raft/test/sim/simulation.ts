// The world of one run: virtual time, the network, the machines, the clients, and the loop over all events.
import { type Delivery, EventHeap, type Rng, Rng as SeededRng, SimulatedNetwork } from 'nori-testkit';
import { RaftCore } from '../../src/index.js';
import { Aftermath } from './aftermath.js';
import { Client, type Recorded } from './clients.js';
import { LEASE, type TransportReport } from './driver.js';

import { Nemesis } from './faults.js';
import { Invariants } from './invariants.js';
import { NO_CONFIG } from './log-image.js';
import { Members } from './members.js';
import { FOUNDATION, SimNode } from './node.js';
import type { FaultType, Plan, SeedConfig } from './plan.js';
import { Promises } from './promises.js';
import {
  type ClientReply,
  KIND_CODE,
  type Payload,
  payloadText,
  type SimEvent,
  simEvent,
  TYPE_CODE,
} from './simulation-event.js';
import { FIRST_CLIENT, Trace } from './trace.js';
import { SimViolation } from './violation.js';

/** What happened in a run, counted. */
export interface SimStats {
  events: number;
  virtualMs: number;
  faults: Partial<Record<FaultType, number>>;
  crashes: number;
  crashesAtPoints: number;
  failStops: number;
  tornTails: number;
  elections: number;
  confChanges: number;
  configs: number;
  removed: number;
  snapshots: number;
  compactions: number;
  installs: number;
  committed: number;
  messages: number;
  operations: number;
  unknown: number;
  givenUp: number;
  completed: Record<'lease' | 'index' | 'follower' | 'log' | 'write', number>;
  /** Times that something stayed broken after the faults. */
  troubles: number;
  /** From the end of the faults to the end of the run. */
  recoveryMs: number;
  checkerSteps: number;
}

function emptyStats(): SimStats {
  return {
    events: 0,
    virtualMs: 0,
    faults: {},
    crashes: 0,
    crashesAtPoints: 0,
    failStops: 0,
    tornTails: 0,
    elections: 0,
    confChanges: 0,
    configs: 0,
    removed: 0,
    snapshots: 0,
    compactions: 0,
    installs: 0,
    committed: 0,
    messages: 0,
    operations: 0,
    unknown: 0,
    givenUp: 0,
    completed: { lease: 0, index: 0, follower: 0, log: 0, write: 0 },
    troubles: 0,
    recoveryMs: 0,
    checkerSteps: 0,
  };
}

/** Many times what a run takes: something goes round in circles. */
const EVENTS_MAX = 300_000;

/** Options of {@link Simulation}. */
export interface SimulationOptions {
  /** Keep a trace for people. */
  readonly recording?: boolean;
  /** What to test instead of the core: a broken one, to see whether that is found. */
  readonly coreClass?: typeof RaftCore;
}

export class Simulation {
  nowMs = 0;
  /** Number of the event: time as the history counts it. */
  step = 0;
  healed = false;
  /** Operations asked of each client after the faults. */
  finalOperations = 0;
  readonly config: SeedConfig;
  readonly coreClass: typeof RaftCore;
  readonly rng: Rng;
  readonly trace: Trace;
  readonly network: SimulatedNetwork<Payload>;
  readonly nodes = new Map<number, SimNode>();
  readonly clients: Client[] = [];
  readonly invariants: Invariants;
  readonly promises: Promises;
  readonly members: Members;
  readonly history: Recorded[] = [];
  readonly stats = emptyStats();
  readonly #plan: Plan;
  readonly #nemesis: Nemesis;
  readonly #events = new EventHeap<SimEvent>();
  readonly #founders: readonly number[];
  #nextClientId = 0;

  constructor(plan: Plan, options: SimulationOptions) {
    this.#plan = plan;
    this.coreClass = options.coreClass ?? RaftCore;
    this.config = plan.config;
    this.rng = new SeededRng(plan.noise).fork();
    this.trace = new Trace(options.recording === true);
    const networkRng = this.rng.fork();
    this.network = new SimulatedNetwork({
      random: () => networkRng.next(),
      schedule: (delayMs, delivery) => this.schedule(delayMs, simEvent('delivery', delivery.to, -1, delivery)),
      quality: plan.config.network,
    });
    this.invariants = new Invariants(this.nodes);
    this.promises = new Promises(this.nodes, plan.config.lease ? LEASE.electionTimeoutMinMs : 0);
    this.#nemesis = new Nemesis(this);
    this.#founders = Array.from({ length: plan.config.voters }, (_, i) => i + 1);
    this.members = new Members(this, { ...NO_CONFIG, voters: this.#founders }, FOUNDATION.index);
  }

  // What the parts use.

  schedule(delayMs: number, event: SimEvent): void {
    this.#events.push(this.nowMs + delayMs, event);
  }

  /** @returns how many copies will arrive */
  send(from: number, to: number, message: Payload): number {
    this.stats.messages++;
    return this.network.send(this.nowMs, from, to, message);
  }

  reply(from: number, client: number, attempt: number, result: 'ok' | 'retry', output: number, leader: number): void {
    this.send(from, client, { type: 'client-reply', attempt, result, output, leader });
  }

  addNode(id: number): void {
    const node = new SimNode(id, this, this.#founders);
    this.nodes.set(id, node);
    node.start();
  }

  newClientId(): number {
    return FIRST_CLIENT + this.#nextClientId++;
  }

  /** Who leads in the highest term, as far as anybody knows. */
  leader(): SimNode | undefined {
    let leader: SimNode | undefined;
    for (const node of this.nodes.values()) {
      const core = node.driver?.core;
      if (core?.role === 'leader' && core.term > (leader?.driver?.core?.term ?? 0)) leader = node;
    }
    return leader;
  }

  // The run.

  /** Runs to the end. @throws SimViolation and whatever a core throws */
  run(): void {
    for (const id of this.#founders) this.addNode(id);
    for (const operations of this.#plan.operations) this.clients.push(new Client(this.newClientId(), this, operations));
    for (const client of this.clients) client.start();
    for (const fault of this.#plan.faults) this.schedule(fault.atMs, simEvent('fault', 0, -1, fault));
    this.members.watch();
    this.runUntil(this.config.faultMs);
    new Aftermath(this).run();
    this.stats.virtualMs = this.nowMs;
    this.stats.recoveryMs = this.nowMs - this.config.faultMs;
  }

  /** Ends all faults. Clients end what they have begun. */
  heal(): void {
    if (this.trace.recording) this.trace.line(this.nowMs, 0, 'everything is healed');
    this.healed = true;
    this.#nemesis.heal();
  }

  /** Lets each client do so many more operations. */
  askFor(operations: number): void {
    this.finalOperations += operations;
    for (const client of this.clients) client.resume();
  }

  /** Lets everything happen up to that time. */
  runUntil(atMs: number): void {
    const events = this.#events;
    while (events.nextAtMs !== undefined && events.nextAtMs <= atMs) {
      const { atMs: nowMs, item } = events.pop()!;
      this.nowMs = nowMs;
      if (++this.step > EVENTS_MAX) throw new SimViolation('endless', 'There is no end of events.', item.node);
      this.#handle(item);
    }
    this.nowMs = atMs;
  }

  #handle(event: SimEvent): void {
    const { trace } = this;
    trace.add((this.nowMs * 1000) | 0);
    trace.add(event.node * 16 + KIND_CODE[event.kind]);
    switch (event.kind) {
      case 'delivery':
        this.#deliver(event);
        return;
      case 'client':
        this.#clientOf(event.node).onTimer(event.data as Parameters<Client['onTimer']>[0]);
        return;
      case 'fault':
        if (typeof event.data === 'function') event.data();
        else this.#nemesis.begin(event.data as Plan['faults'][number]);
        return;
      case 'watch':
        this.members.watch();
        return;
      case 'start': {
        const node = this.nodes.get(event.node)!;
        if (node.epoch === event.epoch) node.start();
        return;
      }
      default: {
        const node = this.nodes.get(event.node)!;
        node.handle(event);
        this.#traceNode(node);
      }
    }
  }

  #deliver(event: SimEvent): void {
    const { from, to, message } = event.data as Delivery<Payload>;
    const { trace } = this;
    trace.add(from * 32 + TYPE_CODE[message.type]);
    if (message.type === 'client-reply') {
      trace.add(message.output);
      this.#clientOf(to).onReply(message as ClientReply);
      return;
    }
    const node = this.nodes.get(to);
    if (node === undefined) return;
    if (message.type !== 'client-request') {
      trace.add(message.term);
      trace.add(message.index);
      trace.add(message.commit);
      trace.add(message.entries.length);
      if (message.type === 'snapshot') this.#reportSnapshot(from, to, node.isUp);
    }
    if (trace.recording && node.isUp) {
      trace.line(this.nowMs, to, `<- ${from >= FIRST_CLIENT ? 'client' : from}: ${payloadText(message)}`);
    }
    node.handle(event);
    this.#traceNode(node);
  }

  #traceNode(node: SimNode): void {
    const core = node.driver?.core;
    if (core === undefined) return;
    this.trace.add(core.term);
    this.trace.add(core.commitIndex);
    this.trace.add(core.lastIndex);
  }

  /** The transport tells the sender how the stream of a snapshot has ended. */
  #reportSnapshot(from: number, to: number, ok: boolean): void {
    const report: TransportReport = { type: 'snapshot', id: to, ok };
    this.schedule(1 + this.rng.int(50), simEvent('report', from, -1, report));
  }

  /** How things stand, for people. */
  describeNodes(): void {
    for (const node of this.nodes.values()) {
      const { driver } = node;
      let text = node.removed ? 'removed' : 'down';
      if (driver?.core !== undefined) {
        const { progress, config, ...status } = driver.core.status();
        const parts = [JSON.stringify(status), JSON.stringify(config), ...progress.map((each) => JSON.stringify(each))];
        text = `${node.isHeld ? 'paused ' : ''}applied ${driver.appliedIndex} ${parts.join('\n')}`;
      } else if (driver !== undefined) text = 'starting';
      this.trace.line(this.nowMs, node.id, text);
    }
  }

  #clientOf(id: number): Client {
    return this.clients[id - FIRST_CLIENT]!;
  }
}
