// Exactly once: counters that many callers count up end at the number of writes that were done, while leaders are killed and while
// answers get lost on their way to clients, which then write again.
import { Rng, seedFromEnv } from 'nori-testkit';
import { afterEach, expect, test } from 'vitest';
import { NumberCounter, SlotCounter, ToggledKey } from './counting.js';
import { ServerCluster } from './server-cluster.js';
import { pause } from './store-client.js';

const CALLERS = 8;
const COUNTERS = 3;
const INCREMENTS_OF_A_CALLER = 60;
const KILLS = 3;
const RETRIES_LEAST = 20;
/** Increments of a caller within which a mistake must be found. Nearly always the first lost answers show it. */
const INCREMENTS_OF_A_MISTAKE = 400;

let cluster: ServerCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

interface Counted {
  readonly retries: number;
  readonly kills: number;
}

/** @throws Error when a count is wrong */
const count = async (one: ServerCluster, rng: Rng, increments: number, kills: number): Promise<Counted> => {
  const clients = await Promise.all([one.client(), one.client(), one.client()]);
  const names = Array.from({ length: COUNTERS }, (_, i) => `counter-${i}`);
  const shared = names.flatMap((name) => [new NumberCounter(name), new SlotCounter(name)]);
  const own = Array.from({ length: CALLERS }, (_, i) => new ToggledKey(`caller-${i}`));
  let running = CALLERS;
  let killed = 0;
  const isDone = () => running === 0;

  const call = async (caller: number, dice: Rng): Promise<void> => {
    const client = clients[caller % clients.length]!;
    for (let i = 0; i < increments; i++) {
      await (dice.chance(0.25) ? own[caller]! : dice.pick(shared)).increment(client);
      await pause(dice.int(60));
    }
    running--;
  };
  /** All lead some of the counters' shards. */
  const killing = async (dice: Rng): Promise<void> => {
    while (killed < kills || (kills > 0 && !isDone())) {
      await pause(dice.range(1000, 2500));
      const victim = dice.pick(one.numbers);
      await one.kill(victim);
      killed++;
      await pause(dice.range(100, 2000));
      await one.startNode(victim);
    }
  };
  /** Breaks connections whose answers are on their way: requests have been carried out, and nobody knows. */
  const losing = async (dice: Rng): Promise<void> => {
    while (!isDone()) {
      await pause(dice.range(50, 400));
      const link = one.clientLink(dice.pick(one.numbers));
      link.delayMs = 20;
      await pause(dice.range(20, 60));
      link.reset();
      link.delayMs = 0;
    }
  };

  const calls = Array.from({ length: CALLERS }, (_, i) => call(i, rng.fork()));
  try {
    await Promise.race([Promise.all([...calls, killing(rng.fork()), losing(rng.fork())]), one.broken]);
  } finally {
    running = 0;
  }
  for (const each of [...shared, ...own]) await each.check(clients[0]!);
  return { retries: clients.reduce((sum, client) => sum + client.stats().retries, 0), kills: killed };
};

test('counters that are counted up across the deaths of leaders end at the right value', {
  timeout: 500_000,
}, async () => {
  const seed = seedFromEnv();
  const one = (cluster = await ServerCluster.start({ nodes: 3, clientProxies: true }));
  try {
    const { retries, kills } = await count(one, new Rng(seed), INCREMENTS_OF_A_CALLER, KILLS);
    if (process.env.NORI_VERBOSE !== undefined) console.log(`seed ${seed}: ${retries} retries, ${kills} kills`);
    expect(retries).toBeGreaterThan(RETRIES_LEAST);
    expect(kills).toBeGreaterThanOrEqual(KILLS);
  } catch (error) {
    throw new Error(`NORI_SEED=${seed}\n${(error as Error).message}\n${one.logs()}`, { cause: error });
  }
});

test('counters are wrong when nodes carry out retries as if they were new', { timeout: 500_000 }, async () => {
  const seed = seedFromEnv();
  const one = (cluster = await ServerCluster.start({ nodes: 3, clientProxies: true, bug: 'retries forgotten' }));
  await expect(count(one, new Rng(seed), INCREMENTS_OF_A_MISTAKE, 0), `NORI_SEED=${seed}`).rejects.toThrow(
    /given away twice|to be deleted|counter-|caller-/,
  );
});
