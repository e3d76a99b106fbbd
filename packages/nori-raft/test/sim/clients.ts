// The clients: each does one thing at a time, on keys that all of them use, and writes down what it saw.
//
// A write that got no answer is sent again, with the same sequence, to other nodes, and given up after a while: then its
// outcome is unknown for ever, and the process that asked goes on under another name in the history. Its session with
// the state machine goes on too, or a new one begins.
import { type Operation, UNKNOWN } from 'nori-testkit';
import type { ClientOperation, ReadKind } from './plan.js';
import { type Command, type MapInput, REFUSED } from './replicated-map.js';
import type { Simulation } from './simulation.js';
import { type ClientReply, type ClientRequest, simEvent } from './simulation-event.js';
import { FIRST_CLIENT } from './trace.js';
import { SimViolation } from './violation.js';

/** An operation of the history; `read`: how a read was served. */
export interface Recorded extends Operation<MapInput, number> {
  readonly read: ReadKind | undefined;
}

/** What a client's timer was set for. */
interface ClientTimer {
  /** Changes with every attempt and every operation: a timer of an earlier one says nothing. */
  readonly attempt: number;
  readonly wait: 'think' | 'answer' | 'retry';
}

interface Current {
  readonly input: MapInput;
  readonly command: Command | undefined;
  /** A read that finds no lease turns to `index`. */
  read: ReadKind;
  readonly callAt: number;
  readonly giveUpAtMs: number;
  readonly padding: number;
}

const ANSWER_MS_MIN = 150;
const ANSWER_MS_MAX = 900;
const GIVE_UP_MS_MIN = 1500;
const GIVE_UP_MS_MAX = 6000;

export class Client {
  readonly id: number;
  /** Operations that were answered, by the kind of read, or `write`. */
  readonly completed: Record<ReadKind | 'write', number> = { lease: 0, index: 0, follower: 0, log: 0, write: 0 };
  completedSinceHeal = 0;
  readonly #sim: Simulation;
  readonly #operations: readonly ClientOperation[];
  #at = 0;
  #current: Current | undefined;
  #attempt = 0;
  #target = 0;
  /** Name in the history, and in the sessions. */
  #process: number;
  #session: number;
  #sequence = 0;
  #floor = 0;
  /** Last values seen, for compare-and-set. */
  readonly #seen: number[] = [];
  #values = 0;

  constructor(id: number, sim: Simulation, operations: readonly ClientOperation[]) {
    this.id = id;
    this.#sim = sim;
    this.#operations = operations;
    this.#process = id;
    this.#session = id;
  }

  /** Operations of the plan that were begun. */
  get begun(): number {
    return this.#at;
  }

  get isBusy(): boolean {
    return this.#current !== undefined;
  }

  start(): void {
    this.#think();
  }

  #think(): void {
    this.#attempt++;
    const operation = this.#next();
    if (operation !== undefined) this.#setTimer(operation.thinkMs, 'think');
  }

  /** The plan's operations, and when faults are over as many more as it takes. */
  #next(): ClientOperation | undefined {
    const { healed, rng, config } = this.#sim;
    if (!healed) return this.#operations[this.#at];
    if (this.completedSinceHeal >= this.#sim.finalOperations) return undefined;
    const key = rng.int(config.keys);
    const f = rng.chance(0.4) ? 'put' : 'get';
    const read = rng.pick(['lease', 'index', 'follower'] as const);
    return { f, key, read, thinkMs: 5, pick: rng.uint32() };
  }

  /** Whether it has done what was asked of it after the faults. */
  get isDone(): boolean {
    return !this.isBusy && this.completedSinceHeal >= this.#sim.finalOperations;
  }

  /** After the faults: more operations are asked of it. */
  resume(): void {
    if (!this.isBusy) this.#think();
  }

  #setTimer(delayMs: number, wait: ClientTimer['wait']): void {
    const timer: ClientTimer = { attempt: this.#attempt, wait };
    this.#sim.schedule(delayMs, simEvent('client', this.id, -1, timer));
  }

  onTimer({ attempt, wait }: ClientTimer): void {
    if (attempt !== this.#attempt) return;
    if (wait === 'think') this.#begin();
    else this.#tryAgain(wait === 'answer' ? 0 : this.#target);
  }

  #begin(): void {
    const { rng, nowMs, stats } = this.#sim;
    const operation = this.#next();
    if (operation === undefined) return;
    if (!this.#sim.healed) this.#at++;
    const { f, key, read, pick } = operation;
    const isLogged = f !== 'get' || read === 'log';
    const input: MapInput = {
      f,
      key,
      value: f === 'put' || f === 'cas' ? this.id * 10_000 + ++this.#values : 0,
      expected: f === 'cas' ? (this.#seen[key] ?? 0) : 0,
    };
    let command: Command | undefined;
    if (isLogged) {
      this.#sequence++;
      // All before this one is resolved, or given up. Telling so late keeps more outcomes.
      if ((pick & 3) !== 0) this.#floor = this.#sequence;
      command = { ...input, client: this.#session, sequence: this.#sequence, floor: this.#floor };
    }
    stats.operations++;
    const patienceMs = GIVE_UP_MS_MIN + rng.next() * (GIVE_UP_MS_MAX - GIVE_UP_MS_MIN);
    this.#current = {
      input,
      command,
      read,
      callAt: this.#sim.step,
      giveUpAtMs: this.#sim.healed ? Infinity : nowMs + patienceMs,
      padding: this.#sim.config.paddingMax === 0 ? 0 : (pick >>> 8) % this.#sim.config.paddingMax,
    };
    this.#tryAgain(this.#target);
  }

  /** @param target whom to ask; 0: anyone */
  #tryAgain(target: number): void {
    const { rng, nowMs, members } = this.#sim;
    const current = this.#current!;
    if (nowMs >= current.giveUpAtMs) {
      this.#giveUp();
      return;
    }
    this.#attempt++;
    const anyone = target === 0 || current.read === 'follower' || rng.chance(0.05);
    this.#target = anyone ? rng.pick(members.ids) : target;
    const request: ClientRequest = {
      type: 'client-request',
      client: this.id,
      attempt: this.#attempt,
      input: current.input,
      command: current.command,
      read: current.read,
      padding: current.padding,
    };
    this.#sim.send(this.id, this.#target, request);
    this.#setTimer(ANSWER_MS_MIN + rng.next() * (ANSWER_MS_MAX - ANSWER_MS_MIN), 'answer');
  }

  #giveUp(): void {
    const { input, command, callAt } = this.#current!;
    this.#current = undefined;
    this.#sim.stats.givenUp++;
    if (command !== undefined && input.f !== 'get') {
      this.#record({ process: this.#process, input, output: UNKNOWN, callAt, read: undefined });
      this.#sim.stats.unknown++;
      this.#process = this.#sim.newClientId();
      if (this.#sim.rng.chance(0.5)) {
        this.#session = this.#process;
        this.#sequence = 0;
        this.#floor = 0;
      }
    }
    this.#target = 0;
    this.#think();
  }

  onReply({ attempt, result, output, leader }: ClientReply): void {
    const current = this.#current;
    if (current === undefined || attempt !== this.#attempt) return;
    if (result === 'retry') {
      this.#attempt++;
      if (current.read === 'lease' && leader === this.#target) current.read = 'index';
      this.#target = leader;
      this.#setTimer(leader === 0 ? 20 + this.#sim.rng.int(150) : 2, 'retry');
      return;
    }
    const { input, command, read, callAt } = current;
    if (output === REFUSED) {
      throw new SimViolation('session', `Client ${this.#session} was refused sequence ${this.#sequence}.`, this.id);
    }
    this.#current = undefined;
    const kind = input.f === 'get' ? read : undefined;
    this.#record({ process: this.#process, input, output, callAt, returnAt: this.#sim.step, read: kind });
    this.#seen[input.key] = command === undefined ? output : afterwards(input, output);
    this.completed[kind ?? 'write']++;
    if (this.#sim.healed) this.completedSinceHeal++;
    this.#think();
  }

  #record(operation: Recorded): void {
    this.#sim.history.push(operation);
    const { trace, nowMs } = this.#sim;
    if (!trace.recording) return;
    const { f, key, value, expected } = operation.input;
    const args = f === 'put' ? ` = ${value}` : f === 'cas' ? ` ${expected} -> ${value}` : '';
    const by = operation.read === undefined ? '' : ` (${operation.read})`;
    const output = operation.output === UNKNOWN ? 'unknown' : String(operation.output);
    trace.line(nowMs, this.id, `${f} key ${key}${args}${by}: ${output}`);
  }

  /** For people. */
  describe(): string {
    const current = this.#current;
    return `client ${this.id - FIRST_CLIENT + 1}: ${current === undefined ? 'idle' : `${current.input.f} key ${current.input.key}`}`;
  }
}

/** What the key holds after an operation that was answered so. */
function afterwards({ f, value, expected }: MapInput, before: number): number {
  if (f === 'put') return value;
  if (f === 'delete') return 0;
  return f === 'cas' && before === expected ? value : before;
}
