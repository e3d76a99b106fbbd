// Clusters of three and five real nodes under load: killed, stopped, cut off from each other and from clients, with disks that stall, fail
// and fill up and clocks that jump. What clients saw must be linearizable, and what was acknowledged must be there in the end.
// README.md has how to run this for hours, how to run a failure again, and what is left for other checkers.
import { Rng, seedFromEnv } from 'nori-testkit';
import { afterEach, expect, test } from 'vitest';
import { keepFailure, keepHistory } from './judge.js';
import { Load } from './load.js';
import { misfortunes } from './misfortunes.js';
import { ServerCluster } from './server-cluster.js';
import { pause } from './store-client.js';

const SOAK_MINUTES = Number(process.env.NORI_SOAK_MINUTES ?? 0);
/** Sizes of clusters, one after the other; a soak divides its time among them. */
const NODES = (process.env.NORI_SOAK_NODES ?? '3,5').split(',').map(Number);
const FAULTS_MS = 20_000;
/** When all is well again, everything must be answered within this time, even on a busy machine. */
const RECOVERY_MS = 120_000;
/** After so many rounds a soak goes on with a new cluster. */
const ROUNDS_OF_A_CLUSTER = 20;

let cluster: ServerCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

type Tell = (what: string) => void;

/** One round: load, misfortunes meanwhile, and in the end all as it should be. */
const round = async (one: ServerCluster, rng: Rng, load: Load, tell: Tell): Promise<void> => {
  const untilMs = performance.now() + FAULTS_MS;
  let isHealed = false;
  let isOver = false;
  const bad = misfortunes(one, rng, untilMs, tell).then(async () => {
    await one.heal();
    tell('healed');
    isHealed = true;
  });
  const late = bad.then(async () => {
    for (let waitedMs = 0; waitedMs < RECOVERY_MS; waitedMs += 500) {
      if (isOver) return new Promise<never>(() => {});
      await pause(500);
    }
    throw new Error(`No recovery within ${RECOVERY_MS} ms: ${load.summary()}`);
  });
  late.catch(() => {});
  try {
    await Promise.race([Promise.all([bad, load.run(() => isHealed && load.isEnough())]), one.broken, late]);
    tell('enough');
    await Promise.race([load.readEverything(), one.broken, late]);
    tell(load.summary());
    load.judge();
  } finally {
    isOver = true;
    await load.close();
  }
};

/** A round that leaves its history. @throws Error that says how to run it again */
const told = async (one: ServerCluster, seed: number, name: string): Promise<void> => {
  const startMs = performance.now();
  const happened = [`NORI_SEED=${seed}, ${one.numbers.length} nodes`];
  const rng = new Rng(seed);
  const load = new Load(one, rng.fork(), name);
  try {
    await round(one, rng, load, (what) => happened.push(`${Math.round(performance.now() - startMs)} ms: ${what}`));
    if (process.env.NORI_VERBOSE !== undefined) console.log(happened.join('\n'));
    keepHistory(name, load.history, happened.join('\n'));
  } catch (error) {
    const text = `${happened.join('\n')}\n${(error as Error).message}`;
    const path = keepFailure(name, load.history, `${text}\n${one.logs()}`);
    throw new Error(`${text}\nWhat clients saw is in ${path}, what nodes said beside it.`, { cause: error });
  }
};

test.each(NODES)(
  '%i nodes answer linearizably and lose nothing, whatever befalls them',
  {
    timeout: 600_000 + SOAK_MINUTES * 60_000,
  },
  async (nodes) => {
    const seed = seedFromEnv();
    const untilMs = performance.now() + (SOAK_MINUTES * 60_000) / NODES.length;
    let rounds = 0;
    do {
      if (rounds % ROUNDS_OF_A_CLUSTER === 0) {
        await cluster?.close();
        cluster = await ServerCluster.start({ nodes, clientProxies: true });
      }
      await told(cluster!, seed + rounds, `${nodes}-nodes-seed-${seed + rounds}`);
      rounds++;
    } while (performance.now() < untilMs);
    if (SOAK_MINUTES > 0) console.log(`${nodes} nodes: ${rounds} rounds from NORI_SEED=${seed} on`);
    expect(rounds).toBeGreaterThan(0);
  },
);
