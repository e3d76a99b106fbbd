// Reads that need not be fresh, of one node after the other, over HTTP, which no router changes. Their own rule: a node answers with
// what was written once, and never with something older than it has answered before while its process lives.
import type { Rng } from 'nori-testkit';
import type { ServerCluster } from './server-cluster.js';

interface Seen {
  readonly life: number;
  readonly term: number;
  readonly index: number;
}

export class StaleReader {
  /** Values that were read. */
  readonly values = new Set<string>();
  readonly wrong: string[] = [];
  answered = 0;
  readonly #cluster: ServerCluster;
  readonly #seen = new Map<string, Seen>();

  constructor(cluster: ServerCluster) {
    this.#cluster = cluster;
  }

  /** Resolves with what a node says; null: there is no such key; undefined: it did not answer. */
  async read(number: number, key: string, timeoutMs = 2000): Promise<string | null | undefined> {
    const life = this.#cluster.lives[number]!;
    let response: Response;
    let value: string;
    try {
      const path = `${this.#cluster.http(number)}/kv/${encodeURIComponent(key)}?consistency=stale_ok`;
      response = await fetch(path, { signal: AbortSignal.timeout(timeoutMs) });
      value = await response.text();
    } catch {
      return undefined;
    }
    if (response.status === 404) this.answered++;
    if (response.status !== 200) return response.status === 404 ? null : undefined;
    this.answered++;
    this.values.add(value);
    const [term = 0, index = 0] = (response.headers.get('norikv-version') ?? '').split('.').map(Number);
    const at = `${number}/${key}`;
    const before = this.#seen.get(at);
    if (before !== undefined && before.life === life && (before.term - term || before.index - index) > 0) {
      this.wrong.push(`n${number} has ${value} (${term}.${index}) for ${key} after ${before.term}.${before.index}`);
    }
    // Started anew meanwhile: whose answer it was is not known.
    if (this.#cluster.lives[number] === life) this.#seen.set(at, { life, term, index });
    return value;
  }

  async run(rng: Rng, keys: readonly string[], isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      await this.read(rng.pick(this.#cluster.numbers), rng.pick(keys));
      await new Promise((resolve) => setTimeout(resolve, rng.int(20)));
    }
  }
}
