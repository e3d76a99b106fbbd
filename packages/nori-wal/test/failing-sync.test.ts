// A data sync fails somewhere in a random load, in which syncs run beside writes. Whatever the timing: one data sync of a file at a
// time (the kernel tells of a lost page once), everybody is answered, and what a power failure then leaves opens, with all that
// was acknowledged as durable. NORI_ROUNDS=n makes n rounds; NORI_SEED=n repeats what a failure printed.
import { MemoryFileSystem, type MemoryOperation } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { Deferred } from '../src/write-group.js';
import { DIR, openMemory } from './helpers.js';

const SEED = seedFromEnv();
const ROUNDS = Number(process.env.NORI_ROUNDS ?? 400);
const CALLS = 60;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A wait of some microtasks, or of some turns: what settles beside it comes before or after. */
const pause = async (rng: Rng): Promise<void> => {
  if (rng.chance(0.5)) for (let left = rng.int(12); left > 0; left--) await undefined;
  else for (let left = rng.range(1, 4); left > 0; left--) await turn();
};

/** Counts the data syncs that are under way, by file; the file system must not be asked for two of one. */
const watchSyncs = (fs: MemoryFileSystem, rng: Rng, failing: number): { overlapped: boolean } => {
  const found = { overlapped: false };
  const underWay = new Map<string, number>();
  let syncs = 0;
  fs.onOperation = (operation: MemoryOperation) => {
    const { kind, path } = operation;
    if (kind !== 'datasync') return rng.chance(0.7) ? pause(rng) : undefined;
    if (++syncs === failing) fs.inject({ on: 'datasync', path });
    const others = underWay.get(path) ?? 0;
    if (others > 0) found.overlapped = true;
    underWay.set(path, others + 1);
    return pause(rng).then(() => {
      underWay.set(path, underWay.get(path)! - 1);
    });
  };
  return found;
};

const run = async (seed: number): Promise<void> => {
  const rng = new Rng(seed);
  const fs = new MemoryFileSystem();
  const options = {
    syncIntervalMs: 1,
    syncBehindBytes: rng.pick([1, 500, 3000]),
    preallocateBytes: rng.pick([0, 5000]),
  };
  const wal = await openMemory(fs, options);
  const found = watchSyncs(fs, rng.fork(), rng.chance(0.8) ? rng.range(1, 40) : -1);
  const pending = new Set<Promise<unknown>>();
  const durable = new Map<number, number>();
  const mayCut = rng.chance(0.5);
  const track = (call: Promise<unknown>): void => {
    const settled = call.catch((error: { code: string }) => {
      if (!['WAL_POISONED', 'WAL_TRUNCATED', 'WAL_INVALID_POSITION'].includes(error.code)) throw error;
    });
    const done = settled.finally(() => pending.delete(done));
    pending.add(done);
  };
  for (let i = 0; i < CALLS; i++) {
    const data = new Uint8Array(rng.range(10, 600)).fill(i);
    const call = rng.next();
    if (call < 0.45) track(wal.append(data, { durability: 'os' }));
    else if (call < 0.6) track(wal.append(data).then((position) => durable.set(position, i)));
    else if (call < 0.67) track(wal.appendBatch([data, data], { durability: rng.pick(['os', 'batch']) }));
    else if (call < 0.75) track(wal.sync());
    else if (call < 0.8 && mayCut) track(wal.truncateAfter(wal.end));
    else if (call < 0.86) track(wal.truncateBefore(wal.end / 2));
    if (rng.chance(0.6)) await pause(rng);
  }
  track(wal.close());
  for (let turns = 0; pending.size > 0; turns++) {
    if (turns > 20_000) throw new Error(`${pending.size} calls are never answered (poisoned: ${wal.stats().poisoned})`);
    await turn();
  }
  if (found.overlapped) throw new Error('two data syncs of one file were under way');
  const again = await openMemory(fs.crash(rng));
  const recovered = new Map<number, number | undefined>();
  for await (const { position, data } of again.readFrom(again.start)) recovered.set(position, data[0]);
  if (!mayCut) {
    for (const [position, value] of durable) if (position >= again.start) expect(recovered.get(position)).toBe(value);
  }
  await again.close();
};

test('a data sync that fails is believed by all, and keeps nobody waiting', { timeout: 300_000 }, async () => {
  const rng = new Rng(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    const seed = round === 0 ? SEED : rng.int(2 ** 31);
    await run(seed).catch((error: unknown) => {
      throw new Error(`Failed with NORI_SEED=${seed} NORI_ROUNDS=1 in ${DIR}: ${(error as Error).stack}`);
    });
  }
});

test('a cut that waits while a sync beside it fails is answered, in whichever microtask that is', async () => {
  for (let microtasks = 0; microtasks < 40; microtasks++) {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { syncBehindBytes: 1, preallocateBytes: 0 });
    await wal.append(new Uint8Array(10));
    const held = new Deferred<void>();
    const fail = async (): Promise<void> => {
      for (let left = microtasks; left > 0; left--) await undefined;
      held.resolve();
    };
    fs.onOperation = ({ kind }) => (kind === 'datasync' ? held.promise : undefined);
    await wal.append(new Uint8Array(10), { durability: 'os' });
    await turn();
    fs.inject({ on: 'datasync', times: Number.POSITIVE_INFINITY });
    fs.onOperation = ({ kind }) => {
      if (kind === 'write') void fail();
    };
    wal.append(new Uint8Array(10), { durability: 'os' }).catch(() => undefined);
    await expect(wal.truncateAfter(wal.end)).rejects.toMatchObject({ code: 'WAL_POISONED' });
    await wal.close();
  }
});
