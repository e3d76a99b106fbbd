// Power failures at every operation of the file system, under loads with flushes, compactions and rotations of the log,
// restarts and earlier deaths. Before each operation several crashes are taken, and each outcome that is new for that
// operation is opened. With its own log: what is recovered is a prefix of the writes issued, and holds every one
// acknowledged as durable. Without: it is exactly what the durable marks describe.
//
// The long form is
//   NORI_CRASHES=1000000 npx vitest run packages/nori-lsm/test/crash.test.ts
// A failure prints the seed (NORI_SEED) that repeats its run alone.
import { MemoryFileSystem, type MemoryOperation } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { Lsm, type LsmStats } from '../src/index.js';
import { checkRecovered, type RecoveryPromise } from './metamorphic/compare.js';
import { randomOptions } from './metamorphic/options.js';
import { plan } from './metamorphic/plan.js';
import { DIR, Run } from './metamorphic/run.js';
import { STEPS } from './metamorphic/steps.js';
import { hex, utf8 } from './support.js';

/** Distinct pairs of operation and outcome. */
const CRASHES = Number(process.env.NORI_CRASHES ?? 10_000);
const RUNS_MAX = process.env.NORI_SEED === undefined ? CRASHES : 1;
const TRIES = 2;
const STEPS_MAX = 24;
const TRACE_LINES_MAX = 60;
const WRITING = [
  'put',
  'delete',
  'burst',
  'batch',
  'deleteRange',
  'ingest',
  'openSnapshot',
  'closeSnapshot',
  'passTime',
  'flush',
  'compact',
].concat(['restart', 'powerFailure', 'kill']);

/** What one crash left, and what was promised then. */
interface Crash {
  readonly fs: MemoryFileSystem;
  readonly operation: MemoryOperation;
  readonly promise: RecoveryPromise;
}

/** Counts what the loads did, to show that they did all that matters. */
class Tally {
  readonly pairs = new Set<string>();
  readonly operations = new Map<string, number>();
  flushes = 0;
  compactions = 0;
  runs = 0;

  count({ kind, path }: MemoryOperation): void {
    const what = /\.sst$/.test(path)
      ? 'table'
      : /\/wal/.test(path)
        ? 'log'
        : /MANIFEST/.test(path)
          ? 'manifest'
          : 'other';
    const name = `${kind} ${what}`;
    this.operations.set(name, (this.operations.get(name) ?? 0) + 1);
  }
}

/** Takes crashes before an operation; keeps the outcomes that were not seen at it before. */
const takeCrashes = (run: Run, operation: MemoryOperation, rng: Rng, tally: Tally, taken: Crash[]): void => {
  const { promise, fs } = run;
  tally.count(operation);
  for (let i = 0; i < TRIES; i++) {
    const crashed = fs.crash(rng);
    const pair = `${tally.runs} ${run.lives} ${operation.index} ${operation.kind} ${crashed.crashFingerprint}`;
    if (tally.pairs.has(pair)) continue;
    tally.pairs.add(pair);
    taken.push({ fs: crashed, operation, promise });
  }
};

const checkCrash = async ({ fs, operation, promise }: Crash, run: Run, rng: Rng): Promise<void> => {
  const options = randomOptions(rng, run);
  try {
    const db = await Lsm.open({ dir: DIR, fs, ...options });
    checkRecovered(db, promise, run);
    const { problems } = await db.verify();
    if (problems.length > 0) throw problems[0];
    await db.close();
  } catch (error) {
    const { index, kind, path } = operation;
    throw new Error(`after a crash before operation ${index} of life ${run.lives}, ${kind} ${path}`, { cause: error });
  }
};

/** One load, all crashes of it. */
const crashEverywhere = async (seed: number, wal: boolean, tally: Tally): Promise<void> => {
  const rng = new Rng(seed).fork();
  const taken: Crash[] = [];
  const lives = new Map<Lsm, LsmStats>();
  let run: Run | undefined;
  // Nothing is promised before the database was opened for the first time.
  const watch = (operation: MemoryOperation): void => {
    if (run !== undefined) takeCrashes(run, operation, rng, tally, taken);
  };
  const checkAll = async (): Promise<void> => {
    for (const crash of taken.splice(0)) await checkCrash(crash, run!, rng);
  };
  try {
    run = await Run.start(seed, { wal, watch });
    for (const { name, seed: stepSeed } of plan(seed, STEPS_MAX, WRITING)) {
      const stepRng = new Rng(stepSeed);
      await STEPS[name]!.run(run, stepRng);
      await run.recoverIfDead(stepRng);
      await checkAll();
      lives.set(run.db, run.db.stats());
    }
    await run.finish();
    await checkAll();
    for (const { flushes, compactions } of lives.values()) {
      tally.flushes += flushes;
      tally.compactions += compactions;
    }
  } catch (error) {
    const { stack, cause } = error as Error;
    const why = cause === undefined ? '' : `\nCause: ${(cause as Error).stack}`;
    const notes = (run?.notes ?? []).slice(-TRACE_LINES_MAX).join('\n  ');
    throw new Error(`Failed with NORI_SEED=${seed}: ${stack}${why}\nLoad:\n  ${notes}`);
  }
};

const crashUntil = async (pairs: number, wal: boolean): Promise<Tally> => {
  const first = seedFromEnv();
  const root = new Rng(first);
  const tally = new Tally();
  while (tally.pairs.size < pairs && tally.runs < RUNS_MAX) {
    await crashEverywhere(tally.runs === 0 ? first : root.uint32(), wal, tally);
    tally.runs++;
  }
  return tally;
};

const EVERYWHERE = [
  'create table',
  'write table',
  'datasync table',
  'unlink table',
  'write manifest',
  'datasync manifest',
].concat(['create manifest', 'unlink manifest', 'rename other', 'sync-dir other']);
const IN_THE_LOG = ['create log', 'write log', 'datasync log', 'unlink log', 'sync-dir log'];

for (const wal of [true, false]) {
  const what = wal
    ? 'with its own log, a crash leaves a prefix of the writes, with all that was acknowledged as durable'
    : 'without its own log, a crash leaves exactly what the durable marks describe';
  const pairs = wal ? CRASHES : CRASHES / 4;
  test(`${what} (${pairs} crashes)`, { timeout: 120_000 + pairs * 40 }, async () => {
    const tally = await crashUntil(pairs, wal);
    if (RUNS_MAX === 1) return;
    expect(tally.pairs.size).toBeGreaterThanOrEqual(pairs);
    expect(tally.flushes).toBeGreaterThan(tally.runs);
    expect(tally.compactions).toBeGreaterThan(tally.runs);
    // Crashes came before each of these.
    for (const name of wal ? [...EVERYWHERE, ...IN_THE_LOG] : EVERYWHERE) {
      expect([name, (tally.operations.get(name) ?? 0) > 3]).toEqual([name, true]);
    }
  });
}

test('a killed process loses nothing that was acknowledged, not even what was never synced', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: '/db', fs, durability: 'os', memtableBytes: 2048 });
  for (let i = 0; i < 200; i++) await db.put(`k${i}`, `v${i}`);
  const after = await Lsm.open({ dir: '/db', fs: fs.kill() });
  expect(Array.from(after.scanSync()).length).toBe(200);
  expect(hex(after.getSync('k7')!)).toBe(hex(utf8('v7')));
  await after.close();
  await db.close();
});
