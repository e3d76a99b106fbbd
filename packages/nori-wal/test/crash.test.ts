// The oracle: what is recovered is a prefix of what was issued, holds everything acknowledged as durable, and no batch in part.
// `truncateAfter` divides a run into eras: a crash while one is under way leaves the log of the era before or of the one after.
//
// A run keeps disks of many moments: (operation about to be done, what survives of everything unsynced). NORI_ROUNDS=n makes n
// runs instead of the short form's.
import { crc32c } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { Wal, type WalOptions, type WalPosition } from 'nori-wal';
import { expect, test } from 'vitest';
import { readAll } from './helpers.js';

const DIR = '/data/log';
const SEED = seedFromEnv();
const ROUNDS = Number(process.env.NORI_ROUNDS ?? 60);
/** Distinct pairs of boundary and surviving set that a round yields at least, on average. */
const PAIRS_PER_ROUND_MIN = 25;

interface Issued {
  readonly payload: Uint8Array;
  /** Unique, and in the payload. */
  readonly number: number;
  /** Number of the call that issued it: records of one call survive together. */
  readonly call: number;
  /** Once acknowledged. */
  position: WalPosition | undefined;
}

/** What the log was told between two cuts. */
interface Era {
  /** What it should hold, from its birth on. */
  readonly log: Issued[];
  /** How many of these are acknowledged as durable. */
  durable: number;
  /** How many of these may have been dropped by `truncateBefore`. */
  start: number;
}

/** A disk as it was at one moment, and what had been promised by then: one era, or two while the log is being cut. */
interface Moment {
  readonly fs: MemoryFileSystem;
  readonly what: string;
  readonly eras: readonly Era[];
}

const snapshot = ({ log, durable, start }: Era): Era => ({ log: [...log], durable, start });

function payload(rng: Rng, number: number): Uint8Array {
  const size = rng.chance(0.02) ? rng.range(60_000, 80_000) : rng.chance(0.2) ? rng.int(6000) : rng.int(200);
  return numbered(number, size);
}

function numbered(number: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size + 4).fill(number * 31);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function randomOptions(rng: Rng): Partial<WalOptions> {
  return {
    segmentBytesMax: 16_384,
    syncIntervalMs: 1,
    syncBehindBytes: rng.pick([1, 1000, 2 ** 20]),
    preallocateBytes: rng.pick([0, 5000, 2 ** 20]),
    spareSegmentsMax: rng.pick([0, 1, 3]),
    compression: rng.pick(['none', 'none', 'lz4', 'deflate']),
  };
}

async function collect(wal: Wal): Promise<{ position: number; data: Uint8Array }[]> {
  const records = [];
  for await (const { position, data } of wal.readFrom(0)) records.push({ position, data });
  return records;
}

/** Holds what a log was found to hold against one era. Returns how many of the era's records survived. */
function checkEra(found: readonly { position: number; data: Uint8Array }[], { log, durable, start }: Era): number {
  const numbers = found.map(({ data }) => new DataView(data.buffer, data.byteOffset).getUint32(0));
  const first = numbers.length === 0 ? 0 : log.findIndex(({ number }) => number === numbers[0]);
  expect(first).toBeGreaterThanOrEqual(0);
  if (numbers.length === 0) {
    expect(durable).toBeLessThanOrEqual(start);
    return durable;
  }
  expect(first).toBeLessThanOrEqual(start);
  const end = first + numbers.length;
  expect(end).toBeLessThanOrEqual(log.length);
  found.forEach(({ position, data }, index) => {
    const issued = log[first + index]!;
    expect(numbers[index]).toBe(issued.number);
    expect(Buffer.compare(data, issued.payload)).toBe(0);
    if (issued.position !== undefined) expect(position).toBe(issued.position);
  });
  expect(end).toBeGreaterThanOrEqual(durable);
  if (end < log.length) expect(log[end]!.call).not.toBe(log[end - 1]!.call);
  return end;
}

/**
 * Opens the log on `fs` and holds it against the oracle, then appends one more record durably. Returns the era it was found in, as
 * far as it survived.
 */
async function check(fs: MemoryFileSystem, eras: readonly Era[], rng: Rng, append?: Issued): Promise<Era> {
  const handed: WalPosition[] = [];
  const onRecords = (records: readonly { position: number }[]) => {
    for (const { position } of records) handed.push(position);
  };
  const wal = await Wal.open({ dir: DIR, fs, ...randomOptions(rng), onRecords });
  const found = await collect(wal);
  expect(wal.recovery.records).toBe(found.length);
  expect(handed).toEqual(found.map(({ position }) => position));
  const errors: unknown[] = [];
  for (const era of eras) {
    try {
      const end = checkEra(found, era);
      if (append) {
        append.position = await wal.append(append.payload);
        expect(append.position).toBeGreaterThanOrEqual(wal.recovery.end);
      }
      await wal.close();
      return { log: era.log.slice(0, end), durable: end, start: era.start };
    } catch (error) {
      errors.push(error);
    }
  }
  throw errors[0];
}

/** Runs random appends, batches, syncs, truncations and cuts, and keeps disks of random moments: crashed, or killed. */
async function run(seed: number, pairs: Set<string>): Promise<void> {
  const rng = new Rng(seed);
  const fs = new MemoryFileSystem();
  const moments: Moment[] = [];
  let era: Era = { log: [], durable: 0, start: 0 };
  let before: Era | undefined;
  let positionStart = 0;
  let numbers = 0;
  let calls = 0;
  const crashes = rng.fork();
  fs.onOperation = (operation) => {
    const what = `${operation.index} ${operation.kind}`;
    while (crashes.chance(before ? 0.6 : 0.25)) {
      const found = crashes.chance(0.8) ? fs.crash(crashes) : fs.kill();
      moments.push({ fs: found, what, eras: (before ? [before, era] : [era]).map(snapshot) });
    }
    // Some operations take longer, so that what runs beside them gets ahead.
    return crashes.chance(0.1) ? new Promise((resolve) => setImmediate(resolve)) : undefined;
  };
  const wal = await Wal.open({ dir: DIR, fs, ...randomOptions(rng), stagingBytesMax: 20_000 });
  const pending: Promise<unknown>[] = [];
  const append = (): void => {
    const call = calls++;
    const durability = rng.pick(['sync', 'batch', 'batch', 'os'] as const);
    const records = Array.from({ length: rng.chance(0.3) ? rng.range(2, 6) : 1 }, () => {
      const number = numbers++;
      const record: Issued = { payload: payload(rng, number), number, call, position: undefined };
      era.log.push(record);
      return record;
    });
    const own = era;
    const end = own.log.length;
    const appended =
      records.length === 1
        ? wal.append(records[0]!.payload, { durability }).then((at) => [at])
        : wal.appendBatch(
            records.map(({ payload: bytes }) => bytes),
            { durability },
          );
    pending.push(
      appended.then((positions) => {
        positions.forEach((position, index) => {
          records[index]!.position = position;
        });
        if (durability !== 'os') own.durable = Math.max(own.durable, end);
      }),
    );
  };
  const cut = async (): Promise<void> => {
    const known = era.log.flatMap(({ position }, index) =>
      position !== undefined && index >= era.start ? [index] : [],
    );
    if (known.length === 0) return;
    const index = rng.chance(0.7) ? known[Math.max(0, known.length - 1 - rng.int(6))]! : rng.pick(known);
    before = era;
    era = { log: era.log.slice(0, index), durable: index, start: Math.min(index, era.start) };
    const cutting = wal.truncateAfter(before.log[index]!.position!);
    for (let more = rng.int(3); more > 0; more--) append();
    await cutting;
    before = undefined;
  };
  for (let step = 0; step < 25; step++) {
    append();
    if (rng.chance(0.5)) await pending[rng.int(pending.length)];
    if (rng.chance(0.1)) {
      const [own, end] = [era, era.log.length];
      await wal.sync();
      own.durable = Math.max(own.durable, end);
    }
    if (rng.chance(0.15)) {
      era.start = era.durable;
      positionStart = era.log[era.durable - 1]?.position ?? positionStart;
      const truncated = wal.truncateBefore(positionStart);
      pending.push(truncated);
      if (rng.chance(0.5)) await truncated;
    }
    if (rng.chance(0.15)) await cut();
  }
  await Promise.all(pending);
  await wal.close();
  moments.push({ fs: fs.crash(crashes), what: 'closed', eras: [{ ...snapshot(era), durable: era.log.length }] });
  for (const moment of moments) {
    const pair = `${seed} ${moment.what} ${await fingerprint(moment.fs)}`;
    if (!pairs.has(pair)) await verify(moment, crashes, `seed ${seed}, ${moment.what}`);
    pairs.add(pair);
  }
}

/** What is on a disk, in short. */
async function fingerprint(fs: MemoryFileSystem): Promise<string> {
  const names = (await fs.stat(DIR)) ? await fs.readdir(DIR) : [];
  return names.map((name) => `${name}:${crc32c(readAll(fs, `${DIR}/${name}`))}`).join(' ');
}

/** Holds a moment against the oracle, appends to it, and lets the power fail once more. */
async function verify(moment: Moment, rng: Rng, what: string): Promise<void> {
  try {
    const kept = await check(moment.fs, moment.eras, rng);
    if (rng.chance(0.5)) return;
    // Whatever was recovered once is durable, and what is appended then is, too.
    for (const found of [moment.fs.kill(), moment.fs.crash(rng)]) {
      const extra: Issued = { payload: numbered(2 ** 31, 100), number: 2 ** 31, call: -1, position: undefined };
      expect((await check(found, [kept], rng, extra)).log.length).toBe(kept.log.length);
      const after = { ...kept, log: [...kept.log, extra], durable: kept.log.length + 1 };
      expect((await check(found.crash(rng), [after], rng)).log.length).toBe(after.log.length);
    }
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
  }
}

test('after a crash at any moment, the log holds a prefix of what was issued with everything acknowledged', async () => {
  const rng = new Rng(SEED);
  const pairs = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) await run(rng.int(2 ** 31), pairs);
  expect(pairs.size).toBeGreaterThan(ROUNDS * PAIRS_PER_ROUND_MIN);
}, 3_600_000);

test('after a failed sync the log takes no more, and what a reopened log recovers survives a power failure', async () => {
  const rng = new Rng(SEED + 1);
  for (let round = 0; round < 60; round++) {
    const seed = rng.int(2 ** 31);
    const random = new Rng(seed);
    const fs = new MemoryFileSystem();
    const wal = await Wal.open({ dir: DIR, fs, ...randomOptions(random) });
    fs.inject({ on: 'datasync', after: random.range(1, 8), times: 1 });
    const era: Era = { log: [], durable: 0, start: 0 };
    for (let number = 0; number < 40 && !wal.stats().poisoned; number++) {
      const record: Issued = { payload: payload(random, number), number, call: number, position: undefined };
      era.log.push(record);
      await wal.append(record.payload).then(
        (position) => {
          record.position = position;
          era.durable = number + 1;
        },
        (error: unknown) => expect(error).toMatchObject({ code: 'WAL_POISONED' }),
      );
    }
    expect(wal.stats().poisoned).toBe(true);
    await expect(wal.append(new Uint8Array(1))).rejects.toMatchObject({ code: 'WAL_POISONED' });
    await wal.close();
    const found = random.chance(0.5) ? fs.kill() : fs.crash(random);
    await verify({ fs: found, what: '', eras: [era] }, random, `seed ${seed}`);
  }
});
