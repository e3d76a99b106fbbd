// Clusters of three and five real nodes under load: killed, stopped, cut off from each other, with disks that stall, fail and fill up and
// clocks that jump. What clients saw must be linearizable, and what was acknowledged must be there in the end.
//
//   NORI_CLUSTER_MINUTES=60 npx vitest run packages/norikv-server/test/cluster/misfortunes.test.ts    for an hour
//   NORI_SEED=1 ...             the misfortunes of a failure again; what comes of them depends on timing
//   NORI_HISTORY_DIR=dir ...    leaves what clients saw there, as JSON lines, for other checkers
//   NORI_VERBOSE=1 ...          tells what happened, also when all is well
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { Load } from './load.js';
import { misfortunes } from './misfortunes.js';
import { ServerCluster } from './server-cluster.js';
import { pause } from './store-client.js';

const MINUTES = Number(process.env.NORI_CLUSTER_MINUTES ?? 0);
const FAULTS_MS = 15_000;
/** When all is well again, everything must be answered within this time, even on a busy machine. */
const RECOVERY_MS = 120_000;

/** One round: load, misfortunes meanwhile, and in the end all as it should be. */
const round = async (cluster: ServerCluster, rng: Rng, name: string, tell: (what: string) => void): Promise<void> => {
  const load = new Load(cluster, rng.fork(), name);
  const untilMs = performance.now() + FAULTS_MS;
  let isHealed = false;
  const bad = misfortunes(cluster, rng.fork(), untilMs, tell).then(async () => {
    await cluster.heal();
    tell('healed');
    isHealed = true;
  });
  const end = new AbortController();
  const late = bad.then(async () => {
    for (let waitedMs = 0; waitedMs < RECOVERY_MS; waitedMs += 500) {
      if (end.signal.aborted) return new Promise<never>(() => {});
      await pause(500);
    }
    throw new Error(`No recovery within ${RECOVERY_MS} ms: ${load.summary()}\n${cluster.logs()}`);
  });
  late.catch(() => {});
  try {
    const running = load.run(() => isHealed && load.isEnough());
    await Promise.race([Promise.all([bad, running]), cluster.broken, late]);
    tell('enough');
    await Promise.race([load.readEverything(), cluster.broken, late]);
    tell(load.summary());
    load.judge();
  } finally {
    end.abort();
    await load.close();
  }
};

test.each([3, 5])(
  '%i nodes answer linearizably and lose nothing, whatever befalls them',
  {
    timeout: 300_000 + MINUTES * 60_000,
  },
  async (nodes) => {
    const seed = seedFromEnv();
    const rng = new Rng(seed);
    const cluster = await ServerCluster.start({ nodes });
    const told: string[] = [];
    const startMs = performance.now();
    const tell = (what: string) => told.push(`${Math.round(performance.now() - startMs)} ms: ${what}`);
    let rounds = 0;
    try {
      do {
        told.length = 0;
        await round(cluster, rng, `${nodes}-${rounds++}`, tell);
        if (process.env.NORI_VERBOSE !== undefined) console.log(`seed ${seed}, round ${rounds}\n${told.join('\n')}`);
      } while (performance.now() - startMs < (MINUTES * 60_000) / 2);
      expect(rounds).toBeGreaterThan(0);
    } catch (error) {
      const text = `NORI_SEED=${seed}, ${nodes} nodes, round ${rounds}\n${told.join('\n')}\n${(error as Error).message}`;
      throw new Error(text, { cause: error });
    } finally {
      await cluster.close();
    }
  },
);
