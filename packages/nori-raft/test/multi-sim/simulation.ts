// The world of one run of many groups: virtual time, machines, wires, clients, and the loop over all events.
//
// MultiRaft works with promises. After each event the loop lets everything settle that can, before time goes on; nothing in
// the process waits for real time or for real I/O, so what a seed does is always the same.
import { EventHeap, type Operation, Rng } from 'nori-testkit';
import type { MapInput } from '../sim/replicated-map.js';
import { Trace } from '../sim/trace.js';
import { SimViolation } from '../sim/violation.js';
import { MultiAftermath } from './aftermath.js';
import { MultiClient } from './clients.js';
import { MultiNemesis } from './faults.js';
import type { SimGroup } from './groups.js';
import { SimMachine } from './machine.js';
import { Operator } from './operator.js';
import type { MultiConfig, MultiPlan } from './plan.js';
import { emptyMultiStats } from './stats.js';
import { Wires } from './wires.js';

/** Many times what a run takes: something goes round in circles. */
const EVENTS_MAX = 1_000_000;

interface SimEvent {
  /** The machine it concerns; 0: none. */
  readonly machine: number;
  readonly fn: () => void;
}

export interface MultiSimulationOptions {
  /** Keep a trace for people. */
  readonly recording?: boolean;
}

export class MultiSimulation {
  nowMs = 0;
  /** Number of the event: time as the history counts it. */
  step = 0;
  healed = false;
  readonly config: MultiConfig;
  readonly rng: Rng;
  readonly trace: Trace;
  readonly wires: Wires;
  readonly machines: readonly SimMachine[];
  readonly groups = new Map<number, SimGroup>();
  readonly operator: Operator;
  readonly nemesis: MultiNemesis;
  readonly clients: MultiClient[] = [];
  readonly history: { readonly group: number; readonly operation: Operation<MapInput, number> }[] = [];
  readonly stats = emptyMultiStats();
  readonly #plan: MultiPlan;
  readonly #events = new EventHeap<SimEvent>();
  #violation: unknown;

  constructor(plan: MultiPlan, options: MultiSimulationOptions) {
    this.#plan = plan;
    this.config = plan.config;
    this.rng = new Rng(plan.noise).fork();
    this.trace = new Trace(options.recording === true);
    this.wires = new Wires(this);
    this.machines = Array.from({ length: plan.config.nodes }, (_, i) => new SimMachine(i + 1, this));
    this.operator = new Operator(this);
    this.nemesis = new MultiNemesis(this);
  }

  machine(number: number): SimMachine {
    return this.machines[number - 1]!;
  }

  machineOf(name: string): SimMachine {
    return this.machine(Number(name.slice(1)));
  }

  /** @param machine that it concerns; 0: none */
  schedule(delayMs: number, machine: number, fn: () => void): void {
    this.#events.push(this.nowMs + delayMs, { machine, fn });
  }

  line(machine: number, text: string): void {
    if (this.trace.recording) this.trace.line(this.nowMs, machine, text);
  }

  /** Keeps the first thing that is wrong: who finds it may be within a promise of the code that is tested. */
  report(error: unknown): void {
    this.#violation ??= error;
  }

  fail(kind: string, message: string, machine = 0): void {
    this.report(new SimViolation(kind, message, machine));
  }

  /** Runs to the end. @throws SimViolation */
  async run(): Promise<void> {
    for (let i = 0; i < this.config.groups; i++) this.operator.newGroup();
    for (const machine of this.machines) machine.start();
    this.#plan.operations.forEach((operations, i) => {
      this.clients.push(new MultiClient(i + 1, this, operations));
    });
    for (const client of this.clients) client.start();
    for (const fault of this.#plan.faults) this.schedule(fault.atMs, 0, () => this.nemesis.begin(fault));
    this.operator.watch();
    await this.runUntil(this.config.faultMs);
    await new MultiAftermath(this).run();
    this.stats.recoveryMs = this.nowMs - this.config.faultMs;
  }

  /** How things stand, for people. */
  describe(): void {
    for (const { number, isUp, isHeld, isStalled, wiped } of this.machines) {
      this.line(number, JSON.stringify({ isUp, isHeld, isStalled, wiped }));
    }
    for (const { id, config, configIndex, replicas } of this.groups.values()) {
      this.line(0, `group ${id}, ${JSON.stringify(config)} at ${configIndex}`);
      for (const { id: replicaId, driver, retired, isLost, machine } of replicas.values()) {
        const status = driver === undefined ? 'does not run' : JSON.stringify(driver.core.status());
        this.line(
          machine.number,
          `  replica ${replicaId}${retired ? ', retired' : ''}${isLost ? ', lost' : ''}: ${status}`,
        );
      }
    }
  }

  /** Lets everything happen up to that time. */
  async runUntil(atMs: number): Promise<void> {
    const events = this.#events;
    while (events.nextAtMs !== undefined && events.nextAtMs <= atMs) {
      const { atMs: nowMs, item } = events.pop()!;
      this.nowMs = nowMs;
      if (++this.step > EVENTS_MAX) this.fail('endless', 'There is no end of events.');
      this.trace.add((nowMs * 1000) | 0);
      this.trace.add(item.machine);
      item.fn();
      await settle();
      if (item.machine > 0) this.machine(item.machine).process?.observe();
      if (this.#violation !== undefined) throw this.#violation;
    }
    this.nowMs = atMs;
  }
}

/** Lets every promise that can settle do so. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
