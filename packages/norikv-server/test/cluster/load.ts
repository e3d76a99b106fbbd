// Load on few keys that many callers fight for, beside keys that are written once, and what is asked of it in the end: what was
// seen is linearizable, what was acknowledged is there, and all nodes agree.

import type { Rng } from 'nori-testkit';
import type { NoriClient } from 'norikv-client';
import { expect } from 'vitest';
import { expectLinearizable, historyOf } from './judge.js';
import type { ServerCluster } from './server-cluster.js';
import { StaleReader } from './stale-reader.js';
import { freshValue, Notes, pause, StoreClient, type StoreOperation } from './store-client.js';

const CALLERS = 12;
const CLIENTS = 3;
/** Nodes that keep a key. */
const REPLICAS = 3;
/** Keys of one shard, that are scanned together. */
const FAMILIES = 2;
const KEYS_PER_FAMILY = 4;
const KEYS_ELSEWHERE = 4;
/** Of so many calls that are answered one may have an outcome that nobody knows. */
const UNKNOWN_SHARE = 20;

export interface Counts {
  readonly answered: number;
  readonly unknown: number;
  readonly failed: number;
  readonly written: number;
  readonly leastOfAKey: number;
}

interface Family {
  readonly prefix: string;
  readonly keys: readonly string[];
}

export class Load {
  readonly notes = new Notes();
  readonly stale: StaleReader;
  readonly #name: string;
  readonly #cluster: ServerCluster;
  readonly #rng: Rng;
  readonly #families: readonly Family[];
  /** Keys of other shards, each of its own as a rule. */
  readonly #elsewhere: readonly string[];
  readonly #keys: readonly string[];
  readonly #callers: StoreClient[] = [];
  readonly #clients: NoriClient[] = [];
  /** Keys that were written once, with their values, acknowledged. */
  readonly #once = new Map<string, string>();
  #scans = 0;

  /** @param name begins all keys: each load has its own */
  constructor(cluster: ServerCluster, rng: Rng, name: string) {
    this.#name = name;
    this.#cluster = cluster;
    this.#rng = rng;
    this.stale = new StaleReader(cluster);
    this.#families = Array.from({ length: FAMILIES }, (_, f) => {
      const prefix = `{${name}-${f}}`;
      return { prefix, keys: Array.from({ length: KEYS_PER_FAMILY }, (_, i) => `${prefix}${i}`) };
    });
    this.#elsewhere = Array.from({ length: KEYS_ELSEWHERE }, (_, i) => `${name}/${i}`);
    this.#keys = [...this.#families.flatMap(({ keys }) => keys), ...this.#elsewhere];
  }

  async run(isDone: () => boolean): Promise<void> {
    for (let i = 0; i < CLIENTS; i++) this.#clients.push(await this.#cluster.client());
    for (let i = 0; i < CALLERS; i++) {
      this.#callers.push(new StoreClient(this.#clients[i % CLIENTS]!, this.notes, i + 1));
    }
    const calls = this.#callers.map((caller) => this.#call(caller, this.#rng.fork(), isDone));
    await Promise.all([...calls, this.stale.run(this.#rng.fork(), this.#keys, isDone)]);
  }

  async #call(caller: StoreClient, rng: Rng, isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      const key = rng.pick(this.#keys);
      const dice = rng.int(100);
      if (dice < 22) await caller.get(key);
      else if (dice < 37) await caller.get(key, 'linearizable');
      else if (dice < 57) await caller.put(key);
      else if (dice < 77) await caller.compareAndSet(key);
      else if (dice < 83) await caller.delete(key);
      else if (dice < 90) await this.#writeOnce(caller);
      else await this.#scan(caller, rng);
      await pause(rng.int(12));
    }
  }

  /** Of one shard, or of all in which there are keys of this load. */
  async #scan(caller: StoreClient, rng: Rng): Promise<void> {
    const everywhere = { prefix: `${this.#name}/`, keys: this.#elsewhere };
    const { prefix, keys } = rng.pick([...this.#families, everywhere]);
    if (await caller.scan(prefix, keys, rng.chance(0.5) ? 'lease' : 'linearizable')) this.#scans++;
  }

  async #writeOnce(caller: StoreClient): Promise<void> {
    const value = freshValue();
    const key = `${this.#name} once/${value}`;
    if ((await caller.put(key, value)) === true) this.#once.set(key, value);
  }

  get history(): StoreOperation[] {
    return historyOf(...this.#callers);
  }

  count(): Counts {
    const perKey = new Map(this.#keys.map((key) => [key, 0]));
    let [answered, unknown, failed, written] = [0, 0, 0, 0];
    for (const { input, output } of this.history) {
      if (typeof output === 'symbol') {
        if (output.description === 'unknown') unknown++;
        else failed++;
        continue;
      }
      answered++;
      if (input.f !== 'get' && output !== false) written++;
      if (perKey.has(input.key)) perKey.set(input.key, perKey.get(input.key)! + 1);
    }
    return { answered, unknown, failed, written, leastOfAKey: Math.min(...perKey.values()) };
  }

  /** Whether the history says something. */
  isEnough(): boolean {
    const { answered, written, leastOfAKey } = this.count();
    return answered > 1500 && written > 400 && leastOfAKey > 40 && this.#scans > 30 && this.stale.answered > 50;
  }

  /** When all is well again: everything is answered, what was acknowledged is there, at all nodes. */
  async readEverything(): Promise<void> {
    const reader = new StoreClient(this.#clients[0]!, this.notes, CALLERS + 1);
    reader.timeoutMs = 30_000;
    this.#callers.push(reader);
    for (const key of this.#keys) {
      const value = await reader.get(key, 'linearizable');
      expect(value, `${key} in the end`).not.toBeUndefined();
      await this.#settled(key, value!);
    }
    for (const [key, value] of this.#once) expect(await reader.get(key), `${key}, written once`).toBe(value);
    for (const [key, value] of [...this.#once].slice(-50)) await this.#settled(key, value);
  }

  /** All nodes that keep the key have what the leader has, after a while; those that do not keep it say nothing of it. */
  async #settled(key: string, value: string | null): Promise<void> {
    for (let tries = 0; ; tries++) {
      const found = await Promise.all(this.#cluster.numbers.map((number) => this.stale.read(number, key)));
      const same = found.filter((each) => each === value).length;
      const silent = found.filter((each) => each === undefined).length;
      if (same === REPLICAS && same + silent === found.length) return;
      if (tries > 600) throw new Error(`${key} should be ${value}, and is, from n1 on, ${found.join(', ')}`);
      await pause(50);
    }
  }

  /** @throws Error that says what cannot be */
  judge(): void {
    const history = this.history;
    expectLinearizable(history);
    expect(this.notes.wrong).toEqual([]);
    expect(this.stale.wrong).toEqual([]);
    const written = new Set(history.map(({ input }) => (input.f === 'put' || input.f === 'cas' ? input.value : '')));
    expect([...this.stale.values].filter((value) => !written.has(value))).toEqual([]);
    const { answered, unknown } = this.count();
    expect(unknown, `unknown outcomes, of ${answered} calls that were answered`).toBeLessThan(answered / UNKNOWN_SHARE);
  }

  summary(): string {
    const failures = Object.fromEntries(this.notes.failures);
    return JSON.stringify({
      ...this.count(),
      once: this.#once.size,
      scans: this.#scans,
      stale: this.stale.answered,
      failures,
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}
