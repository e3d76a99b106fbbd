// The state machine of the simulation: a few keys, and for every client the outcomes of its writes, so that a write that
// is retried takes effect once.
//
// A write carries (client, sequence, floor). Everything of that client below the floor is resolved: outcomes below it
// are dropped, and a write below it is refused, since nobody could tell whether it has been done already. Values are
// integers; 0 stands for "absent". Every operation answers with the value before it, which lets the checker see most.
import { type SequentialModel, UNKNOWN } from 'nori-testkit';

export type MapFunction = 'get' | 'put' | 'delete' | 'cas';

/** One operation on the map. */
export interface MapInput {
  readonly f: MapFunction;
  readonly key: number;
  /** Of `put` and `cas`. */
  readonly value: number;
  /** Of `cas`: it writes if the key holds this. */
  readonly expected: number;
}

/** An operation as a log entry. */
export interface Command extends MapInput {
  readonly client: number;
  readonly sequence: number;
  readonly floor: number;
}

/** Outcome of a write that was below its client's floor. */
export const REFUSED = -1;

const FUNCTIONS: readonly MapFunction[] = ['get', 'put', 'delete', 'cas'];
const COMMAND_BYTES = 26;

/** @param padding bytes to add, so that entries are of many sizes */
export function encodeCommand(command: Command, padding: number): Uint8Array {
  const bytes = new Uint8Array(COMMAND_BYTES + padding);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FUNCTIONS.indexOf(command.f));
  view.setUint8(1, command.key);
  view.setUint32(2, command.client);
  view.setUint32(6, command.sequence);
  view.setUint32(10, command.floor);
  view.setUint32(14, command.value);
  view.setUint32(18, command.expected);
  // Padding that differs, so that torn entries are told apart.
  bytes.fill(command.value & 0xff, 22);
  return bytes;
}

/** An entry that does nothing, by its length. */
export function isFiller(data: Uint8Array): boolean {
  return data.length < COMMAND_BYTES;
}

export function decodeCommand(bytes: Uint8Array): Command {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    f: FUNCTIONS[view.getUint8(0)]!,
    key: view.getUint8(1),
    client: view.getUint32(2),
    sequence: view.getUint32(6),
    floor: view.getUint32(10),
    value: view.getUint32(14),
    expected: view.getUint32(18),
  };
}

interface Session {
  floor: number;
  /** By sequence, ascending: (sequence, outcome) pairs, flat. */
  outcomes: number[];
}

export class ReplicatedMap {
  readonly #values: number[] = [];
  /** In the order in which clients first appear in the log, which is the same everywhere. */
  readonly #sessions = new Map<number, Session>();
  #hash = 0;

  /** Of all that is in it; equal states have equal hashes. */
  get hash(): number {
    return this.#hash >>> 0;
  }

  get(key: number): number {
    return this.#values[key] ?? 0;
  }

  /** Applies a command, once. @returns the value before it, or REFUSED */
  apply(command: Command): number {
    const { client, sequence, floor } = command;
    let session = this.#sessions.get(client);
    if (session === undefined) {
      session = { floor: 0, outcomes: [] };
      this.#sessions.set(client, session);
    }
    if (floor > session.floor) {
      this.#hash ^= mix(client, session.floor, 3) ^ mix(client, floor, 3);
      session.floor = floor;
      const { outcomes } = session;
      let dropped = 0;
      while (dropped < outcomes.length && outcomes[dropped]! < floor) {
        this.#hash ^= mix(client, outcomes[dropped]!, outcomes[dropped + 1]! + 4);
        dropped += 2;
      }
      if (dropped > 0) outcomes.splice(0, dropped);
    }
    if (sequence < session.floor) return REFUSED;
    for (let i = 0; i < session.outcomes.length; i += 2) {
      if (session.outcomes[i] === sequence) return session.outcomes[i + 1]!;
    }
    const before = this.get(command.key);
    this.#write(command.key, nextValue(before, command));
    // Outcomes of one client come in the order of its sequences: it does one thing at a time.
    let at = session.outcomes.length;
    while (at > 0 && session.outcomes[at - 2]! > sequence) at -= 2;
    session.outcomes.splice(at, 0, sequence, before);
    this.#hash ^= mix(client, sequence, before + 4);
    return before;
  }

  #write(key: number, value: number): void {
    this.#hash ^= mix(key, this.get(key), 1) ^ mix(key, value, 1);
    while (this.#values.length <= key) this.#values.push(0);
    this.#values[key] = value;
  }

  /** All of it as bytes: keys, then sessions. */
  serialize(): Uint8Array {
    const words: number[] = [this.#values.length, ...this.#values, this.#sessions.size];
    for (const [client, { floor, outcomes }] of this.#sessions) words.push(client, floor, outcomes.length, ...outcomes);
    return new Uint8Array(new Uint32Array(words).buffer);
  }

  static restore(bytes: Uint8Array): ReplicatedMap {
    const map = new ReplicatedMap();
    const words = new Uint32Array(bytes.slice().buffer);
    let at = 0;
    for (let key = 0, keys = words[at++] ?? 0; key < keys; key++) map.#write(key, words[at++]!);
    for (let left = words[at++] ?? 0; left > 0; left--) {
      const client = words[at]!;
      const floor = words[at + 1]!;
      const outcomes = [...words.subarray(at + 3, at + 3 + words[at + 2]!)];
      at += 3 + outcomes.length;
      map.#sessions.set(client, { floor, outcomes });
      if (floor > 0) map.#hash ^= mix(client, 0, 3) ^ mix(client, floor, 3);
      for (let i = 0; i < outcomes.length; i += 2) map.#hash ^= mix(client, outcomes[i]!, outcomes[i + 1]! + 4);
    }
    return map;
  }
}

function nextValue(before: number, { f, value, expected }: MapInput): number {
  if (f === 'put') return value;
  if (f === 'delete') return 0;
  return f === 'cas' && before === expected ? value : before;
}

function mix(a: number, b: number, c: number): number {
  let h = Math.imul(a + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x165667b1, 0xc2b2ae35) ^ Math.imul(c, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return h ^ (h >>> 15);
}

/** What the checker holds a history against: each key is a register, and every operation tells the value before it. */
export const mapModel: SequentialModel<number, MapInput, number> = {
  init: () => 0,
  step: (state, input, output) => (output === UNKNOWN || output === state ? nextValue(state, input) : undefined),
  key: (state) => state,
  partition: ({ key }) => key,
  isRead: ({ f, expected }, output) => f === 'get' || (f === 'cas' && output !== UNKNOWN && output !== expected),
  describe: ({ f, key, value, expected }, output) => {
    const args = f === 'put' ? `, ${value}` : f === 'cas' ? `, ${expected} to ${value}` : '';
    return `${f}(${key}${args}) -> ${output === UNKNOWN ? 'unknown' : output}`;
  },
};
