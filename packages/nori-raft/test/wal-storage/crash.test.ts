// The oracle: after a crash at any operation on the disk, the log holds what it was told up to some moment: every acknowledged
// write is there whole, of the others the first ones whole and the rest not at all. So term and vote are never behind an
// acknowledged one, and no entry is without the hard state it came with.
//
// A run keeps disks of many moments: (operation about to be done, what survives of everything unsynced). NORI_CRASHES=n makes n
// runs instead of the short form's.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import {
  compacted,
  created,
  difference,
  type Model,
  NO_GROUPS,
  openStorage,
  randomWrite,
  removed,
  written,
} from './helpers.js';

const SEED = seedFromEnv();
const RUNS = Number(process.env.NORI_CRASHES ?? 25);
/** Distinct pairs of moment and surviving set that a run yields at least, on average. */
const PAIRS_PER_RUN_MIN = 40;

/** A disk as it was at one moment, and what had been promised by then. */
interface Moment {
  readonly fs: MemoryFileSystem;
  readonly what: string;
  /** What the log was told: after nothing, after the first operation, ... */
  readonly models: readonly Model[];
  /** How many of the operations are acknowledged. */
  readonly acknowledged: number;
}

interface Totals {
  pairs: number;
  /** Checkpoints and entries carried by the runs that were crashed. */
  checkpoints: number;
  carried: number;
  /** Bytes that were dropped from the front of the logs. */
  segmentsMax: number;
}

const options = (rng: Rng) => ({
  segmentBytesMax: rng.pick([4096, 8192]),
  pinnedBytesMax: rng.pick([0, 4096, 16_384]),
  durability: rng.pick(['sync', 'batch'] as const),
});

/** Opens the log on `fs` and finds the model it holds. */
async function check(fs: MemoryFileSystem, models: readonly Model[], acknowledged: number, rng: Rng): Promise<Model> {
  const storage = await openStorage(fs, options(rng));
  let problem: string | undefined;
  for (let told = models.length - 1; told >= acknowledged; told--) {
    const model = models[told]!;
    const found = difference(storage, model);
    if (found === undefined) {
      await storage.verify();
      if (rng.chance(0.5)) await storage.close();
      return model;
    }
    problem = `acknowledged ${acknowledged}, told ${models.length - 1}; held against ${told}: ${found}`;
  }
  throw new Error(problem);
}

async function verify({ fs, what, models, acknowledged }: Moment, rng: Rng): Promise<void> {
  try {
    const model = await check(fs, models, acknowledged, rng);
    if (rng.chance(0.7)) return;
    // Whatever was found once is durable, and what is written then is, too.
    for (const found of [fs.kill(), fs.crash(rng)]) {
      const storage = await openStorage(found, options(rng));
      const writes = randomWrite(rng, model, { groupsMax: 2, bytesMax: 100 });
      await storage.write(writes);
      await check(found.crash(rng), [written(model, writes)], 0, rng);
    }
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
  }
}

async function run(seed: number, totals: Totals): Promise<void> {
  const rng = new Rng(seed);
  const crashes = rng.fork();
  const fs = new MemoryFileSystem();
  const moments: Moment[] = [];
  const seen = new Set<string>();
  const models: Model[] = [NO_GROUPS];
  let acknowledged = 0;
  fs.onOperation = (operation) => {
    const what = `${operation.index} ${operation.kind}`;
    while (crashes.chance(0.5)) {
      const found = crashes.chance(0.8) ? fs.crash(crashes) : fs.kill();
      const pair = `${what} ${found.crashFingerprint}`;
      if (!seen.has(pair)) moments.push({ fs: found, what, models: [...models], acknowledged });
      seen.add(pair);
    }
    // Some operations take longer, so that what is written meanwhile waits.
    return crashes.chance(0.2) ? new Promise((resolve) => setImmediate(resolve)) : undefined;
  };
  const storage = await openStorage(fs, options(rng));
  const pending: Promise<void>[] = [];
  const told = (model: Model, done: Promise<void>): void => {
    const number = models.push(model) - 1;
    pending.push(
      done.then(() => {
        acknowledged = Math.max(acknowledged, number);
      }),
    );
  };
  const style = { groupsMax: 3, bytesMax: rng.pick([20, 400]) };
  for (let step = 0; step < 60; step++) {
    const model = models.at(-1)!;
    const live = [...model].filter(([, group]) => !group.removed).map(([groupId]) => groupId);
    const dice = rng.next();
    if (live.length === 0 || dice < 0.1) {
      const groupId = step;
      const group = { groupId, replicaId: 1 + rng.int(5), bootstrap: rng.chance(0.5) };
      told(created(model, group), storage.createGroup(group));
    } else if (dice < 0.13) {
      const groupId = rng.pick(live);
      told(removed(model, groupId), storage.removeGroup(groupId));
    } else if (dice < 0.25) {
      await Promise.all(pending);
      const groupId = rng.pick(live);
      const { start, hardState } = model.get(groupId)!;
      const index = rng.chance(0.5) ? hardState.commit : rng.range(start.index, hardState.commit);
      storage.compact(groupId, index);
      models[models.length - 1] = compacted(model, groupId, index);
    } else {
      const writes = randomWrite(rng, model, style);
      told(written(model, writes), storage.write(writes));
    }
    if (rng.chance(0.3)) await pending[rng.int(pending.length)];
    if (rng.chance(0.1)) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(pending);
  const { checkpoints, entriesCarried, segments } = storage.stats();
  await storage.close();
  moments.push({ fs: fs.crash(crashes), what: 'closed', models: [...models], acknowledged });
  totals.pairs += moments.length;
  totals.checkpoints += checkpoints;
  totals.carried += entriesCarried;
  totals.segmentsMax = Math.max(totals.segmentsMax, segments);
  for (const moment of moments) await verify(moment, crashes);
}

test('after a crash at any operation each write is there whole, or absent with all after it', async () => {
  const rng = new Rng(SEED);
  const totals: Totals = { pairs: 0, checkpoints: 0, carried: 0, segmentsMax: 0 };
  for (let round = 0; round < RUNS; round++) {
    const seed = rng.int(2 ** 31);
    await run(seed, totals).catch((cause: Error) => {
      throw new Error(`NORI_SEED=${SEED}, seed ${seed} of run ${round}: ${cause.message}`, { cause });
    });
  }
  expect(totals.pairs).toBeGreaterThan(RUNS * PAIRS_PER_RUN_MIN);
  expect(totals.checkpoints).toBeGreaterThan(RUNS);
  expect(totals.carried).toBeGreaterThan(0);
  if (process.env.NORI_CRASHES) console.info(totals);
}, 3_600_000);
