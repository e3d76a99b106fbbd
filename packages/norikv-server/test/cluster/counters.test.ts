// Exactly once: a counter that many callers count up with retried writes, while nodes are killed, ends at the number of writes that were
// done. Blind writes count through the log of the values they wrote; increments by compare-and-set through the counter itself.
import { Rng, seedFromEnv } from 'nori-testkit';
import { NoriError } from 'norikv-client';
import { afterEach, expect, test } from 'vitest';
import { ServerCluster } from './server-cluster.js';
import { pause } from './store-client.js';

const CALLERS = 8;
const COUNTERS = 4;
const INCREMENTS_OF_A_CALLER = 60;
const KILLS = 3;
/** Longer than any misfortune: every write ends with an outcome that is known. */
const PATIENCE_MS = 120_000;

let cluster: ServerCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

const number = (bytes: Uint8Array | undefined): number =>
  bytes === undefined ? 0 : Number(new TextDecoder().decode(bytes));

test('counters that are counted up across the deaths of leaders end at the right value', {
  timeout: 300_000,
}, async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const one = (cluster = await ServerCluster.start({ nodes: 3 }));
  const clients = await Promise.all([one.client(), one.client()]);
  const keys = Array.from({ length: COUNTERS }, (_, i) => `counter-${i}`);
  const done = new Map(keys.map((key) => [key, 0]));
  const unknown: string[] = [];
  let running = CALLERS;

  /** Reads and writes until the condition holds: a mismatch says for certain that nothing was written. */
  const increment = async (client: (typeof clients)[number], key: string): Promise<void> => {
    for (;;) {
      const found = await client.get(key, { timeoutMs: PATIENCE_MS });
      const condition = found === undefined ? { ifAbsent: true } : { ifVersion: found.version };
      try {
        await client.put(key, String(number(found?.value) + 1), { ...condition, timeoutMs: PATIENCE_MS });
        done.set(key, done.get(key)! + 1);
        return;
      } catch (error) {
        const code = error instanceof NoriError ? error.code : '';
        if (code === 'OUTCOME_UNKNOWN') unknown.push(`${key}: ${(error as Error).message}`);
        // Nothing was written, or that is not known and is counted as such.
        if (code !== 'VERSION_MISMATCH' && code !== 'ALREADY_EXISTS' && code !== 'OUTCOME_UNKNOWN') throw error;
        if (code === 'OUTCOME_UNKNOWN') return;
      }
    }
  };

  const call = async (caller: number, own: Rng): Promise<void> => {
    const client = clients[caller % clients.length]!;
    for (let i = 0; i < INCREMENTS_OF_A_CALLER; i++) {
      await increment(client, own.pick(keys));
      await pause(own.int(60));
    }
    running--;
  };

  /** Kills the node that leads most of the counters' shards, again and again. */
  const kill = async (own: Rng): Promise<void> => {
    for (let kills = 0; kills < KILLS || running > 0; kills++) {
      await pause(own.range(1500, 3500));
      const victim = own.pick(one.numbers);
      await one.kill(victim);
      await pause(own.range(100, 2500));
      await one.startNode(victim);
    }
  };

  try {
    const calls = Array.from({ length: CALLERS }, (_, i) => call(i, rng.fork()));
    await Promise.race([Promise.all([...calls, kill(rng.fork())]), one.broken]);
    for (const key of keys) {
      const value = number(
        (await clients[0]!.get(key, { consistency: 'linearizable', timeoutMs: PATIENCE_MS }))?.value,
      );
      const least = done.get(key)!;
      const most = least + unknown.filter((text) => text.startsWith(`${key}:`)).length;
      expect(value, key).toBeGreaterThanOrEqual(least);
      expect(value, key).toBeLessThanOrEqual(most);
    }
    // Few at most: only an outcome that was forgotten, or a deadline, leaves one open.
    expect(unknown).toEqual([]);
  } catch (error) {
    throw new Error(`NORI_SEED=${seed}\n${(error as Error).message}\n${one.logs()}`, { cause: error });
  }
});
