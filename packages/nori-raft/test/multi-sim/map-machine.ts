// The state machine of the simulation of many groups: a few keys, behind the real `exactlyOnce`. It applies at once or takes its
// time, makes its state durable now and then, and tells the invariants all it does.

import type { Entry, Mark, SnapshotSource, StagedSnapshot, StateMachine } from '../../src/index.js';
import { type ConfState, exactlyOnce, type Outcome } from '../../src/index.js';
import type { MapFunction, MapInput } from '../sim/replicated-map.js';
import type { SimReplica } from './groups.js';
import type { HostProcess } from './host-process.js';

/** What a state machine has made durable. */
export interface MachineDisk {
  state: Uint8Array;
  mark: Mark;
}

const FUNCTIONS: readonly MapFunction[] = ['get', 'put', 'delete', 'cas'];
const COMMAND_BYTES = 10;

export function encodeMapInput({ f, key, value, expected }: MapInput, padding: number): Uint8Array {
  const bytes = new Uint8Array(COMMAND_BYTES + padding).fill(value & 0xff);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FUNCTIONS.indexOf(f));
  view.setUint8(1, key);
  view.setUint32(2, value);
  view.setUint32(6, expected);
  return bytes;
}

/** What a replica begins with that joins a group later: it knows nothing. */
export function blankDisk(config: ConfState | undefined): MachineDisk {
  const nobody: ConfState = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const first = config === undefined ? 0 : 1;
  return { state: new Uint8Array(0), mark: { term: first, index: first, config: config ?? nobody } };
}

const number = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);

/** Wrapped so that requests count once. */
export function countedOnce(machine: MapMachine): StateMachine<Outcome<number>> {
  return exactlyOnce(machine, {
    encodeResult: (result) => new Uint8Array([result >>> 24, result >>> 16, result >>> 8, result]),
    decodeResult: number,
  });
}

export class MapMachine implements StateMachine<number> {
  readonly #process: HostProcess;
  readonly #replica: SimReplica;
  readonly #disk: MachineDisk;
  #values: number[] = [];
  /** Commands applied: tells a state from one in which a command has been applied twice to no effect. */
  #count = 0;
  #lastIndex: number;
  #mark: Mark;
  /** Something is applied that no mark stands for yet. */
  #isBetweenMarks = false;
  #wantsFlush = false;

  constructor(process: HostProcess, replica: SimReplica, disk: MachineDisk) {
    this.#process = process;
    this.#replica = replica;
    this.#disk = disk;
    this.#mark = disk.mark;
    this.#lastIndex = disk.mark.index;
    this.#restore(disk.state);
    this.#flushLater();
  }

  get mark(): Mark {
    return this.#mark;
  }

  /** Of all that is in it. */
  get hash(): number {
    let hash = this.#count;
    for (const value of this.#values) hash = Math.imul(hash ^ (hash >>> 15) ^ value, 0x2c1b3c6d) + 0x9e3779b9;
    return hash >>> 0;
  }

  get(key: number): number {
    return this.#values[key] ?? 0;
  }

  apply(entries: readonly Entry[]): readonly number[] | Promise<readonly number[]> {
    const { sim } = this.#process.machine;
    this.#isBetweenMarks = true;
    const lagMs = this.#process.applyLagMs;
    if (lagMs === 0 && !sim.rng.chance(sim.config.slowApplyRate)) return entries.map((entry) => this.#apply(entry));
    const half = sim.rng.int(entries.length + 1);
    const results = entries.slice(0, half).map((entry) => this.#apply(entry));
    const delayMs = lagMs + sim.rng.next() * sim.config.applyMaxMs;
    return this.#after(delayMs, () => results.concat(entries.slice(half).map((entry) => this.#apply(entry))));
  }

  #apply(entry: Entry): number {
    const { sim, number: machine } = this.#process.machine;
    const { data, index } = entry;
    if (index <= this.#lastIndex)
      sim.fail('apply-order', `Entry ${index} is applied after ${this.#lastIndex}.`, machine);
    this.#lastIndex = index;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const f = FUNCTIONS[view.getUint8(0)];
    const key = view.getUint8(1);
    const before = this.get(key);
    const value = view.getUint32(2);
    while (this.#values.length <= key) this.#values.push(0);
    if (f === 'put' || (f === 'cas' && before === view.getUint32(6))) this.#values[key] = value;
    if (f === 'delete') this.#values[key] = 0;
    this.#count++;
    this.#replica.onApplied(entry);
    return before;
  }

  applied(mark: Mark): void {
    this.#mark = mark;
    this.#isBetweenMarks = false;
    this.#replica.onState(mark);
    if (this.#wantsFlush) this.flush();
  }

  durableIndex(): number {
    return this.#disk.mark.index;
  }

  /** Makes what is applied durable, with its mark, as one: now, or at the next mark. */
  flush(): void {
    this.#wantsFlush = this.#isBetweenMarks;
    if (this.#isBetweenMarks || this.#mark.index <= this.#disk.mark.index) return;
    const attachment = this.#mark.attachment?.();
    const { term, index, config } = this.#mark;
    const state = this.#serialize();
    const { sim } = this.#process.machine;
    void this.#after(sim.rng.next() * sim.config.disk.syncMaxMs, () =>
      this.#store(state, { term, index, config }, attachment),
    );
  }

  #store(state: Uint8Array, mark: Mark, attachment: Uint8Array | undefined): void {
    // A snapshot may have been installed meanwhile.
    if (!this.#process.alive || mark.index <= this.#disk.mark.index) return;
    this.#disk.state = state;
    this.#disk.mark = attachment === undefined ? mark : { ...mark, attachment: () => attachment };
  }

  #flushLater(): void {
    const { sim } = this.#process.machine;
    const delayMs = 2 * sim.rng.next() * sim.config.flushEveryMs;
    void this.#after(delayMs, () => {
      this.flush();
      this.#flushLater();
    });
  }

  snapshot(): SnapshotSource {
    const { term, index, config } = this.#mark;
    const content = this.#serialize();
    const { sim } = this.#process.machine;
    const chunkBytes = 1 + sim.rng.int(1000);
    const wait = () => this.#after(sim.rng.next() * 5, () => undefined);
    async function* read(offset: number): AsyncGenerator<Uint8Array> {
      for (let at = offset; at < content.length; at += chunkBytes) {
        if (sim.rng.chance(0.2)) await wait();
        yield content.subarray(at, at + chunkBytes);
      }
    }
    return { term, index, config, read, release: () => undefined };
  }

  async stage(mark: Mark, chunks: AsyncIterable<Uint8Array>): Promise<StagedSnapshot> {
    const parts: Uint8Array[] = [];
    const { sim } = this.#process.machine;
    for await (const chunk of chunks) {
      parts.push(chunk.slice());
      if (sim.rng.chance(0.2)) await this.#after(sim.rng.next() * 10, () => undefined);
    }
    const state = new Uint8Array(Buffer.concat(parts));
    return {
      install: () => this.#after(sim.rng.next() * sim.config.disk.syncMaxMs, () => this.#install(mark, state)),
      discard: async () => undefined,
    };
  }

  #install(mark: Mark, state: Uint8Array): void {
    if (!this.#process.alive) return;
    const { term, index, config } = mark;
    this.#restore(state);
    this.#mark = { term, index, config };
    this.#lastIndex = index;
    this.#isBetweenMarks = false;
    this.#store(state, { term, index, config }, mark.attachment?.());
    this.#process.machine.sim.stats.installs++;
    this.#replica.onState(mark);
  }

  #serialize(): Uint8Array {
    const { ballastBytes } = this.#process.machine.sim.config;
    const words = [this.#count, ...this.#values];
    const bytes = new Uint8Array(4 + 4 * words.length + ballastBytes);
    const view = new DataView(bytes.buffer);
    [words.length, ...words].forEach((word, i) => {
      view.setUint32(4 * i, word);
    });
    return bytes;
  }

  #restore(state: Uint8Array): void {
    this.#values = [];
    this.#count = 0;
    if (state.length === 0) return;
    const view = new DataView(state.buffer, state.byteOffset, state.length);
    const words = Array.from({ length: view.getUint32(0) }, (_, i) => view.getUint32(4 + 4 * i));
    this.#count = words[0]!;
    this.#values = words.slice(1);
  }

  /** Resolves with what `fn` returns, or never, if the process dies first. */
  #after<T>(delayMs: number, fn: () => T): Promise<T> {
    return new Promise((resolve) => {
      this.#process.clock.setTimer(delayMs, () => resolve(fn()));
    });
  }
}
