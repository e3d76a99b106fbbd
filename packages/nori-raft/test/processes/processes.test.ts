// Three real processes over TCP, with real logs: killed, stopped, cut off from each other, with disks that stall, fail and
// fill up. What clients saw must be linearizable, and what was acknowledged must be there in the end.
//
//   NORI_RAFT_PROCESS_ROUNDS=100 npx vitest run packages/nori-raft/test/processes/processes.test.ts    100 times 12 s of faults
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { expectLinearizable, historyOf } from './judge.js';
import { freshValue, MapClient, type MapOperation, pause } from './map-client.js';
import { misfortunes } from './misfortunes.js';
import { NUMBERS, ProcessCluster } from './process-cluster.js';

const ROUNDS = Number(process.env.NORI_RAFT_PROCESS_ROUNDS ?? 1);
const FAULTS_MS = 12_000;
const CLIENTS = 16;
const KEYS_PER_GROUP = 3;
/** When all is well again, everything must be answered within this time, even on a busy machine. */
const RECOVERY_MS = 60_000;

/** Calls of one client on the keys of a round until `isDone`. */
async function load(client: MapClient, rng: Rng, keys: readonly Key[], isDone: () => boolean): Promise<void> {
  /** What the client saw last, for compare-and-set. */
  const seen = new Map<string, string | undefined>();
  while (!isDone()) {
    const { group, key } = rng.pick(keys);
    if (rng.chance(0.45)) {
      const value = await client.read(group, key, rng.chance(0.5) ? 'lease' : 'index');
      if (value !== undefined) seen.set(key, value ?? undefined);
    } else {
      const value = freshValue();
      const expected = seen.get(key);
      const cas = rng.chance(0.5);
      const command = cas
        ? ({ f: 'cas', key, value, ...(expected === undefined ? {} : { expected }) } as const)
        : ({ f: 'put', key, value } as const);
      if ((await client.write(group, command)) === true) seen.set(key, value);
    }
    await pause(rng.int(12));
  }
}

interface Key {
  readonly group: number;
  readonly key: string;
}

/** All nodes answer, and have the same maps. */
async function readEverything(cluster: ProcessCluster, client: MapClient, keys: readonly Key[]): Promise<void> {
  for (let group = 0; group < cluster.groups; group++) {
    await client.write(group, { f: 'put', key: `${group}/last`, value: freshValue() });
  }
  for (const { group, key } of keys) {
    for (const number of NUMBERS) {
      expect(await client.read(group, key, 'index', number), `${key} at node ${number}`).not.toBeUndefined();
    }
  }
  // Leases are held again.
  const leaseReads = async () =>
    (await Promise.all(NUMBERS.map((number) => cluster.state(number)))).map((s) => s!.leaseReads);
  const before = String(await leaseReads());
  // Whoever does not lead answers, too, but by a round.
  do for (const number of NUMBERS) await client.read(keys[0]!.group, keys[0]!.key, 'lease', number);
  while (String(await leaseReads()) === before);
  const states = await Promise.all(NUMBERS.map((number) => cluster.state(number)));
  expect(states[1]!.maps).toEqual(states[0]!.maps);
  expect(states[2]!.maps).toEqual(states[0]!.maps);
}

function count(history: readonly MapOperation[], keys: readonly Key[]) {
  const perKey = new Map(keys.map(({ key }) => [key, 0]));
  let answered = 0;
  let written = 0;
  for (const { input, output } of history) {
    if (typeof output === 'symbol') continue;
    answered++;
    if (input.f !== 'get' && output === true) written++;
    if (perKey.has(input.key)) perKey.set(input.key, perKey.get(input.key)! + 1);
  }
  const leastOfAKey = Math.min(...perKey.values());
  return { answered, unanswered: history.length - answered, written, leastOfAKey };
}

/** Whether a history says something. */
function isEnough({ answered, written, leastOfAKey }: ReturnType<typeof count>): boolean {
  return answered > 800 && written > 200 && leastOfAKey > 20;
}

/** Fails when it takes too long until all is well. */
class Watch {
  readonly late: Promise<never>;
  readonly #cluster: ProcessCluster;
  #fail!: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(cluster: ProcessCluster) {
    this.#cluster = cluster;
    this.late = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.late.catch(() => {});
  }

  begin(): void {
    this.#timer = setTimeout(async () => {
      const states = await Promise.all(NUMBERS.map((number) => this.#cluster.state(number)));
      const texts = states.map((state, i) => `node ${i + 1}: ${state?.summary ?? 'does not answer'}`);
      this.#fail(new Error(`No recovery within ${RECOVERY_MS} ms:\n${texts.join('\n')}`));
    }, RECOVERY_MS);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

async function readsOf(cluster: ProcessCluster): Promise<string> {
  const states = await Promise.all(NUMBERS.map((number) => cluster.state(number)));
  const sum = (of: 'leaseReads' | 'indexReads' | 'snapshotsInstalled') =>
    states.reduce((total, state) => total + (state?.[of] ?? 0), 0);
  const [lease, index, snapshots] = [sum('leaseReads'), sum('indexReads'), sum('snapshotsInstalled')];
  return `of the running processes ${lease} reads by lease, ${index} by index, ${snapshots} snapshots installed`;
}

test('three processes answer linearizably and lose nothing, whatever befalls them', {
  timeout: 60_000 + ROUNDS * 60_000,
}, async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const cluster = await ProcessCluster.start({ clockRates: [0.96, 1, 1.04] });
  const told: string[] = [];
  const startMs = performance.now();
  const tell = (what: string) => told.push(`${Math.round(performance.now() - startMs)} ms: ${what}`);
  try {
    for (let round = 0; round < ROUNDS; round++) {
      told.length = 0;
      const keys = Array.from({ length: cluster.groups * KEYS_PER_GROUP }, (_, i) => {
        const group = i % cluster.groups;
        return { group, key: `${group}/${round}/${i}` };
      });
      const clients = Array.from({ length: CLIENTS }, (_, i) => new MapClient(cluster, rng.fork(), i));
      const untilMs = performance.now() + FAULTS_MS;
      let isHealed = false;
      const watch = new Watch(cluster);
      // On a busy machine it takes longer than the faults do.
      const isDone = () => isHealed && isEnough(count(historyOf(...clients), keys));
      const bad = misfortunes(cluster, rng.fork(), untilMs, tell).then(async () => {
        await cluster.heal();
        tell('healed');
        isHealed = true;
        watch.begin();
      });
      const loads = clients.map((client) => load(client, rng.fork(), keys, isDone));
      await Promise.race([Promise.all([bad, ...loads]), cluster.broken, watch.late]);
      const reader = new MapClient(cluster, rng.fork(), CLIENTS);
      await Promise.race([readEverything(cluster, reader, keys), cluster.broken, watch.late]);
      watch.end();
      const history = historyOf(...clients, reader);
      expectLinearizable(history);
      const counts = count(history, keys);
      tell(`${JSON.stringify(counts)}; ${await readsOf(cluster)}`);
      if (process.env.NORI_VERBOSE !== undefined) console.log(`seed ${seed}, round ${round}\n${told.join('\n')}`);
      expect(counts.unanswered).toBeLessThan(counts.answered / 10);
    }
  } catch (error) {
    throw new Error(`NORI_SEED=${seed}\n${told.join('\n')}\n${(error as Error).message}`, { cause: error });
  } finally {
    await cluster.close();
  }
});
