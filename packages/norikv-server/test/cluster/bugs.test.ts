// Would the tests see it? Nodes with a mistake put in are found out by what clients see, within a few short rounds.
import { Rng, seedFromEnv } from 'nori-testkit';
import { afterEach, expect, test } from 'vitest';
import { violationOf } from './judge.js';
import { Load } from './load.js';
import { answersLost, type Misfortune, misfortunes, nodeIsCutOff } from './misfortunes.js';
import { ServerCluster } from './server-cluster.js';
import { pause } from './store-client.js';

/** Rounds within which a mistake must be found. Nearly always the first one shows it. */
const ROUNDS_MAX = 8;
const ROUND_MS = 10_000;

let cluster: ServerCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** What the checker says to a round, as soon as it says no; undefined: it does not. */
const violationIn = async (one: ServerCluster, rng: Rng, name: string, kinds: readonly (readonly Misfortune[])[]) => {
  const untilMs = performance.now() + ROUND_MS;
  const load = new Load(one, rng.fork(), name);
  let violation: string | undefined;
  const isDone = () => violation !== undefined || performance.now() > untilMs;
  // Calls may fail in any way: nodes with a mistake may notice, and end.
  const running = load.run(isDone).catch(() => {});
  const bad = misfortunes(one, rng, untilMs, () => {}, kinds).catch(() => {});
  while (!isDone()) {
    await pause(500);
    violation = violationOf(load.history);
  }
  await load.close();
  await Promise.all([running, bad]);
  await one.heal();
  return violation;
};

test.each([
  { bug: 'writes dropped', kinds: [] },
  { bug: 'versions mistaken', kinds: [] },
  { bug: 'retries forgotten', kinds: [[answersLost]] },
  { bug: 'majority of one', kinds: [[nodeIsCutOff]] },
])('a cluster with the mistake "$bug" is found out', { timeout: 500_000 }, async ({ bug, kinds }) => {
  const seed = seedFromEnv();
  const one = (cluster = await ServerCluster.start({ nodes: 3, clientProxies: true, bug }));
  for (let i = 0; i < ROUNDS_MAX; i++) {
    const violation = await violationIn(one, new Rng(seed + i), `${bug} ${i}`, kinds);
    if (violation === undefined) continue;
    if (process.env.NORI_VERBOSE !== undefined)
      console.log(`${bug}, round ${i + 1} of at most ${ROUNDS_MAX}: ${violation}`);
    return;
  }
  expect.fail(`Not found in ${ROUNDS_MAX} rounds of ${ROUND_MS} ms from NORI_SEED=${seed} on.\n${one.logs()}`);
});
