// The clients: each does one thing at a time, in one group after the other, on keys that all of them use, and writes down what
// it saw.
//
// A write that got no answer is sent again, as another attempt of the same request, to other nodes, and given up after a while: then its
// outcome is unknown for ever, and the process that asked goes on under another name in the history.

import { type Operation, UNKNOWN } from 'nori-testkit';
import { type OutcomeRequest, OutcomeSession, type RequestIdentity } from '../../src/index.js';
import type { MapInput } from '../sim/replicated-map.js';
import type { SimGroup } from './groups.js';
import type { MultiOperation, MultiReadKind } from './plan.js';
import type { MultiSimulation } from './simulation.js';

/** What a client asks of a node. */
export interface ClientRequest {
  readonly group: SimGroup;
  readonly input: MapInput;
  readonly read: MultiReadKind;
  /** Of a write, or of a read by way of the log. */
  readonly write: { readonly identity: RequestIdentity; readonly padding: number } | undefined;
}

/** `retry`: nothing is known to have happened; ask again, maybe at `leader`. */
export interface ClientReply {
  readonly result: 'ok' | 'retry';
  readonly output: number;
  /** Number of the machine; 0: unknown. */
  readonly leader: number;
}

interface Current {
  readonly group: SimGroup;
  readonly input: MapInput;
  readonly request: OutcomeRequest | undefined;
  /** A read that finds no lease turns to `index`. */
  read: MultiReadKind;
  readonly callAt: number;
  readonly giveUpAtMs: number;
  readonly padding: number;
}

const ANSWER_MS_MIN = 150;
const ANSWER_MS_MAX = 1500;
const GIVE_UP_MS_MIN = 1000;
const GIVE_UP_MS_MAX = 6000;

export class MultiClient {
  readonly completed: Record<MultiReadKind | 'write', number> = { lease: 0, index: 0, follower: 0, log: 0, write: 0 };
  /** Groups that it has yet to get an answer from, after the faults. */
  readonly #asked: SimGroup[] = [];
  readonly #sim: MultiSimulation;
  readonly #operations: readonly MultiOperation[];
  readonly #sessions = new Map<SimGroup, OutcomeSession>();
  /** Where the leaders were. */
  readonly #targets = new Map<SimGroup, number>();
  /** Last values seen, for compare-and-set. */
  readonly #seen = new Map<string, number>();
  #at = 0;
  #current: Current | undefined;
  #attempt = 0;
  /** Name in the history. */
  #process: number;
  #values = 0;

  constructor(
    readonly id: number,
    sim: MultiSimulation,
    operations: readonly MultiOperation[],
  ) {
    this.#sim = sim;
    this.#operations = operations;
    this.#process = id;
  }

  /** Operations of the plan that were begun. */
  get begun(): number {
    return this.#at;
  }

  /** Whether it has done what was asked of it after the faults. */
  get isDone(): boolean {
    return this.#current === undefined && this.#asked.length === 0;
  }

  start(): void {
    this.#think();
  }

  /** After the faults: operations that must be answered. */
  ask(groups: readonly SimGroup[]): void {
    this.#asked.push(...groups);
    if (this.#current === undefined) this.#think();
  }

  #think(): void {
    const attempt = ++this.#attempt;
    const operation = this.#next();
    if (operation === undefined) return;
    this.#sim.schedule(operation.thinkMs, 0, () => {
      if (attempt === this.#attempt) this.#begin();
    });
  }

  #next(): (MultiOperation & { readonly of: SimGroup }) | undefined {
    const { healed, groups, rng, config } = this.#sim;
    if (!healed) {
      const operation = this.#operations[this.#at];
      return operation && { ...operation, of: [...groups.values()][operation.group % groups.size]! };
    }
    const of = this.#asked[0];
    if (of === undefined) return undefined;
    const f = rng.chance(0.6) ? 'put' : 'get';
    const read = rng.pick(['lease', 'index', 'follower'] as const);
    return { f, key: rng.int(config.keys), read, thinkMs: 5, pick: rng.uint32(), group: 0, of };
  }

  #begin(): void {
    const { rng, nowMs, stats, config, healed, step } = this.#sim;
    const operation = this.#next();
    if (operation === undefined) return;
    if (!healed) this.#at++;
    const { f, key, read, pick, of: group } = operation;
    const value = f === 'put' || f === 'cas' ? this.id * 1_000_000 + ++this.#values : 0;
    const expected = f === 'cas' ? (this.#seen.get(`${group.id} ${key}`) ?? 0) : 0;
    stats.operations++;
    this.#current = {
      group,
      input: { f, key, value, expected },
      request: f !== 'get' || read === 'log' ? this.#session(group).request(new Uint8Array(1)) : undefined,
      read,
      callAt: step,
      giveUpAtMs: healed ? Infinity : nowMs + GIVE_UP_MS_MIN + rng.next() * (GIVE_UP_MS_MAX - GIVE_UP_MS_MIN),
      padding: config.paddingMax === 0 ? 0 : pick % config.paddingMax,
    };
    this.#try(this.#targets.get(group) ?? 0);
  }

  #session(group: SimGroup): OutcomeSession {
    let session = this.#sessions.get(group);
    if (session === undefined) this.#sessions.set(group, (session = new OutcomeSession(this.#sim.rng.bytes(16))));
    return session;
  }

  /** @param leader machine that is said to lead; 0: unknown */
  #try(leader: number): void {
    const { rng, nowMs, wires, machines } = this.#sim;
    const current = this.#current!;
    if (nowMs >= current.giveUpAtMs) {
      this.#giveUp();
      return;
    }
    const attempt = ++this.#attempt;
    const { group, input, read, request, padding } = current;
    const isAnyone = leader === 0 || read === 'follower' || rng.chance(0.05);
    const hosts = [...group.replicas.values()].filter(({ retired }) => !retired);
    const target = isAnyone && hosts.length > 0 ? rng.pick(hosts).machine : (machines[leader - 1] ?? machines[0]!);
    const write = request && { identity: request.identity(Math.floor(nowMs)), padding };
    wires.toMachine(this.id, target.number, () => {
      target.run(() => {
        const { process } = target;
        process?.serve({ group, input, read, write }, (reply) => {
          wires.toClient(target.number, this.id, () => this.#onReply(attempt, target.number, reply));
        });
      });
    });
    this.#retryAfter(ANSWER_MS_MIN + rng.next() * (ANSWER_MS_MAX - ANSWER_MS_MIN), 0);
  }

  #retryAfter(delayMs: number, leader: number): void {
    const attempt = this.#attempt;
    this.#sim.schedule(delayMs, 0, () => {
      if (attempt === this.#attempt && this.#current !== undefined) this.#try(leader);
    });
  }

  #giveUp(): void {
    const { input, request, callAt, group } = this.#current!;
    this.#current = undefined;
    this.#sim.stats.givenUp++;
    request?.resolve();
    if (request !== undefined && input.f !== 'get') {
      this.#record(group, { process: this.#process, input, output: UNKNOWN, callAt });
      this.#sim.stats.unknown++;
      this.#process += 1000;
    }
    this.#think();
  }

  #onReply(attempt: number, from: number, { result, output, leader }: ClientReply): void {
    const current = this.#current;
    if (current === undefined || attempt !== this.#attempt) return;
    const { group, input, request, read, callAt } = current;
    if (result === 'retry') {
      this.#attempt++;
      if (read === 'lease' && leader === from) current.read = 'index';
      this.#retryAfter(leader === 0 ? 20 + this.#sim.rng.int(150) : 2, leader);
      return;
    }
    this.#current = undefined;
    request?.resolve();
    this.#targets.set(group, from);
    this.#record(group, { process: this.#process, input, output, callAt, returnAt: this.#sim.step });
    this.#seen.set(`${group.id} ${input.key}`, request === undefined ? output : afterwards(input, output));
    this.completed[input.f === 'get' ? read : 'write']++;
    if (this.#sim.healed && this.#asked[0] === group) this.#asked.shift();
    this.#think();
  }

  #record(group: SimGroup, operation: Operation<MapInput, number>): void {
    const { history, trace } = this.#sim;
    history.push({ group: group.id, operation });
    trace.add(typeof operation.output === 'number' ? operation.output : -1);
    if (!trace.recording) return;
    const { f, key, value, expected } = operation.input;
    const args = f === 'put' ? ` = ${value}` : f === 'cas' ? ` ${expected} -> ${value}` : '';
    const output = operation.output === UNKNOWN ? 'unknown' : String(operation.output);
    this.#sim.line(1000 + this.id - 1, `group ${group.id}: ${f} key ${key}${args}: ${output}`);
  }

  /** For people. */
  describe(): string {
    if (this.#current === undefined) return `client ${this.id}: idle, ${this.#asked.length} to do`;
    const { group, input } = this.#current;
    return `client ${this.id}: ${input.f} key ${input.key} of group ${group.id}`;
  }
}

/** What the key holds after an operation that was answered so. */
function afterwards({ f, value, expected }: MapInput, before: number): number {
  if (f === 'put') return value;
  if (f === 'delete') return 0;
  return f === 'cas' && before === expected ? value : before;
}
